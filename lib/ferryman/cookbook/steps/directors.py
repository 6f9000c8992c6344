"""Looks at directors, and the change that all the rest is for: how they forward a service."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ferryman import directors
from ferryman.engine.differences import what_differs
from ferryman.engine.steps import AlreadySo, Change, Look, Report
from ferryman.errors import NotFollowedError, RefusedError
from ferryman.model import Finding, Forwarding, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ferryman.cookbook.ferry import Ferry
    from ferryman.model import Director, Edit, Service


ACCEPT_NO_WAY_BACK = "--accept-no-way-back"
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
        drivers = [self.ferry.driver(one, self.service) for one in self.service.directors]
        without = {one.host: one for one in drivers if not one.has_ipvs}
        seen = directors.look_at_directors(self.service, self.ferry.hosts, without_ipvs=without)
        self.ferry.directors_seen[self.service.name] = seen
        for finding in directors.findings_of(self.service, seen):
            report.finding(finding)
        for driver in without.values():
            for finding in driver.findings(self.service, driver.read()):
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
        """``primary`` or ``secondary``, for the title; and whether it is for good."""
        final = ", not reversible" if self.driver.no_way_back(self.goal) else ""
        return f"{self.director.role.value}{final}"

    @property
    def driver(self) -> directors.Driver:
        """What reads, changes and puts back this director."""
        return self.ferry.driver(self.director, self.service)

    def check(self, report: Report) -> dict[str, Any] | AlreadySo:
        """Read its table and its files, and make sure that they may be changed."""
        before = self.driver.before()
        if self.driver.already(before, self.goal):
            return AlreadySo(f"it is {self.goal} already")
        if reason := self.driver.no_way_back(self.goal):
            self._consented(reason, report)
        return before

    def _consented(self, reason: str, report: Report) -> None:
        """Nothing that cannot be put back is changed without a word from the operator."""
        host = self.director.host
        if not self.ferry.no_way_back_accepted:
            raise RefusedError(
                f"{host}: not reversible: {reason}; once changed it stays so, whatever goes wrong afterwards;"
                f" say {ACCEPT_NO_WAY_BACK} if that is meant"
            )
        wanted = f"a way back; {ACCEPT_NO_WAY_BACK} was said"
        report.finding(Finding("no-way-back", host, Verdict.WARN, f"not reversible: {reason}", wanted))

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
        """Read IPVS back: this service as the catalog will have it, other services untouched.

        Raises:
            NotFollowedError: It follows the catalog, and has not yet: it may do so by itself, at any time.
        """
        table = self.driver.read_all()
        found = self.driver.findings(self.wanted, directors.of_service(table, self.service))
        wrong = [str(one) for one in found if one.verdict is Verdict.FAIL]
        if wrong and self.driver.follows_catalog:
            raise NotFollowedError("\n".join(wrong))
        for finding in found:
            report.finding(finding)
        self._compare_others(table, report, Verdict.FAIL)

    def undo(self, before: dict[str, Any]) -> None:
        """Put back what was changed, and nothing else."""
        self._remember_others()
        self.driver.restore(before, self.goal)

    def undone(self, before: dict[str, Any], report: Report) -> str | None:
        """What still differs of this service; whether it may be changed now is no matter any more."""
        if self._key in self.ferry.others_before:
            self._compare_others(self.driver.read_all(), report, Verdict.WARN)
        now = self.driver.now()
        return None if now == before else f"{self.title}: still not as before: {what_differs(before, now)}"

    @property
    def _key(self) -> tuple[str, str]:
        return self.director.host, self.service.name

    def _remember_others(self) -> None:
        self.ferry.others_before[self._key] = directors.of_others(self.driver.read_all(), self.service)

    def _compare_others(self, table: directors.Table, report: Report, grave: Verdict) -> None:
        """Where this process has edited: whoever takes a run up has not seen what was there before."""
        before = self.ferry.others_before.get(self._key)
        if before is not None and self.driver.has_ipvs:
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
            if not self.ferry.driver(director, self.service).has_ipvs:
                report.finding(_cannot_tell(director))
                continue
            left = self.ferry.wait_for_old_connections(director, self.service)
            draining = self.ferry.drainings[director.host, self.service.name]
            seen = f"{draining.count} connections from before: {draining}"
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


def _cannot_tell(director: Director) -> Finding:
    seen = "it forwards without IPVS: which connections are from before cannot be told"
    return Finding("old-connections", director.host, Verdict.SKIP, seen, "for the record")


_LET_THEM = (
    "nothing to be done: they go on as they began until they end; an ended one lingers for two minutes, "
    "unless net.ipv4.vs.conn_reuse_mode is 3 on the director"
)
