"""Values as JSON and back: what was recorded comes back equal, and nothing else is ever made of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv4Interface, IPv6Network, ip_address
from pathlib import Path

import pytest

from ferryman.errors import BusyError, CommandFailedError, UnreachableError
from ferryman.hosts.completed import Completed
from ferryman.ipvs.listing import read_table
from ferryman.kubernetes.cluster import ClusterUnreadableError, Node
from ferryman.model import IcmpReason, ProbeResult, ProbeVerdict, VirtualService
from ferryman.tape.codec import DEEPEST, NotDataError, classes, decode, decode_error, encode, encode_error
from ferryman.tape.keys import key_of_verb
from unit.directors.world import RULES
from unit.hosts.test_verbs import SAMPLES

WEB = VirtualService("web", "default", "tcp", ip_address("10.99.0.1"), 80, "wrr", ("sh-port",))
VALUES = (
    None,
    True,
    0,
    -1.5,
    "a text",
    b"\xff\x00",
    [1, [2]],
    (1, (2,)),
    frozenset({"b", "a"}),
    {"a": {"b": 1}},
    {("tcp", 80): 1, ("udp", 53): 2},
    {"$": "looks like a class"},
    ip_address("fd00::1"),
    IPv4Interface("10.0.0.1/24"),
    IPv6Network("fd00::/8"),
    datetime(2026, 11, 30, 12, 0, tzinfo=UTC),
    ProbeResult(
        "web1", WEB, ProbeVerdict.UNREACHABLE, 0.25, icmp_reasons=frozenset({IcmpReason.NO_TUNNEL_DEVICE})
    ),
    Completed("web1", "true", 0, "out", ""),
    (Node("node1", addresses=frozenset({"10.0.0.1"})),),
    read_table(RULES),
)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_value_comes_back_equal_through_json(value: object) -> None:
    assert decode(json.loads(json.dumps(encode(value)))) == value


@pytest.mark.parametrize("verb", SAMPLES, ids=lambda verb: verb.name)
def test_every_verb_has_a_key_that_is_the_same_for_the_same_question(verb: object) -> None:
    key = key_of_verb("lvs1", verb)  # type: ignore[arg-type]  # one of each
    assert json.loads(key.canonical)[:3] == ["hosts", "lvs1", key.verb]
    assert key.canonical == key_of_verb("lvs1", verb).canonical  # type: ignore[arg-type]
    assert "token" not in key.arguments
    assert not any(name.endswith("timeout_s") for name in key.arguments)


@pytest.mark.parametrize(
    "hostile",
    [
        {"$": "Path", "args": ["/etc/passwd"]},
        {"$": "Git", "folder": "/"},
        {"$": "os.system"},
        {"$": ["Finding"]},
        {"$": "Verdict"},
        {"$enum": "Finding", "name": "x"},
        {"$enum": "Verdict", "name": "__class__"},
        {"$enum": "Verdict"},
        {"$": "Finding", "check": "x"},
        {"$ip": "10.0.0.1/24"},
        {"$bytes": "?"},
        {"$time": "yesterday"},
        {"$set": [{}]},
        {"$map": [[1]]},
        {"$map": [[[], 1]]},
        {"$tuple": 3},
        {"$import": "os"},
    ],
    ids=str,
)
def test_what_is_no_value_of_a_known_class_is_refused(hostile: object) -> None:
    with pytest.raises(NotDataError):
        decode(hostile)


def test_a_value_that_is_nested_too_deeply_is_refused() -> None:
    nested: object = 1
    for _ in range(DEEPEST + 2):
        nested = [nested]
    with pytest.raises(NotDataError, match="too deeply"):
        decode(nested)


def test_fields_of_another_time_are_left_out() -> None:
    old = {**encode(Completed("web1", "true", 0, "", "")), "colour": "green"}
    assert decode(old) == Completed("web1", "true", 0, "", "")


def test_an_object_of_the_program_is_no_value() -> None:
    with pytest.raises(TypeError, match="no value that a tape can hold"):
        encode(object())
    assert encode(Path("/etc")) == "/etc"


@pytest.mark.parametrize(
    "error",
    [
        UnreachableError("web1: connect: no answer"),
        CommandFailedError("web1: it failed"),
        BusyError("another run", keys={"static"}, at_work=True),
        ClusterUnreadableError("the API server is away"),
    ],
)
def test_an_error_comes_back_as_what_it_was(error: Exception) -> None:
    back = decode_error(json.loads(json.dumps(encode_error(error))))
    assert type(back) is type(error)
    assert (str(back), vars(back)) == (str(error), vars(error))


def test_an_error_of_the_system_comes_back_as_one() -> None:
    assert isinstance(decode_error(encode_error(ConnectionRefusedError("no"))), OSError)


def test_an_unknown_error_is_a_bug_when_it_comes_back() -> None:
    assert type(decode_error({"type": "SystemExit", "message": "0"})) is RuntimeError


@pytest.mark.parametrize("broken", [None, {}, {"type": "DoubtError"}, {"type": "BusyError", "message": 1}])
def test_what_is_no_error_is_refused(broken: object) -> None:
    with pytest.raises(NotDataError):
        decode_error(broken)


def test_no_class_of_a_tape_reaches_a_process_a_file_or_the_network() -> None:
    assert all(not name.startswith("_") for name in classes())
    assert {"Git", "Fleet", "Catalog"}.isdisjoint(classes())
    assert decode(encode(IPv4Address("10.0.0.1"))) == IPv4Address("10.0.0.1")
