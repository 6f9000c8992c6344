"""Scenarios on labs side by side; labs, and what is played on them, are stood in for: none is booted."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from ferryman.errors import LabError
from ferryman.lab.topology import DEFAULT
from ferryman.rehearsal import suite
from ferryman.rehearsal.results import Result

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OTHER = SimpleNamespace(name="another topology")


class Labs:
    """Opens stages that keep what was done to them."""

    def __init__(self, *, fails: bool = False) -> None:
        self.open = 0
        self.opened = 0
        self.cleaned: list[str] = []
        self._fails = fails

    @contextmanager
    def __call__(self) -> Iterator[Any]:
        self.open += 1
        self.opened += 1
        stage = SimpleNamespace(name=f"lab {self.opened}", topology=DEFAULT)

        def put_back() -> list[str]:
            self.cleaned.append(stage.name)
            return []

        stage.put_back = put_back
        try:
            if self._fails:
                raise LabError("cannot be booted")
            yield stage
        finally:
            self.open -= 1


def scenario(name: str, topology: Any = DEFAULT) -> Any:  # noqa: ANN401
    return SimpleNamespace(name=name, topology=topology)


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the scenarios in the order in which they were played."""
    order: list[str] = []

    def play(scenario: Any, stage: Any, tell: object, is_stopped: Callable[[], bool]) -> Result:  # noqa: ANN401
        order.append(scenario.name)
        stage.topology = scenario.topology
        if scenario.name == "interrupts":
            raise KeyboardInterrupt
        if scenario.name == "is interrupted":
            os.kill(os.getpid(), signal.SIGINT)
            while not is_stopped():
                time.sleep(0.01)
            raise KeyboardInterrupt
        return Result(scenario.name, Path(scenario.name), "")

    monkeypatch.setattr(suite, "play", play)
    return order


def rehearse(scenarios: list[Any], labs: Labs, count: int = 1) -> list[str]:
    told = suite.rehearse(scenarios, labs, labs=count, tell=lambda name, line: None)
    return [result.name for result in told]


def test_one_lab_plays_all_those_of_one_topology_together_and_is_put_back_in_between(
    played: list[str],
) -> None:
    labs = Labs()
    scenarios = [scenario("a"), scenario("x", OTHER), scenario("b"), scenario("y", OTHER)]
    assert rehearse(scenarios, labs) == ["a", "x", "b", "y"]
    assert played == ["a", "b", "x", "y"]
    assert labs.cleaned == ["lab 1"] * 3
    assert (labs.opened, labs.open) == (1, 0)


def test_each_scenario_is_played_once_however_many_labs_there_are(played: list[str]) -> None:
    names = [f"s{number}" for number in range(12)]
    labs = Labs()
    assert rehearse([scenario(name) for name in names], labs, 4) == names
    assert sorted(played) == sorted(names)
    assert labs.open == 0


def test_no_more_labs_are_booted_than_there_are_scenarios(played: list[str]) -> None:
    labs = Labs()
    rehearse([scenario("a")], labs, 8)
    assert labs.opened == 1


def test_a_lab_that_cannot_be_booted_ends_all_with_its_reason(played: list[str]) -> None:
    labs = Labs(fails=True)
    with pytest.raises(LabError, match="cannot be booted"):
        rehearse([scenario("a"), scenario("b")], labs, 2)
    assert labs.open == 0


def test_the_operators_interruption_waits_until_every_lab_is_down(played: list[str]) -> None:
    labs = Labs()
    with pytest.raises(KeyboardInterrupt):
        rehearse([scenario("is interrupted"), scenario("other")], labs)
    assert labs.open == 0
    assert played == ["is interrupted"]


def test_an_interruption_takes_every_lab_down_first(played: list[str]) -> None:
    labs = Labs()
    with pytest.raises(KeyboardInterrupt):
        rehearse([scenario("interrupts"), *(scenario(f"s{number}") for number in range(50))], labs, 2)
    assert labs.open == 0
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("lab ")] == []
