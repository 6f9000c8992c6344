"""Reading tapes: what anybody may hand over ends in a tape or in one error that names file, line and key."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Any

import pytest

from ferryman.errors import TapeError
from ferryman.tape import file, lines
from unit.tape.samples import ENTRIES, HEADER, LINES, PACKED, RAW, saved, with_entry, with_header


def refusal(folder: Path, content: bytes) -> str:
    path = saved(folder, content)
    with pytest.raises(TapeError) as caught:
        file.read(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    assert text.isprintable()
    return text.removeprefix(f"{path}: ")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no tape: it is empty, or cut off within its first line"),
        (b"\0\0\0", "no tape: it begins neither as gzip nor as a line of JSON"),
        (b"# a page\n", "no tape: it begins neither"),
        (b"{}\n", "line 1: no tape: the first line of one has its schema"),
        (b'{"tape":true}\n', "line 1: no tape"),
        (b'{"tape":0}\n', "line 1: no tape"),
        (b'{"tape":1}\n', "line 1: ferryman: missing"),
        (PACKED[:60], "no tape: it is empty, or cut off within its first line"),
        (b"\x1f\x8bno gzip at all", "damaged: "),
        (PACKED[:100] + b"\0\0\0\0" + PACKED[104:], "damaged: "),
        (PACKED + b"more", "damaged: "),
    ],
)
def test_what_is_no_tape_is_said_to_be_none(tmp_path: Path, content: bytes, said: str) -> None:
    assert refusal(tmp_path, content).startswith(said)


def test_a_newer_tape_names_the_ferryman_that_is_needed(tmp_path: Path) -> None:
    said = refusal(tmp_path, with_header(tape=2, ferryman="9.1", hosts="something of schema 2"))
    wanted = "written by ferryman '9.1', schema 2; this one reads up to 1: use the newer ferryman"
    assert said == f"line 1: {wanted}"


def test_what_a_tape_says_never_reaches_the_terminal_raw(tmp_path: Path) -> None:
    said = refusal(tmp_path, with_header(tape=2, ferryman="\x1b]0;owned\a" + "x" * 1000))
    assert "\\x1b]0;owned\\x07" in said
    assert len(said) < 250


def test_an_edited_tape_is_told_by_its_digest(tmp_path: Path) -> None:
    said = refusal(tmp_path, RAW.replace(b"web1", b"web2"))
    assert said.startswith("edited or damaged: the digest in its last line does not fit its 10 lines.")
    assert "take out the last line" in said


def test_a_line_taken_out_is_told_by_the_digest(tmp_path: Path) -> None:
    assert "edited or damaged" in refusal(tmp_path, b"".join([*LINES[:3], *LINES[4:]]))


def test_nothing_comes_after_the_last_line(tmp_path: Path) -> None:
    assert "line 12: comes after the last line" in refusal(tmp_path, RAW + LINES[2])


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"operator": 7}, "operator: wanted a text, found 7"),
        ({"operator": "OUT"}, "operator: missing"),
        ({"action": "explode"}, "action: wanted one of perform, resume, rollback, found 'explode'"),
        ({"arguments": []}, "arguments: wanted an object, found an array"),
        ({"options": {"dry_run": 1, "on_doubt": "hold"}}, "options.dry_run: wanted true or false, found 1"),
        ({"options": {"dry_run": True}}, "options.on_doubt: missing"),
        ({"plan": [{"step": "A", "title": "t"}]}, "plan.0.about: missing"),
        ({"plan": [{"step": "A", "title": "t", "about": [1]}]}, "plan.0.about.0: wanted a text, found 1"),
        ({"journal": "x"}, "journal: wanted an object, found 'x'"),
        ({"surprise": 1}, "'surprise': unknown key"),
        ({"inventory": {"services.yaml": 1}}, "inventory.services.yaml: wanted a text, found 1"),
    ],
)
def test_a_header_of_wrong_types_names_the_key(tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    assert refusal(tmp_path, with_header(**changed)) == f"line 1: {said}"


@pytest.mark.parametrize(
    "name",
    [
        *("/etc/passwd", "../services.yaml", "nodes/../hosts.yaml", "nodes/a/b.yaml", "nodes/.yaml", ""),
        *("nodes/-x.yaml", "nodes/x.yaml\n", "nodes/" + "x" * 64 + ".yaml", "ferryman.toml", "nodes/é.yaml"),
        *("./services.yaml", "services.yaml\0", "nodes\\x.yaml", "NODES/x.yaml"),
    ],
)
def test_a_file_of_the_inventory_has_one_of_the_known_names(tmp_path: Path, name: str) -> None:
    said = refusal(tmp_path, with_header(inventory={name: ""}))
    assert said.startswith("line 1: inventory: ")
    assert said.endswith(" is no file of an inventory")


CALL = {"port": "hosts", "host": "w", "verb": "v", "arguments": {}, "writes": False, "lane": "run"}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ({}, "wanted [seconds, kind, data], found an object"),
        ([1, "wait"], "wanted [seconds, kind, data], found an array"),
        ([True, "wait", {}], "seconds: wanted a number of seconds, found True"),
        ([-1, "wait", {}], "seconds: wanted a number of seconds, found -1"),
        ([10**400, "wait", {}], "seconds: wanted a number of seconds, found 1000"),
        ([0, "exec", {}], "kind: wanted one of call, event,"),
        ([0, ["call"], {}], "kind: wanted one of call, event,"),
        ([0, "wait", []], "wait: wanted an object, found an array"),
        (
            [0, "wait", {"lane": "run", "seconds": "2", "interrupted": False}],
            "wait: seconds: wanted a number",
        ),
        ([0, "time-up", {"lane": "fast"}], "time-up: lane: wanted one of run, watch, found 'fast'"),
        ([0, "signal", {"name": 15}], "signal: name: wanted a text, found 15"),
        ([0, "alarm", {"error": {"type": "X"}}], "alarm: error.message: missing"),
        ([0, "packet", {"sent": True, "hex": "4500zz"}], "packet: hex: wanted a packet's bytes"),
        ([0, "packet", {"sent": True, "hex": "450"}], "packet: hex: wanted a packet's bytes"),
        ([0, "outcome", {"outcome": "splendid"}], "outcome: outcome: wanted one of done, refused,"),
        ([0, "call", CALL], "call: wanted a value or an error"),
        ([0, "call", {**CALL, "value": 1, "error": {"type": "", "message": ""}}], "call: wanted a value or"),
        ([0, "call", {**CALL, "value": 1, "port": "shell"}], "call: port: wanted one of hosts, probe,"),
        (b'[0,"wait"', "no JSON: Expecting ',' delimiter, at character 11"),
        (b"\xff", "is no UTF-8, or has half of a surrogate pair"),
        (b'[0,"signal",{"name":"\\udc80"}]', "is no UTF-8, or has half of a surrogate pair"),
        (b'[NaN,"wait",{}]', "NaN: no number of JSON"),
        (b'[1e999,"wait",{}]', "'1e999': no number that can be used"),
        (b"[" + b"9" * 5000 + b"]", "no JSON: "),
        (b'[0,"signal",{"name":"a","name":"b"}]', "'name': the key is there twice"),
        (b"[" * 100 + b"]" * 100, "nested more than 64 deep, which no tape is"),
        (b"[" * 10**6 + b"]" * 10**6, "nested more than 64 deep, which no tape is"),
        (b"[" * 10**6, "nested more than 64 deep, which no tape is"),
        (b"", "no JSON: "),
    ],
)
def test_an_entry_of_a_wrong_form_names_the_line(tmp_path: Path, line: object, said: str) -> None:
    assert refusal(tmp_path, with_entry(line)).startswith(f"line 2: {said}")


def test_brackets_in_text_are_no_nesting(tmp_path: Path) -> None:
    name = "[{" * 500 + '\\"'
    tape = file.read(saved(tmp_path, with_entry([0, "signal", {"name": name}])))
    assert tape.entries[0].data == {"name": name}


@pytest.mark.parametrize(
    ("bomb", "said"),
    [
        (gzip.compress(b"0" * (lines.MAX_BYTES + 1)), "a line is longer than 16 MiB"),
        (gzip.compress(LINES[0] + b"0" * (lines.MAX_BYTES + 1)), "a line is longer than 16 MiB"),
        (gzip.compress(gzip.compress(LINES[0] * 1000) * 1000), "line 1: is no UTF-8"),
        (
            gzip.compress(LINES[0] + b"[" + b"[]," * 4_000_000 + b"[]]\n"),
            "line 2: more than 8,000,000 values",
        ),
    ],
    ids=["one line", "second line", "gzip in gzip", "many values"],
)
def test_a_bomb_is_refused_before_it_is_whole(tmp_path: Path, bomb: bytes, said: str) -> None:
    assert refusal(tmp_path, bomb).startswith(said)


@pytest.mark.parametrize("limit", ["MAX_LINES", "MAX_MEMBERS"])
def test_lines_and_members_are_counted(tmp_path: Path, limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, limit, len(LINES))
    assert file.read(saved(tmp_path, b"".join(gzip.compress(line) for line in LINES))).whole
    monkeypatch.setattr(lines, limit, len(LINES) - 1)
    said = refusal(tmp_path, b"".join(gzip.compress(line) for line in LINES))
    assert f"{len(LINES) - 1} " in said


def test_all_bytes_are_counted_where_every_line_is_one_of_a_tape_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "MAX_BYTES", 2 << 20)
    line = with_entry([0, "signal", {"name": "x" * (1 << 20)}])[len(LINES[0]) :]
    assert file.read(saved(tmp_path, gzip.compress(LINES[0] + line))).entries
    assert (
        refusal(tmp_path, gzip.compress(LINES[0] + line * 2)) == "holds more than 2 MiB, which no tape does"
    )


def test_a_pipe_a_folder_and_a_device_are_no_tapes(tmp_path: Path) -> None:
    """A pipe nobody writes to would be waited for without an end."""
    os.mkfifo(tmp_path / "pipe.tape")
    for path in (tmp_path / "pipe.tape", tmp_path, Path("/dev/zero")):
        with pytest.raises(TapeError, match="no tape: it is no file"):
            file.read(path)


@pytest.mark.parametrize("name", ["gone.tape", "x" * 300])
def test_a_tape_that_is_not_there_is_said_to_be_missing(tmp_path: Path, name: str) -> None:
    with pytest.raises(TapeError, match=r"cannot be read: (No such file|File name too long)"):
        file.read(tmp_path / name)


def test_a_tape_that_was_cut_off_anywhere_is_read_up_to_there(tmp_path: Path) -> None:
    """Of the plain form each byte, as of the gzip the decompressor decides what comes out."""
    first, last = len(LINES[0]), len(RAW) - len(LINES[-1])
    for length in range(first, len(RAW) - 1):
        tape = file.read(saved(tmp_path, RAW[:length]))
        assert not tape.whole
        assert tape.entries == ENTRIES[: RAW[first:length].count(b"\n")]
        assert length < last or tape.entries == ENTRIES


def test_a_gzip_that_was_cut_off_anywhere_never_says_more_than_was_written(tmp_path: Path) -> None:
    for length in range(0, len(PACKED), 3):
        try:
            tape = file.read(saved(tmp_path, PACKED[:length]))
        except TapeError as error:
            assert "cut off within its first line" in str(error)  # noqa: PT017  # either may be
        else:
            assert tape.entries == ENTRIES[: len(tape.entries)]
            assert not tape.whole or length > len(PACKED) - 16


def test_members_one_behind_the_other_are_one_tape(tmp_path: Path) -> None:
    members = [gzip.compress(line) for line in LINES]
    assert file.read(saved(tmp_path, b"".join(members))).whole
    killed = file.read(saved(tmp_path, b"".join(members[:5])[:-12]))
    assert not killed.whole
    assert killed.entries == ENTRIES[: len(killed.entries)]
    assert len(killed.entries) >= 3


def test_zeros_after_the_last_member_are_what_a_machine_without_power_left(tmp_path: Path) -> None:
    members = b"".join(gzip.compress(line) for line in LINES[:5])
    tape = file.read(saved(tmp_path, members + b"\0" * 300_000))
    assert (tape.whole, tape.entries) == (False, ENTRIES[:4])


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "run.tape"
    file.write(path, HEADER, ENTRIES)
    tape = file.read(path)
    assert tape == file.Tape(HEADER, ENTRIES, whole=True, path=path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_equal_content_is_equal_bytes(tmp_path: Path) -> None:
    path = tmp_path / "run.tape"
    file.write(path, HEADER, ENTRIES)
    tape = file.read(path)
    again = tmp_path / "another.tape"
    file.write(again, tape.header, tape.entries)
    assert again.read_bytes() == path.read_bytes() == PACKED
    assert PACKED[:10] == bytes.fromhex("1f8b08000000000000ff")


def test_a_write_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = saved(tmp_path, PACKED)
    with pytest.raises(ValueError, match="Out of range float"):
        file.write(path, HEADER, [file.Entry(float("nan"), "signal", {"name": "x"})])
    assert path.read_bytes() == PACKED
    assert list(tmp_path.iterdir()) == [path]


def test_text_that_no_utf_8_has_does_not_stop_the_writer(tmp_path: Path) -> None:
    path = tmp_path / "run.tape"
    file.write(path, HEADER, [file.Entry(0.0, "signal", {"name": "x\udc80"})])
    assert file.read(path).entries[0].data == {"name": "x?"}
