"""The world that is shipped for the tests of others."""

from __future__ import annotations

import pytest

from ferryman.engine.clock import stamp
from ferryman.errors import WorldChangedError
from ferryman.testing import Cut, Cuts, FakeWorld, Killed, TurningClock


def kill() -> None:
    raise Killed


def test_a_write_over_something_unexpected_is_refused() -> None:
    world = FakeWorld(None, a="other")

    with pytest.raises(WorldChangedError, match="a: is other, expected old"):
        world.write("a", "new", expected="old")

    assert world.values == {"a": "other"}


@pytest.mark.parametrize(("when", "value"), [("before", "old"), ("after", "new")])
def test_a_cut_falls_before_or_after_the_effect(when: str, value: str) -> None:
    world = FakeWorld(Cuts(Cut(1, when, kill)), a="old")  # type: ignore[arg-type]  # the parameters are its values
    world.read("a")

    with pytest.raises(Killed):
        world.write("a", "new", expected="old")

    assert world.values == {"a": value}


def test_nothing_that_handles_errors_handles_a_kill() -> None:
    assert not issubclass(Killed, Exception)


def test_the_clock_stands_until_it_is_turned() -> None:
    clock = TurningClock()
    clock.turn(90.5)

    assert (stamp(clock.now()), clock.monotonic()) == ("2026-11-22T22:21:13.500Z", 90.5)
