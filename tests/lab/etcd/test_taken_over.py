"""A process that was away for too long: another host took its run over, and it must not touch a thing."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import pytest

from ferryman.engine.plan import Plan
from ferryman.engine.runner import Runner
from ferryman.engine.steps import Look
from ferryman.errors import VerifyError
from ferryman.testing import Becomes, Cut, Cuts, FakeWorld, Is, TurningClock
from lab.etcd.hosts import OLD, REQUEST
from lab.etcd.torture import expect_settled, some

if TYPE_CHECKING:
    from collections.abc import Callable

    from ferryman.engine.steps import Report
    from ferryman.outcomes import RunResult
    from ferryman.testing import RecoveryCommand, When
    from lab.etcd.hosts import ControlHosts

WHEN_CUT: tuple[When, ...] = ("before", "after")
COMMANDS: tuple[RecoveryCommand, ...] = ("resume", "rollback")


class WatchedWorld(FakeWorld):
    """Says whether somebody is in the middle of changing it, and whether it was looked at in the end."""

    acting = False
    looked = False


@dataclass(frozen=True)
class Watched(Becomes):
    """{key} becomes {wanted}."""

    world: WatchedWorld

    def do(self, before: str) -> None:
        self.world.acting = True
        super().do(before)
        self.world.acting = False

    def undo(self, before: str) -> None:
        self.world.acting = True
        super().undo(before)
        self.world.acting = False


@dataclass(frozen=True)
class Fickle(Look):
    """Whoever looks first finds it wrong."""

    world: WatchedWorld

    def look(self, report: Report) -> None:
        if not self.world.looked:
            self.world.looked = True
            raise VerifyError("wrong for the first one")


def going_over(world: WatchedWorld) -> Plan:
    return Plan([Watched(world, "a", "new"), Is(world, "a", "new"), Watched(world, "b", "new")], ["web"])


def coming_back(world: WatchedWorld) -> Plan:
    """The first one has to come back from the far bank; whoever resumes it may stay there."""
    return Plan([Watched(world, "a", "new"), Watched(world, "b", "new"), Fickle(world)], ["web"])


@dataclass
class Absence:
    """A process is away for longer than its lease, and another host ends its run meanwhile.

    Not while it is in the middle of a change: what is on its way to a host cannot be called back.
    """

    hosts: ControlHosts
    command: RecoveryCommand
    plan: Callable[[WatchedWorld], Plan]
    clock: TurningClock
    world: WatchedWorld | None = None
    ended: RunResult | None = None

    def __call__(self) -> None:
        assert self.world is not None
        if self.world.acting or not any(run.is_open for run in self.hosts.onlooker.runs()):
            return
        self.clock.turn(self.hosts.lease_s)
        self.hosts.cluster.end_leases()
        self.ended = self.hosts.recover(self.plan(self.world), self.command, "two")
        self.left = dict(self.world.values)


@pytest.mark.parametrize("plan", [going_over, coming_back])
def test_a_run_that_is_taken_over_at_any_call_changes_nothing_more(
    hosts: ControlHosts, plan: Callable[[WatchedWorld], Plan]
) -> None:
    taken_over = 0
    for at, when, command in some(list(product(range(calls_of_a_run(hosts, plan)), WHEN_CUT, COMMANDS)), 7):
        absence = Absence(hosts, command, plan, clock := TurningClock())
        cuts = Cuts(Cut(at, when, absence))
        absence.world = fake = WatchedWorld(cuts, **OLD)
        ending = Runner(store=hosts.store("one", cuts, clock), clock=clock).perform(REQUEST, plan(fake))
        if absence.ended is not None:
            taken_over += 1
            assert ending.exit_code != 0, (at, when, command, ending)
            assert fake.values == absence.left, (at, when, command, ending)
        expect_settled(hosts, fake.values, (at, when, command))
        hosts.cluster.clear()

    assert taken_over > 10


def calls_of_a_run(hosts: ControlHosts, plan: Callable[[WatchedWorld], Plan]) -> int:
    cuts = Cuts()
    Runner(store=hosts.store("one", cuts)).perform(REQUEST, plan(WatchedWorld(cuts, **OLD)))
    hosts.cluster.clear()
    return cuts.calls
