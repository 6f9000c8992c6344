"""Requests that are lost, answers that are lost, and requests that arrive a second time, much later."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx2
import pytest

from ferryman.engine.runner import Runner
from ferryman.errors import UnknownOutcomeError
from ferryman.state.etcd import gateway as etcd_gateway
from ferryman.testing import Cut, Cuts, Killed
from lab.etcd.hosts import REQUEST, CutTransport, plan, world
from lab.etcd.torture import attempt, expect_settled, some

if TYPE_CHECKING:
    from collections.abc import Callable

    from ferryman.outcomes import RunResult
    from ferryman.testing import RecoveryCommand, When
    from lab.etcd.hosts import ControlHosts


@pytest.fixture(autouse=True)
def _no_pause_before_the_next_try(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(etcd_gateway, "_PAUSE_S", 0.0)


def lose() -> None:
    raise httpx2.ConnectError("cut by the test")


def doubt() -> None:
    raise UnknownOutcomeError("cut by the test")


def kill() -> None:
    raise Killed


def calls_of(act: Callable[[Cuts], RunResult]) -> int:
    cuts = Cuts()
    act(cuts)
    return cuts.calls


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_run_whose_request_or_answer_is_lost_goes_on(hosts: ControlHosts, when: When) -> None:
    calls = calls_of(lambda cuts: hosts.perform(plan(world()), "one", cuts))
    hosts.cluster.clear()
    for at in some(range(calls), 2):
        fake = world()
        ending = hosts.perform(plan(fake), "one", Cuts(Cut(at, when, lose)))
        assert ending.outcome == "done", (at, ending)
        expect_settled(hosts, fake.values, (when, at))
        hosts.cluster.clear()


@pytest.mark.parametrize("command", ["resume", "rollback"])
def test_whoever_takes_a_held_run_up_goes_on_when_an_answer_is_lost(
    hosts: ControlHosts, command: RecoveryCommand
) -> None:
    at, calls = 0, 1
    while at < calls:
        fake = world(Cuts(Cut(5, "before", doubt)))  # while the first change is verified
        assert hosts.perform(plan(fake), "one").outcome == "held"
        cuts = Cuts(Cut(at, "after", lose))
        ending = hosts.recover(plan(fake), command, "two", cuts)
        assert ending.outcome == ("done" if command == "resume" else "rolled-back"), (at, ending)
        expect_settled(hosts, fake.values, at)
        hosts.cluster.clear()
        at, calls = at + 1, cuts.calls


def test_a_request_that_arrives_again_much_later_changes_nothing(hosts: ControlHosts) -> None:
    """Each is sent again at each later moment, and the process killed right then: what is left is sound."""
    calls = calls_of(lambda cuts: hosts.perform(plan(world()), "one", cuts))
    hosts.cluster.clear()
    late = [(first, then) for then in range(calls) for first in range(then)]
    for first, then in some(late, 23):
        transports: list[CutTransport] = []

        def arrive_and_die(first: int = first, transports: list[CutTransport] = transports) -> None:
            transports[0].send_again(first)
            raise Killed

        fake, cuts = world(), Cuts(Cut(then, "before", arrive_and_die))
        store = hosts.store("one", cuts)
        transports.append(hosts.transport(store))
        attempt(lambda: Runner(store=store).perform(REQUEST, plan(fake)))  # noqa: B023  # called at once
        hosts.cluster.end_leases()
        if any(run.is_open for run in hosts.onlooker.runs()):
            assert hosts.recover(plan(fake), "rollback", "two").outcome == "rolled-back", (first, then)
        expect_settled(hosts, fake.values, (first, then))
        hosts.cluster.clear()
