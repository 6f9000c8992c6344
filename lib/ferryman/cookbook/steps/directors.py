"""Looks at directors, and the change that all the rest is for: how they forward or schedule a service."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ferryman import directors
from ferryman.engine.steps import AlreadySo, Change, Look, Report
from ferryman.model import Finding, Forwarding, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ferryman.cookbook.ferry import Ferry
    from ferryman.model import Director, Edit, Service


_TUNNELLED = directors.Forwarded(Forwarding.TUNNEL)


@dataclass(frozen=True)
class DirectorsAgree(Look):
    """Every director forwards {service.name} as the catalog says, and as the others do."""

    ferry: Ferry
    service: Service

    def look(self, report: Report) -> None:
        """Compare each director's IPVS table with catalog, inventory and the others'; gates, MTUs, settings.

        What their outer sources really are is remembered, for the probes to be sent with.
        """
        seen = directors.look_at_directors(self.service, self.ferry.hosts)
        self.ferry.directors_seen[self.service.name] = seen
        for finding in directors.findings_of(self.service, seen):
            report.finding(finding)


@dataclass(frozen=True)
class DirectorChanged(Change[dict[str, Any]]):
    """{director.host}, {role}, has one thing of {service.name} as its target says."""

    ferry: Ferry
    service: Service
    director: Director

    @property
    @abstractmethod
    def goal(self) -> directors.Target:
        """What is changed of the service's entries, and to what."""

    @property
    @abstractmethod
    def wanted(self) -> Service:
        """The service as the catalog has it once it is changed."""

    @property
    def role(self) -> str:
        """``primary`` or ``secondary``, for the title."""
        return self.director.role.value

    @property
    def driver(self) -> directors.Driver:
        """What reads, changes and puts back this director."""
        return self.ferry.driver(self.director, self.service)

    def check(self, report: Report) -> dict[str, Any] | AlreadySo:
        """Read its table and its files, and make sure that they may be changed."""
        del report
        before = self.driver.before()
        if self.driver.already(before, self.goal):
            return AlreadySo(f"it is {self.goal} already")
        return before

    def edits(self, before: dict[str, Any]) -> Sequence[Edit]:
        """What the driver does to it."""
        return self.driver.edits(before, self.goal)

    def edits_back(self, before: dict[str, Any]) -> Sequence[Edit]:
        """What the driver does to put it back."""
        return self.driver.edits_back(before, self.goal)

    def do(self, before: dict[str, Any]) -> None:
        """Make the entries what the target says."""
        self._remember_others()
        self.driver.apply(before, self.goal)

    def verify(self, report: Report) -> None:
        """Read IPVS back: all of the service as the catalog will have it, other services untouched."""
        table = self.driver.read_all()
        mine = directors.of_service(table, self.service)
        for finding in directors.catalog_findings(self.director, self.wanted, mine):
            report.finding(finding)
        self._compare_others(table, report, Verdict.FAIL)

    def undo(self, before: dict[str, Any]) -> None:
        """Put back what was changed, and nothing else."""
        self._remember_others()
        self.driver.restore(before, self.goal)

    def undone(self, before: dict[str, Any], report: Report) -> str | None:
        """Whether all is as before; what became of other services is told, and no failure of this one."""
        if self._key in self.ferry.others_before:
            self._compare_others(self.driver.read_all(), report, Verdict.WARN)
        return super().undone(before, report)

    @property
    def _key(self) -> tuple[str, str]:
        return self.director.host, self.service.name

    def _remember_others(self) -> None:
        self.ferry.others_before[self._key] = directors.of_others(self.driver.read_all(), self.service)

    def _compare_others(self, table: directors.Table, report: Report, grave: Verdict) -> None:
        """Where this process has edited: whoever takes a run up has not seen what was there before."""
        before = self.ferry.others_before.get(self._key)
        if before is not None:
            now = directors.of_others(table, self.service)
            for finding in directors.others_findings(self.director.host, before, now, grave=grave):
                report.finding(finding)


@dataclass(frozen=True)
class DirectorConverged(DirectorChanged):
    """{director.host}, {role}, forwards {service.name} through the tunnel."""

    @property
    def goal(self) -> directors.Target:
        """Every destination tunnelled."""
        return _TUNNELLED

    @property
    def wanted(self) -> Service:
        """Encapsulated."""
        return replace(self.service, encapsulated=True)

    def do(self, before: dict[str, Any]) -> None:
        """Flip the destinations; what is connected now counts as old."""
        self.ferry.about_to_edit(self.director, self.service)
        super().do(before)
        self.ferry.remember_connections(self.director, self.service)

    def undo(self, before: dict[str, Any]) -> None:
        """Put the destinations back; what is connected now counts as old again."""
        self.ferry.about_to_edit(self.director, self.service)
        super().undo(before)
        self.ferry.remember_connections(self.director, self.service)


@dataclass(frozen=True)
class OldConnectionsDrained(Look):
    """No director has connections of {service.name} left from before."""

    ferry: Ferry
    service: Service

    def look(self, report: Report) -> None:
        """Wait for them, as long as the configuration says; some may live for hours, and that is no fault."""
        for director in self.service.directors:
            left = self.ferry.wait_for_old_connections(director, self.service)
            draining = self.ferry.drainings[director.host, self.service.name]
            seen = f"{len(draining.connections)} connections from before: {draining}"
            report.finding(
                Finding(
                    "old-connections",
                    director.host,
                    Verdict.WARN if left else Verdict.PASS,
                    f"{left} of {seen}: they may still be used" if left else seen,
                    "all ended within directors.drain_timeout, "
                    f"{self.ferry.config.directors.drain_timeout:g} s",
                    _LET_THEM if left else "",
                )
            )


_LET_THEM = (
    "nothing to be done: they go on as they began until they end; an ended one lingers for two minutes, "
    "unless net.ipv4.vs.conn_reuse_mode is 3 on the director"
)
