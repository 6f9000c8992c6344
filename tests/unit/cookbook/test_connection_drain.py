"""How long the connections of before live on."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from ferryman.cookbook.connection_drain import ConnectionDrain
from ferryman.directors import Connection

HELD = Connection(
    "TCP",
    ip_address("10.20.0.2"),
    40_000,
    ip_address("10.99.0.1"),
    80,
    ip_address("10.10.0.21"),
    80,
    "ESTABLISHED",
)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, as its only element."""
    now = [100.0]
    monkeypatch.setattr("ferryman.cookbook.connection_drain.waits.monotonic", lambda: now[0])
    return now


def look(one: ConnectionDrain, *now: Connection) -> int:
    return one.look(now, closing=False, without=())


def test_the_end_of_the_last_one_is_known_as_exactly_as_it_was_looked_at(clock: list[float]) -> None:
    one = ConnectionDrain(frozenset({HELD}), clock[0])
    clock[0] = 112.0
    assert look(one, HELD) == 1
    assert str(one) == "not ended"
    clock[0] = 117.0
    assert look(one) == 0
    clock[0] = 180.0
    assert look(one) == 0
    assert str(one) == "the last ended 12 to 17 s after the edit"


def test_one_that_was_never_seen_again_ended_before_the_first_look(clock: list[float]) -> None:
    one = ConnectionDrain(frozenset({HELD}), clock[0])
    clock[0] = 109.0
    assert look(one) == 0
    assert str(one) == "the last ended within 9 s"


def test_a_client_that_uses_its_port_again_has_begun_another_one(clock: list[float]) -> None:
    one = ConnectionDrain(frozenset({HELD}), clock[0])
    look(one)
    assert look(one, HELD) == 0
    assert (one.count, str(one)) == (1, "the last ended within 0 s")


def test_new_connections_and_our_own_do_not_count(clock: list[float]) -> None:
    one = ConnectionDrain(frozenset({HELD}), clock[0])
    new = replace(HELD, client_port=40_001)
    assert one.look([HELD, new], closing=False, without={(HELD.client, HELD.client_port)}) == 0
