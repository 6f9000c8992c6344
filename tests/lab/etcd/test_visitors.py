"""Other processes that come and go all the while, on other control hosts: a run is not disturbed."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import pytest

from ferryman.engine.runner import Runner
from ferryman.testing import Cut, Cuts, Killed
from lab.etcd.hosts import NEW, OLD, REQUEST, ControlHosts, plan, world
from lab.etcd.torture import attempt, some

if TYPE_CHECKING:
    from ferryman.testing import FakeWorld, RecoveryCommand

CALLS = 24
"""More than a run and its rollback make to the world."""
COMMANDS: tuple[RecoveryCommand, ...] = ("resume", "rollback")


@dataclass
class Visitors:
    """Each looks at the runs, tries one of its own on the same service, and tries to take this one over."""

    hosts: ControlHosts
    came: int = 0

    def __call__(self) -> None:
        store = self.hosts.store("visitor")
        for entry in store.runs():
            assert store.faults(entry.id) == []
            assert store.show(entry.id)
        if any(lock.key == "web" for lock in store.locks()):
            fake = world()
            assert Runner(store=store).perform(REQUEST, plan(fake)).outcome == "busy"
            open_run = next(lock.run for lock in store.locks())
            assert Runner(store=store).roll_back(open_run, plan(fake)).outcome == "busy"
            assert fake.values == OLD
        store.close()
        self.came += 1

    def cuts(self, *others: Cut) -> Cuts:
        """They come before each call to the world."""
        return Cuts(*(Cut(at, "before", self) for at in range(CALLS)), *others)


def run_of(hosts: ControlHosts) -> str:
    """The one that has the lock; the latest is a visitor's."""
    return hosts.locked["web"]


def expect_all_settled(hosts: ControlHosts, fake: FakeWorld, run: str, wanted: dict[str, str]) -> None:
    entry = hosts.onlooker.run(run)
    assert (entry.is_open, fake.values, hosts.locked) == (False, wanted, {})
    assert hosts.onlooker.faults(run) == []


def test_a_run_ends_as_if_nobody_had_come(hosts: ControlHosts) -> None:
    visitors = Visitors(hosts)
    fake = world(visitors.cuts())

    ending = hosts.perform(plan(fake), "one")

    assert ending.outcome == "done"
    assert visitors.came > 10
    expect_all_settled(hosts, fake, ending.run, NEW)


@pytest.mark.parametrize("at", [5, 9, 10])
def test_a_run_that_is_killed_while_they_come_is_ended_by_another_process(
    hosts: ControlHosts, at: int
) -> None:
    def kill() -> None:
        raise Killed

    for command, host in some(list(product(COMMANDS, ("one", "three"))), 3):
        fake = world(Visitors(hosts).cuts(Cut(at, "after", kill)))
        assert attempt(lambda: hosts.perform(plan(fake), "one")) is None  # noqa: B023  # called at once
        hosts.cluster.end_leases()
        run, runner = run_of(hosts), Runner(store=hosts.store(host))

        ending = runner.resume(run, plan(fake)) if command == "resume" else runner.roll_back(run, plan(fake))

        assert ending.outcome == ("done" if command == "resume" else "rolled-back")
        expect_all_settled(hosts, fake, run, NEW if command == "resume" else OLD)
        hosts.cluster.clear()


def test_two_runs_side_by_side_disturb_each_other_no_more(hosts: ControlHosts) -> None:
    """One of another service begins and ends between any two calls of the first."""
    other = ControlHosts(hosts.cluster)
    done: list[str] = []

    def beside() -> None:
        fake = world()
        done.append(other.perform(plan(fake, "maps"), "two").outcome)

    fake = world(Cuts(*(Cut(at, "before", beside) for at in range(CALLS))))
    with other:
        ending = hosts.perform(plan(fake), "one")

    assert ending.outcome == "done"
    assert set(done) == {"done"}
    expect_all_settled(hosts, fake, ending.run, NEW)
