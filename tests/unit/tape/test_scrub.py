"""Tapes without names and addresses: nothing of the original is left, and what was equal still is."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP

from ferryman.cli import main
from ferryman.tape import file
from ferryman.tape.file import Entry, Tape
from ferryman.tape.scrub.addresses import AddressMap, is_kept
from ferryman.tape.scrub.pseudonyms import name_pseudonyms
from ferryman.tape.scrub.scrub import scrub
from ferryman.tape.scrub.verify import verify
from unit.tape.scrubbing import MAC, NETWORK, V4, V6, call, tape_of

if TYPE_CHECKING:
    from pathlib import Path

KEY = b"k" * 32
HOSTILE = [
    *(
        "value",
        "step",
        "10",
        "a",
        "host",
        "event",
        "call",
        "null",
        "true",
        "arguments",
        "web1|web2",
        "a.*b",
        "(x",
        "$ip",
    ),
    *(
        "büro-1",
        "日本",
        "we b",
        "'quoted\"",
        "back\\slash",
        "%41",
        "x" * 63,
        "kind",
        "sites",
        "address",
        "check",
        "ip",
    ),
    *(
        "rp-filter",
        "tcp",
        "1",
        "0",
        "-",
        "_",
        "0a400e00",
        "::",
        "lvs",
        "services",
        "yaml",
        "word",
        "T",
        "e",
        "finding",
    ),
]


def text_of(tape: Tape) -> str:
    return "\n".join(
        json.dumps(line, ensure_ascii=False)
        for line in (tape.header.as_json(), *(entry.as_json() for entry in tape.entries))
    )


def test_no_name_and_no_address_is_left_in_any_form() -> None:
    tape = tape_of()
    scrubbed = scrub(tape, KEY)
    assert verify(tape, scrubbed.tape) == []
    text = text_of(scrubbed.tape).casefold()
    for original in (
        "web1",
        "static",
        "codfw",
        "anna",
        "joan",
        "deploy1",
        "wmnet",
        "kube7",
        "t424242",
        "ferryuser",
    ):
        assert original not in text
    for original in (
        V4,
        V6,
        MAC,
        NETWORK,
        "208.80",
        "0a40000e",
        "0e00400a",
        "2620",
        "10-64-0-14",
        "aa:00:5e",
    ):
        assert original not in text


LATER = pytest.mark.extended


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("role", ["host", *(pytest.param(role, marks=LATER) for role in ("service", "site"))])
def test_hostile_names_leave_nothing_and_the_format_stays(tmp_path: Path, name: str, role: str) -> None:
    tape = tape_of(**{role: name})
    scrubbed = scrub(tape, KEY).tape
    assert verify(tape, scrubbed) == []
    path = tmp_path / "scrubbed.tape"
    file.write(path, scrubbed.header, scrubbed.entries)
    read = file.read(path)
    assert [entry.kind for entry in read.entries] == [entry.kind for entry in tape.entries]
    for old, new in zip(tape.entries, read.entries, strict=True):
        assert old.data.keys() == new.data.keys()
        words = ("port", "verb", "lane", "event", "check", "verdict", "phase", "outcome")
        assert [old.data.get(key) for key in words] == [new.data.get(key) for key in words]
    assert read.entries[1].data["value"].keys() == tape.entries[1].data["value"].keys()
    entry = yaml.safe_load(read.header.inventory["services.yaml"])["service::catalog"]
    (service,) = entry.values()
    assert service["lvs"]["class"] == "low-traffic"
    assert service["port"] == 80
    assert ip_address(next(iter(service["ip"].values()))["default"]) in ip_network("10.0.0.0/8")


@settings(deadline=None, max_examples=60, phases=[Phase.explicit, Phase.generate])
@given(
    host=st.text(
        st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp", "Zs")),
        min_size=1,
        max_size=12,
    ),
    service=st.from_regex(r"[a-z][a-z0-9-]{0,20}", fullmatch=True),
)
def test_whatever_a_host_is_called_nothing_of_it_is_left(host: str, service: str) -> None:
    tape = tape_of(host=host, service=service)
    assert verify(tape, scrub(tape, KEY).tape) == []


@settings(deadline=None, max_examples=60)
@given(
    addresses=st.sets(st.ip_addresses(), min_size=1, max_size=12),
    near=st.ip_addresses(v=4),
)
def test_addresses_are_new_inside_their_home_and_as_near_to_each_other(
    addresses: set[IPv4Address | IPv6Address], near: IPv4Address | IPv6Address
) -> None:
    everybody = {each for each in (*addresses, near, ip_address(int(near) ^ 1)) if not is_kept(each)}
    mapped = AddressMap(KEY, everybody, ())
    images = {each: mapped.address(each) for each in everybody}
    assert len(set(images.values())) == len(images)
    for address, image in images.items():
        if address.version == 4:
            assert image in ip_network("10.0.0.0/8")
        elif not (address.is_link_local or address.ipv4_mapped):
            assert image in ip_network("fd00::/8") or address in ip_network("64:ff9b::/96")
    for version, bits in ((4, 32), (6, 128)):
        mine = [
            each
            for each in everybody
            if each.version == version and int(each) >> (bits - 8) == int(near) >> 24
        ]
        assert [images[each] for each in sorted(mine)] == sorted(images[each] for each in mine)


def test_networks_keep_their_lengths_and_what_is_in_them() -> None:
    networks = [
        ip_network(text) for text in ("10.64.0.0/22", "10.64.16.0/22", "208.80.152.0/22", "2620:0:861::/48")
    ]
    inside = [network[1] for network in networks]
    mapped = AddressMap(KEY, inside, networks)
    for network, address in zip(networks, inside, strict=True):
        image = mapped.network(network)
        assert image != network
        assert image.prefixlen == network.prefixlen
        others = [
            mapped.address(other) for other in inside if other != address and other.version == network.version
        ]
        assert mapped.address(address) in image
        assert not any(other in image for other in others)


def test_names_keep_their_order_and_their_numbers() -> None:
    names = ["web1", "web2", "web10", "lb1", "lb2", "static", "static-a", "10", "a"]
    made = name_pseudonyms(KEY, names, "")
    assert [made[name] for name in sorted(names)] == sorted(made.values())
    assert made["web1"][:-1] == made["web2"][:-1] == made["web10"][:-2]
    assert [made[name][-1] for name in ("web1", "web2", "lb2")] == ["1", "2", "2"]
    assert len(set(made.values())) == len(names)


def test_pseudonyms_are_no_words_that_were_on_the_tape() -> None:
    first = name_pseudonyms(KEY, ["web"], "")["web"]
    assert name_pseudonyms(KEY, ["web"], f"x{first.upper()}x")["web"] != first


def test_the_key_decides() -> None:
    tape = tape_of()
    assert scrub(tape, KEY) == scrub(tape, KEY)
    assert scrub(tape, KEY).tape != scrub(tape, b"another key that is long").tape


def test_the_same_name_has_the_same_pseudonym_everywhere() -> None:
    tape = scrub(tape_of(), KEY).tape
    host = tape.entries[0].data["host"]
    assert tape.header.plan[0].about[1] == host
    assert tape.entries[1].data["value"]["host"] == host
    assert tape.entries[7].data["host"] == host
    assert host in yaml.safe_load(tape.header.inventory["hosts.yaml"])
    service = tape.header.arguments["service"]
    assert tape.header.plan[0].title == f"Every realserver of {service} is ready"


def test_digests_are_those_of_the_texts_with_pseudonyms() -> None:
    tape = scrub(tape_of(), KEY).tape
    text = tape.entries[4].data["value"]["content"]
    digest = sha256(text.encode()).hexdigest()
    assert tape.entries[4].data["value"]["sha256"] == digest
    assert tape.entries[5].data["arguments"]["sha256"] == digest


def test_packets_have_new_addresses_and_checksums_that_fit() -> None:
    old, new = tape_of(), scrub(tape_of(), KEY).tape
    before, after = (IP(bytes.fromhex(tape.entries[8].data["hex"])) for tape in (old, new))
    assert len(before) == len(after)
    assert after.dst == new.entries[1].data["value"]["realserver_address"]["$ip"]
    again = after.copy()
    for layer in (again, again.payload, again[TCP]):
        del layer.chksum
    assert bytes(again) == bytes(after)
    assert [after.src, after.payload.src] == [after.src] * 2


def test_equal_secrets_are_still_equal_and_others_than_before() -> None:
    tape = tape_of()
    secret = {"$secret": "0011223344556677"}
    tape = replace(tape, entries=(*tape.entries, call("x", "web1", [secret, secret, {"$secret": "aa"}])))
    first, second, third = scrub(tape, KEY).tape.entries[-1].data["value"]
    assert first == second != third
    assert first != secret
    assert len(first["$secret"]) == 16


def test_the_verifier_finds_what_is_left_in_every_form() -> None:
    """Of the original itself it must find every form that is on it: else its silence proves nothing."""
    tape = tape_of()
    found = "\n".join(verify(tape, tape))
    for wanted in (
        *(
            "the name 'web1'",
            "the name 'WEB1'",
            "the name 'web1' (encoded)",
            "the name 'web1' (percent-encoded)",
        ),
        *(
            f"the address {V4}",
            f"the address {V6}",
            f"the address {V4} (encoded)",
            f"the address {V4} (as bytes)",
        ),
        *(
            f"the address {MAC}",
            f"the address {NETWORK}",
            "the key or fingerprint",
            "the name 'because Joan asked'",
        ),
    ):
        assert wanted in found


@pytest.mark.parametrize(
    "left",
    [
        *(
            "deploy1",
            "DEPLOY1",
            "xdeploy1y",
            "ZGVwbG95MQ==",
            "xxxxZGVwbG95MSBpcyB1cA",
            "6465706c6f7931",
            "%64eploy1",
        ),
        *("\\u0064eploy1", V4, f"dst={V4}", "0A40000E", "0e00400a", "171966478", "10-64-0-14", f"[{V6}]:1"),
        *("20010db8", "2620000008610101001000640000" + "0014", "14.0.64.10.in-addr.arpa", MAC.upper()),
        *(
            "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQ",
            "Authorization: Bearer abcdefghijklmnop",
        ),
    ],
)
def test_one_thing_left_anywhere_is_found(left: str) -> None:
    tape = tape_of()
    scrubbed = scrub(tape, KEY).tape
    for place in (call("x", "", {"deep": [{"$tuple": [left]}]}), Entry(0.0, "outcome", outcome(left))):
        found = verify(tape, replace(scrubbed, entries=(*scrubbed.entries, place)))
        assert bool(found) is (left != "20010db8"), found


def outcome(reason: str) -> dict[str, Any]:
    return {"outcome": "done", "exit_code": 0, "reason": reason, "seconds": 1.0}


def exit_code_of(*arguments: str) -> object:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    return left.value.code


@pytest.fixture
def original(tmp_path: Path) -> Path:
    path, tape = tmp_path / "run.tape", tape_of()
    file.write(path, tape.header, tape.entries)
    return path


@pytest.mark.parametrize(
    "piece", ["a", "0", ":", "::1 ", "a:", "1.", "1-", "%41", "/x", "@", "://", "AAAAB", "\\u0041"]
)
def test_a_text_of_much_of_the_same_ends_all_the_same(piece: str) -> None:
    """With patterns that try every way through a text, this would take minutes."""
    tape = tape_of(more=piece * (30_000 // len(piece)))
    assert verify(tape, scrub(tape, KEY).tape) == []


def test_the_command_writes_a_tape_that_it_has_verified(
    original: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, key = original.with_name("out.tape"), original.with_name("key")
    key.write_bytes(KEY)
    assert exit_code_of("tape", "scrub", str(original), "--out", str(out), "--key-file", str(key)) == 0
    assert "no original is left" in capsys.readouterr().out
    written = out.read_bytes()
    assert verify(file.read(original), file.read(out)) == []
    assert exit_code_of("tape", "scrub", str(original), "--out", str(out), "--key-file", str(key)) == 0
    assert out.read_bytes() == written
    assert exit_code_of("tape", "scrub", str(original), "--out", str(out)) == 0
    assert out.read_bytes() != written


def test_the_command_writes_nothing_where_something_would_be_left(
    original: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A mock in the verifier's place: the scrubber leaves nothing that the verifier is known to find."""
    monkeypatch.setattr("ferryman.tape.scrub.verify.verify", lambda *_: ["line 3: the name 'web1'"])
    out = original.with_name("out.tape")
    assert exit_code_of("tape", "scrub", str(original), "--out", str(out)) == 2
    said = capsys.readouterr().err
    assert "something of the original would be left; nothing was written" in said
    assert "line 3: the name 'web1'" in said
    assert not out.exists()


def test_a_tape_that_was_cut_off_stays_one(original: Path) -> None:
    tape, out = file.read(original), original.with_name("out.tape")
    file.write(original, tape.header, tape.entries, whole=False)
    assert exit_code_of("tape", "scrub", str(original), "--out", str(out)) == 0
    assert not file.read(out).whole
    assert len(file.read(out).entries) == len(tape.entries)


def test_the_original_is_never_written_over(original: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = original.read_bytes()
    assert exit_code_of("tape", "scrub", str(original), "--out", str(original)) == 2
    assert "is the tape itself" in capsys.readouterr().err
    assert original.read_bytes() == before


def test_a_key_that_is_too_short_is_refused(original: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key, out = original.with_name("key"), original.with_name("out.tape")
    key.write_bytes(b"short")
    assert exit_code_of("tape", "scrub", str(original), "--out", str(out), "--key-file", str(key)) == 2
    assert "has 5 bytes, wanted 16 at least" in capsys.readouterr().err
    assert not out.exists()
