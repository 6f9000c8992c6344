"""Outages of etcd in every part of a run: how long until it stopped, until all was back, and how it ended.

``PYTHONPATH=lib:tests python -m lab.etcd.outages [LEASE …]`` prints the table. A change and its undo take a
tenth of the lease each. It takes some ten minutes for a lease of 6 seconds, and grows with the lease.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import dataclass, field
from enum import Enum
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from ferryman import retry
from ferryman.engine.plan import Plan
from ferryman.engine.runner import Runner
from ferryman.engine.steps import Look
from ferryman.errors import VerifyError
from ferryman.events import RunFinished, StepStarted
from ferryman.testing import Becomes, FakeWorld
from lab.etcd.cluster import Cluster, Member
from lab.etcd.hosts import OLD, REQUEST, ControlHosts
from lab.etcd.proxy import Network

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from ferryman.engine.steps import Report
    from ferryman.events import Occurrence
    from ferryman.model import Edit
    from ferryman.outcomes import RunResult

UNDO_TAKES = 0.1
"""Of the lease, like each change."""
TOO_SLOW = 0.6
"""Two of those are too long for what a third of the lease has left."""
SURVIVED, TOO_LONG = 0.5, 1.5
"""How long a run stays where the outage met it, in leases: if it goes on, and if it is to be stopped."""
SHORT_LEASE_S, LEADERS_LEASE_S = 6, 15
"""A third of the first is enough for a machine that is busy; a new leader may take two or three seconds."""


class Kind(Enum):
    """What happens to the cluster, as the control host sees it."""

    FROZEN = "all frozen"
    KILLED = "all killed"
    CUT = "partition"
    TWO = "two of three frozen"
    FOLLOWER = "a follower frozen"
    LEADER = "the leader frozen"

    @property
    def is_survived(self) -> bool:
        """Whether the run goes on."""
        return self in {Kind.FOLLOWER, Kind.LEADER}


class When(Enum):
    """Where the run is then."""

    QUESTION = "in the question"
    LOOK = "in a look"
    DO = "in a change"
    VERIFY = "in its verification"
    SOAK = "in a soak that polls"
    ROLLBACK = "in the rollback"


@dataclass
class Outage:
    """Comes when the run is there, which then stays there for a while."""

    kind: Kind
    when: When
    lease_s: float
    network: Network
    undo_takes: float = UNDO_TAKES
    began: float = 0.0

    def reach(self, moment: When) -> None:
        """Begin the outage, if the run is now in the part where it is to happen."""
        if moment is self.when and not self.began:
            self._begin()
            leases = SURVIVED if self.kind.is_survived else TOO_LONG
            if moment is When.SOAK:
                retry.poll_until(lambda: False, bool, within_s=leases * self.lease_s, every_s=0.1)
            elif moment not in {When.DO, When.ROLLBACK}:
                time.sleep(leases * self.lease_s)

    def confirm(self, edits: Sequence[Edit]) -> bool:
        """The operator thinks about it for long."""
        assert edits
        self.reach(When.QUESTION)
        return True

    def _begin(self) -> None:
        members = self.network.cluster.members
        leader = self.network.cluster.leader()
        followers = [member for member in members if member is not leader]
        match self.kind:
            case Kind.CUT:
                self.network.cut()
            case Kind.KILLED:
                _each(members, Member.kill)
            case Kind.FROZEN:
                _each(members, Member.freeze)
            case Kind.TWO:
                _each(followers, Member.freeze)
            case Kind.FOLLOWER:
                followers[0].freeze()
            case Kind.LEADER:
                leader.freeze()
        self.began = time.monotonic()


@dataclass(frozen=True)
class Staged(Becomes):
    """{key} becomes {wanted}."""

    outage: Outage

    def do(self, before: str) -> None:
        """Take a while; the outage comes when something stands already."""
        if self.key == "b":
            self.outage.reach(When.DO)
            time.sleep(UNDO_TAKES * self.outage.lease_s)
        super().do(before)

    def verify(self, report: Report) -> None:
        """Read the value back; here an outage may happen."""
        if self.key == "b":
            self.outage.reach(When.VERIFY)
        super().verify(report)

    def undo(self, before: str) -> None:
        """Take a tenth of the lease."""
        self.outage.reach(When.ROLLBACK)
        time.sleep(self.outage.undo_takes * self.outage.lease_s)
        super().undo(before)


@dataclass(frozen=True)
class Stays(Look):
    """It is looked at for long."""

    outage: Outage
    moment: When

    def look(self, report: Report) -> None:
        """Stay; where the outage is to meet the rollback, find something wrong at the end."""
        del report
        self.outage.reach(self.moment)
        if self.moment is When.SOAK and self.outage.when is When.ROLLBACK:
            raise VerifyError("it is wrong")


@dataclass
class Row:
    """What became of one run."""

    outage: Outage
    world: Mapping[str, str]
    ending: RunResult
    ended_s: float
    """From the outage on, like every time here."""
    stopped_s: float | None
    """When the run did something else than what the outage met it at."""
    back_s: float | None
    """When the last undo was over, if all was back then."""
    files: Sequence[Path] = ()
    """What could not be written, when it ended."""
    files_then: Sequence[Path] = ()
    """As those, after the rollback below."""
    closed: str = ""
    """What a rollback on the same control host came to, once the cluster was back."""
    kinds: Sequence[str] = ()
    """The records in the journal after that."""

    def cells(self) -> Iterator[str]:
        """The cells of the row as people read them."""
        yield f"{self.outage.lease_s:g}"
        yield self.outage.kind.value
        yield self.outage.when.value
        yield from (
            f"{seconds:.1f}" if seconds is not None else "-" for seconds in (self.stopped_s, self.back_s)
        )
        yield f"{self.ended_s:.1f}"
        yield f"{self.ending.outcome} ({self.ending.exit_code})"
        yield "old" if self.world == OLD else "new" if "old" not in self.world.values() else "torn"
        yield self.closed


HEAD = ("lease", "outage", "when", "stopped", "back", "ended", "end", "world", "then, rollback")


@dataclass
class OutageRunner:
    """A cluster behind a network, and a folder for the files of control hosts."""

    network: Network
    folder: Path
    _tried: int = field(default=0)

    def row(self, lease_s: int, kind: Kind, when: When, undo_takes: float = UNDO_TAKES) -> Row:
        """One run, and what became of it; the cluster is healthy before and after."""
        self._tried += 1
        outage = Outage(kind, when, lease_s, self.network, undo_takes)
        folder = self.folder / str(self._tried)
        ways = self.network.endpoints if kind is Kind.CUT else self.network.cluster.endpoints
        with ControlHosts(self.network.cluster, ways, lease_s, folder=folder) as hosts:
            row = self._perform(hosts, outage)
            row.files = sorted(folder.rglob("*.jsonl"))
            self._heal()
            if hosts.onlooker.run(row.ending.run).is_open:
                row.closed = hosts.recover(
                    plan(FakeWorld(None, **row.world), outage), "rollback", "one"
                ).outcome
            row.files_then = sorted(folder.rglob("*.jsonl*"))
            row.kinds = [record.kind for record in hosts.onlooker.show(row.ending.run)]
            assert hosts.onlooker.faults(row.ending.run) == []
        self.network.cluster.clear()
        return row

    def _perform(self, hosts: ControlHosts, outage: Outage) -> Row:
        world = FakeWorld(None, **OLD)
        occurrences: list[tuple[float, Occurrence]] = []
        runner = Runner(
            store=hosts.store("one"),
            subscribers=[lambda occurrence: occurrences.append((time.monotonic(), occurrence))],
            confirm=outage.confirm,
        )
        ending = runner.perform(REQUEST, plan(world, outage))
        ended = time.monotonic()
        after = [(at - outage.began, occurrence.event) for at, occurrence in occurrences if at > outage.began]
        undone = [at for at, event in after if getattr(event, "phase", "") == "undo"]
        stops = [at for at, event in after if _goes_elsewhere(event)]
        return Row(
            outage,
            dict(world.values),
            ending,
            ended - outage.began,
            None if outage.when is When.ROLLBACK or outage.kind.is_survived else stops[0],
            undone[-1] if undone and world.values == OLD else None,
        )

    def _heal(self) -> None:
        self.network.heal()
        self.network.cluster.heal()


def _each(members: Sequence[Member], do: Callable[[Member], None]) -> None:
    for member in members:
        do(member)


def _goes_elsewhere(event: object) -> bool:
    return isinstance(event, RunFinished) or (isinstance(event, StepStarted) and event.phase == "undo")


def plan(world: FakeWorld, outage: Outage) -> Plan:
    """Two changes, with a look after each."""
    return Plan(
        [
            Staged(world, "a", "new", outage),
            Stays(outage, When.LOOK),
            Staged(world, "b", "new", outage),
            Stays(outage, When.SOAK),
        ],
        ["web"],
    )


def trials(lease_s: int) -> Iterator[tuple[int, Kind, When, float]]:
    """Lease, outage, moment, and how long each undo takes; with a long lease, one of each end."""
    if lease_s > LEADERS_LEASE_S:
        yield lease_s, Kind.FROZEN, When.SOAK, UNDO_TAKES
    else:
        for kind, when in product(Kind, When):
            yield LEADERS_LEASE_S if kind is Kind.LEADER else lease_s, kind, when, UNDO_TAKES
    yield lease_s, Kind.FROZEN, When.SOAK, TOO_SLOW


def main(leases: Sequence[int]) -> None:
    """Print the table of outages."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Cluster(Path(folder)) as cluster,
        Network(cluster) as network,
    ):
        _say(HEAD)
        _say(["---"] * len(HEAD))
        outage_runner = OutageRunner(network, Path(folder) / "hosts")
        for lease_s in leases:
            for trial in trials(lease_s):
                _say(outage_runner.row(*trial).cells())


def _say(cells: Iterable[str]) -> None:
    sys.stdout.write(f"| {' | '.join(cells)} |\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main([int(lease_s) for lease_s in sys.argv[1:]] or [SHORT_LEASE_S])
