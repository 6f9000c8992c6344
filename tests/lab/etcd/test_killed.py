"""Runs killed at every call, to etcd and to the world, just before and after: another process goes on."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Literal

from ferryman.testing import Cut, Cuts, Killed
from lab.etcd.hosts import ControlHosts, plan, world
from lab.etcd.torture import attempt, expect_settled, some

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ferryman.testing import FakeWorld, Moment, WayOn

Host = Literal["one", "two"]
MOMENTS: tuple[Moment, ...] = ("before", "after")
WAYS: tuple[WayOn, ...] = ("resume", "rollback")
HOSTS: tuple[Host, ...] = ("one", "two")
Trial = tuple[int, "Moment", "WayOn", Host]


def kill() -> None:
    raise Killed


def calls_of_a_run(hosts: ControlHosts) -> int:
    cuts = Cuts()
    hosts.perform(plan(world(cuts)), "one", cuts)
    hosts.cluster.clear()
    return cuts.calls


def is_open(hosts: ControlHosts) -> bool:
    return any(run.is_open for run in hosts.onlooker.runs())


def refuse_a_stranger(hosts: ControlHosts, fake: FakeWorld, way: WayOn) -> None:
    """While the lease lives, another host cannot know that the process is dead."""
    before = dict(fake.values)
    assert hosts.go_on(plan(fake), way, "stranger").outcome == "busy"
    assert fake.values == before


def test_a_run_killed_at_any_call_is_ended_by_another_process(hosts: ControlHosts) -> None:
    trials: Sequence[Trial] = list(product(range(calls_of_a_run(hosts)), MOMENTS, WAYS, HOSTS))
    tried = some(trials, 7)
    for at, moment, way, host in tried:
        cuts = Cuts(Cut(at, moment, kill))
        fake = world(cuts)
        assert attempt(lambda: hosts.perform(plan(fake), "one", cuts)) is None  # noqa: B023  # called at once
        if is_open(hosts):
            if host != "one":
                refuse_a_stranger(hosts, fake, way)
                hosts.cluster.end_leases()
            ending = hosts.go_on(plan(fake), way, host)
            assert ending.outcome == ("done" if way == "resume" else "rolled-back"), (at, moment, way, host)
        expect_settled(hosts, fake.values, (at, moment, way, host))
        hosts.cluster.clear()

    assert len(tried) >= 40


def test_whoever_takes_it_up_may_be_killed_at_any_call_too(hosts: ControlHosts) -> None:
    halfway = calls_of_a_run(hosts) * 2 // 3
    trials = list(product(range(halfway + 1, halfway + 40), MOMENTS, WAYS, HOSTS))
    killed_twice = 0
    for at, moment, way, host in some(trials, 17):
        cuts = Cuts(Cut(halfway, "after", kill), Cut(at, moment, kill))
        fake = world(cuts)
        attempt(lambda: hosts.perform(plan(fake), "one", cuts))  # noqa: B023  # called at once
        hosts.cluster.end_leases()
        killed_twice += attempt(lambda: hosts.go_on(plan(fake), way, host, cuts)) is None  # noqa: B023
        if is_open(hosts):
            hosts.go_on(plan(fake), way, host)
        expect_settled(hosts, fake.values, (at, moment, way, host))
        hosts.cluster.clear()

    assert killed_twice >= 12
