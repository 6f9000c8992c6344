"""Looks at directors, and the change that all the rest is for: how they forward a service."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ferryman import directors
from ferryman.engine.steps import AlreadySo, Change, Look, Report
from ferryman.errors import RefusedError
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
class DirectorConverged(Change[dict[str, Any]]):
    """{director.host}, {role}, forwards {service.name} through the tunnel."""

    ferry: Ferry
    service: Service
    director: Director
    no_way_back_accepted: bool = False
    """Whether the operator has said yes to a change that nothing undoes."""

    @property
    def role(self) -> str:
        """``primary`` or ``secondary``, for the title; and whether it is for good."""
        final = ", not reversible" if self._driver.no_way_back(_TUNNELLED) else ""
        return f"{self.director.role.value}{final}"

    @property
    def _driver(self) -> directors.Driver:
        return self.ferry.driver(self.director, self.service)

    def check(self, report: Report) -> dict[str, Any] | AlreadySo:
        """Read its table and its files, and make sure that they may be changed."""
        before = self._driver.before()
        if self._driver.already(before, _TUNNELLED):
            return AlreadySo("every destination is tunnelled already")
        if reason := self._driver.no_way_back(_TUNNELLED):
            self._consented(reason, report)
        return before

    def _consented(self, reason: str, report: Report) -> None:
        """Nothing that cannot be put back is changed without a word from the operator."""
        host = self.director.host
        if not self.no_way_back_accepted:
            raise RefusedError(
                f"{host}: not reversible: {reason}; once flipped it stays so, whatever goes wrong afterwards;"
                f" say {ACCEPT_NO_WAY_BACK} if that is meant"
            )
        wanted = f"a way back; {ACCEPT_NO_WAY_BACK} was said"
        report.finding(Finding("way-back", host, Verdict.WARN, f"not reversible: {reason}", wanted))

    def edits(self, before: dict[str, Any]) -> Sequence[Edit]:
        """What the driver does to it."""
        return self._driver.edits(before, _TUNNELLED)

    def edits_back(self, before: dict[str, Any]) -> Sequence[Edit]:
        """What the driver does to put it back."""
        return self._driver.edits_back(before, _TUNNELLED)

    def do(self, before: dict[str, Any]) -> None:
        """Flip the destinations; what is connected now counts as old."""
        self._about_to_edit()
        self._driver.apply(before, _TUNNELLED)
        self.ferry.remember_connections(self.director, self.service)

    def verify(self, report: Report) -> None:
        """Read IPVS back: destinations tunnelled, the rest as the catalog says, other services untouched."""
        tunnelled = replace(self.service, encapsulated=True)
        table = self._driver.read_all()
        for finding in self._driver.findings(tunnelled, directors.of_service(table, self.service)):
            report.finding(finding)
        self._compare_others(table, report, Verdict.FAIL)

    def undo(self, before: dict[str, Any]) -> None:
        """Put the destinations back; what is connected now counts as old again."""
        self._about_to_edit()
        self._driver.restore(before, _TUNNELLED)
        self.ferry.remember_connections(self.director, self.service)

    def undone(self, before: dict[str, Any], report: Report) -> str | None:
        """Whether all is as before; what became of other services is told, and no failure of this one."""
        if self._key in self.ferry.others_before:
            self._compare_others(self._driver.read_all(), report, Verdict.WARN)
        return super().undone(before, report)

    @property
    def _key(self) -> tuple[str, str]:
        return self.director.host, self.service.name

    def _about_to_edit(self) -> None:
        self.ferry.about_to_edit(self.director, self.service)
        self.ferry.others_before[self._key] = directors.of_others(self._driver.read_all(), self.service)

    def _compare_others(self, table: directors.Table, report: Report, grave: Verdict) -> None:
        """Where this process has edited: whoever takes a run up has not seen what was there before."""
        before = self.ferry.others_before.get(self._key)
        if before is not None and self._driver.has_ipvs:
            now = directors.of_others(table, self.service)
            for finding in directors.others_findings(self.director.host, before, now, grave=grave):
                report.finding(finding)


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


def _cannot_tell(director: Director) -> Finding:
    seen = "it forwards without IPVS: which connections are from before cannot be told"
    return Finding("old-connections", director.host, Verdict.SKIP, seen, "for the record")


_LET_THEM = (
    "nothing to be done: they go on as they began until they end; an ended one lingers for two minutes, "
    "unless net.ipv4.vs.conn_reuse_mode is 3 on the director"
)
