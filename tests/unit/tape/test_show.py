"""A tape for people, for programs, and its packets for Wireshark."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.utils import RawPcapNgReader

from ferryman.cli import main
from ferryman.console.tape import shown
from ferryman.errors import TapeError
from ferryman.printable import printable
from ferryman.tape import file
from ferryman.tape.pcap import write_pcap
from unit.tape.samples import ENTRIES, HEADER, LINES, PACKED, call, saved

if TYPE_CHECKING:
    from ferryman.tape.file import Entry, Header

HOSTILE = "\x1b]0;owned\a\x1b[2J\u202ecba\r\x9b31m"
FINDING = {
    "event": "finding",
    "step": 0,
    "check": "rp-filter",
    "host": "web1",
    "verdict": "fail",
    "seen": "strict",
    "wanted": "loose",
    "remedy": "sysctl -w",
}
PROBE = {
    "event": "probe",
    "step": 0,
    "host": "web1",
    "vip": "10.9.9.9",
    "port": 80,
    "protocol": "tcp",
    "verdict": "silent",
    "rtt_ms": None,
    "mss": None,
    "detail": "nothing came back",
}
CHANGE = {"event": "change", "step": 0, "kind": "host", "target": "lb1", "command": "a\nb", "applied": True}
FAILED = {"event": "step-finished", "step": 0, "phase": "check", "outcome": "failed"}


def tape_of(*entries: Entry, header: Header = HEADER, whole: bool = True) -> file.Tape:
    return file.Tape(header, entries, whole=whole, path=Path("run.tape"))


def lines(tape: file.Tape, *, whole: bool = False) -> list[str]:
    return [line.plain for line in shown(tape, whole=whole)]


def exit_code_of(*arguments: str) -> object:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    return left.value.code


def packets(path: Path) -> Any:  # noqa: ANN401  # scapy's type is one of several, by the kind of file
    with RawPcapNgReader(str(path)) as reader:
        return list(reader)


def event(data: dict[str, object]) -> Entry:
    return file.Entry(0.5, "event", data)


def test_what_is_on_a_tape_moves_no_cursor_and_turns_no_letters_around(tmp_path: Path) -> None:
    """Every text of the header and of each entry is hostile, as far as the reader lets it."""
    header = json.loads(json.dumps(HEADER.as_json()))
    texts = {key: HOSTILE for key, value in header.items() if isinstance(value, str) and key != "action"}
    header |= texts | {"arguments": {HOSTILE: HOSTILE}, "config": {HOSTILE: HOSTILE}, "journal": {HOSTILE: 1}}
    header["inventory"]["services.yaml"] = HOSTILE
    header["plan"] = [{"step": HOSTILE, "title": HOSTILE, "about": [HOSTILE]}]
    entries = [
        event({"event": "step-started", "step": 0, "title": HOSTILE, "phase": HOSTILE}),
        *(
            event(dict.fromkeys(data, HOSTILE) | {"event": data["event"]})
            for data in (FINDING, PROBE, CHANGE)
        ),
        event({"event": HOSTILE, HOSTILE: HOSTILE}),
        event({**FAILED, "outcome": HOSTILE}),
        call(HOSTILE, HOSTILE, {"$": HOSTILE, HOSTILE: {"$ip": HOSTILE}}, arguments={HOSTILE: HOSTILE}),
        file.Entry(0.0, "call", {**call().data, "value": {"$enum": HOSTILE, "name": HOSTILE}}),
        file.Entry(0.0, "signal", {"name": HOSTILE}),
        file.Entry(0.0, "alarm", {"error": {"type": HOSTILE, "message": HOSTILE}}),
        file.Entry(0.0, "outcome", {"outcome": "held", "exit_code": 7, "reason": HOSTILE, "seconds": 1}),
    ]
    raw = [header, *(entry.as_json() for entry in entries)]
    tape = file.read(saved(tmp_path, b"".join(json.dumps(line).encode() + b"\n" for line in raw)))
    for whole in (False, True):
        text = "".join(lines(tape, whole=whole)).replace("\n", "")
        assert text.isprintable()
        assert "\\x1b[2J\\u202ecba" in text


@pytest.mark.parametrize("text", ["\x1b[2J", "\u202e", "\u2028", "\0", "\x9b", "\n", "\U000e0001", "\ud800"])
def test_what_does_not_print_is_escaped(text: str) -> None:
    assert printable(f"a{text}b", keep="").isprintable()
    assert printable("Grüße, 世界") == "Grüße, 世界"


def test_header_plan_and_steps_are_told_in_order() -> None:
    entries = (
        ENTRIES[0],
        call(
            value={
                "$": "Facts",
                "addresses": [{"$ip": "10.1.2.3"}],
                "kind": {"$enum": "Kind", "name": "SERVER"},
            }
        ),
        event(FINDING),
        event(PROBE),
        file.Entry(0.0, "call", {**call("lb1", "edit-destinations", writes=True).data, "lane": "watch"}),
        event(CHANGE),
        event(FAILED),
        ENTRIES[-1],
    )
    text = "\n".join(lines(tape_of(*entries)))
    wanted = (
        'migrate service="static" site="lab"  perform, run 20261130-110000-abcd, anna',
        "  1. realservers of static are ready  RealserversReady  (web1, static)",
        "  1. realservers  check",
        "     0.750  asks    web1 facts",
        "= Facts(addresses=[10.1.2.3], kind=Kind.SERVER)",
        "fail    web1 rp-filter: strict",
        "wanted: loose",
        "do:     sysctl -w",
        "probe   web1 tcp 10.9.9.9 80: silent, nothing came back",
        "changes lb1 edit-destinations (watch)",
        "changed host lb1",
        "check: failed",
        "done  after 9.5 s (exit code 0)",
        "all is well",
    )
    places = [text.index(line) for line in wanted]
    assert places == sorted(places)


def test_a_tape_that_was_cut_off_says_so() -> None:
    assert any("cut off" in line for line in lines(tape_of(whole=False)))
    assert not any("cut off" in line for line in lines(tape_of()))


def test_long_values_are_shortened_unless_all_is_asked_for() -> None:
    tape = tape_of(call(value="x" * 5000))
    assert max(map(len, lines(tape))) < 300
    assert any("x" * 5000 in line for line in lines(tape, whole=True))
    assert any("(5000 characters)" in line for line in lines(tape))
    assert any("static: {}" in line for line in lines(tape, whole=True))


def test_a_call_that_failed_says_how() -> None:
    failed = {key: value for key, value in call().data.items() if key != "value"}
    error = {"type": "UnreachableError", "message": "web1: no answer"}
    text = "\n".join(lines(tape_of(file.Entry(0.0, "call", {**failed, "error": error}))))
    assert "! UnreachableError: web1: no answer" in text


def test_the_command_shows_a_tape_and_needs_no_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FERRYMAN_CONFIG", raising=False)
    path = str(saved(tmp_path, PACKED))
    assert exit_code_of("tape", "show", path) == 0
    assert "realservers of static are ready" in capsys.readouterr().out
    assert exit_code_of("--output", "json", "tape", "show", path) == 0
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert printed == [json.loads(line) for line in LINES[:-1]]


def test_what_is_no_tape_ends_with_2_and_one_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = saved(tmp_path, b"{}\n")
    assert exit_code_of("tape", "show", str(path)) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("no tape: the first line of one has its schema") == 1
    assert "Traceback" not in said.err


def test_packets_have_their_times_and_their_steps(tmp_path: Path) -> None:
    sent = bytes(IP(src="10.0.0.1", dst="10.0.0.2") / IP(src="10.0.0.3", dst="10.0.0.4") / TCP(dport=80))
    answer = bytes(IPv6(src="fd00::1", dst="fd00::2") / TCP(sport=80))
    tape = tape_of(
        file.Entry(0.5, "packet", {"sent": True, "hex": sent.hex()}),
        ENTRIES[0],
        file.Entry(0.25, "packet", {"sent": False, "hex": answer.hex()}),
    )
    path = tmp_path / "run.pcapng"
    assert write_pcap(tape, path) == 2
    (first, one), (second, two) = packets(path)
    assert (first, second) == (sent, answer)
    assert [about.linktype for about in (one, two)] == [101, 101]
    times = [(about.tshigh << 32 | about.tslow) / about.tsresol for about in (one, two)]
    assert times == [1796036400.5, 1796036401.25]
    assert one.comments == [b"sent before the first step"]
    assert two.comments == [b"received in step 1 (check): realservers"]
    assert [about.direction for about in (one, two)] == [2, 1]


def test_a_tape_without_packets_makes_a_file_without_packets(tmp_path: Path) -> None:
    path = tmp_path / "run.pcapng"
    assert write_pcap(tape_of(), path) == 0
    assert packets(path) == []


def test_a_tape_that_does_not_say_when_it_began_has_no_times_for_its_packets(tmp_path: Path) -> None:
    with pytest.raises(TapeError, match=r"run\.tape: line 1: began: 'yesterday' is no time"):
        write_pcap(tape_of(header=replace(HEADER, began="yesterday")), tmp_path / "run.pcapng")


def test_packets_that_cannot_be_written_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = saved(tmp_path, PACKED)
    assert exit_code_of("tape", "show", str(path), "--pcap", str(tmp_path / "gone" / "x.pcapng")) == 2
    assert "cannot be written: No such file or directory" in capsys.readouterr().err
