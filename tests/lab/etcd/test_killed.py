"""Runs killed at every call, to etcd and to the world, just before and after: another process goes on."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Literal

from ferryman.testing import Cut, Cuts, Killed
from lab.etcd.hosts import ControlHosts, plan, world
from lab.etcd.torture import attempt, expect_settled, some

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ferryman.testing import FakeWorld, RecoveryCommand, When

Host = Literal["one", "two"]
WHEN_CUT: tuple[When, ...] = ("before", "after")
COMMANDS: tuple[RecoveryCommand, ...] = ("resume", "rollback")
HOSTS: tuple[Host, ...] = ("one", "two")
Trial = tuple[int, "When", "RecoveryCommand", Host]


def kill() -> None:
    raise Killed


def calls_of_a_run(hosts: ControlHosts) -> int:
    cuts = Cuts()
    hosts.perform(plan(world(cuts)), "one", cuts)
    hosts.cluster.clear()
    return cuts.calls


def is_open(hosts: ControlHosts) -> bool:
    return any(run.is_open for run in hosts.onlooker.runs())


def refuse_a_third_party(hosts: ControlHosts, fake: FakeWorld, command: RecoveryCommand) -> None:
    """While the lease lives, another host cannot know that the process is dead."""
    before = dict(fake.values)
    assert hosts.recover(plan(fake), command, "third").outcome == "busy"
    assert fake.values == before


def test_a_run_killed_at_any_call_is_ended_by_another_process(hosts: ControlHosts) -> None:
    trials: Sequence[Trial] = list(product(range(calls_of_a_run(hosts)), WHEN_CUT, COMMANDS, HOSTS))
    tried = some(trials, 7)
    for at, when, command, host in tried:
        cuts = Cuts(Cut(at, when, kill))
        fake = world(cuts)
        assert attempt(lambda: hosts.perform(plan(fake), "one", cuts)) is None  # noqa: B023  # called at once
        if is_open(hosts):
            if host != "one":
                refuse_a_third_party(hosts, fake, command)
                hosts.cluster.end_leases()
            ending = hosts.recover(plan(fake), command, host)
            assert ending.outcome == ("done" if command == "resume" else "rolled-back"), (
                at,
                when,
                command,
                host,
            )
        expect_settled(hosts, fake.values, (at, when, command, host))
        hosts.cluster.clear()

    assert len(tried) >= 40


def test_whoever_takes_it_up_may_be_killed_at_any_call_too(hosts: ControlHosts) -> None:
    halfway = calls_of_a_run(hosts) * 2 // 3
    trials = list(product(range(halfway + 1, halfway + 40), WHEN_CUT, COMMANDS, HOSTS))
    killed_twice = 0
    for at, when, command, host in some(trials, 17):
        cuts = Cuts(Cut(halfway, "after", kill), Cut(at, when, kill))
        fake = world(cuts)
        attempt(lambda: hosts.perform(plan(fake), "one", cuts))  # noqa: B023  # called at once
        hosts.cluster.end_leases()
        killed_twice += attempt(lambda: hosts.recover(plan(fake), command, host, cuts)) is None  # noqa: B023
        if is_open(hosts):
            hosts.recover(plan(fake), command, host)
        expect_settled(hosts, fake.values, (at, when, command, host))
        hosts.cluster.clear()

    assert killed_twice >= 12
