"""Looks at directors, and the change that all the rest is for: how they forward a service."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ferryman import directors
from ferryman.engine.differences import what_differs
from ferryman.engine.steps import AlreadySo, Change, Look, Report
from ferryman.errors import DoubtError
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
class DirectorConverged(Change[dict[str, Any]]):
    """{director.host}, {role}, forwards {service.name} through the tunnel."""

    ferry: Ferry
    service: Service
    director: Director

    @property
    def role(self) -> str:
        """``primary`` or ``secondary``, for the title."""
        return self.director.role.value

    @property
    def _driver(self) -> directors.Driver:
        return self.ferry.driver(self.director, self.service)

    def check(self, report: Report) -> dict[str, Any] | AlreadySo:
        """Read its table and its files, and make sure that they may be changed."""
        del report
        before = self._driver.before()
        if self._driver.already(before, _TUNNELLED):
            return AlreadySo("every destination is tunnelled already")
        return before

    def edits(self, before: dict[str, Any]) -> Sequence[Edit]:
        """What the driver does to it."""
        return self._driver.edits(before, _TUNNELLED)

    def edits_back(self, before: dict[str, Any]) -> Sequence[Edit]:
        """What the driver does to put it back."""
        return self._driver.edits_back(before, _TUNNELLED)

    def do(self, before: dict[str, Any]) -> None:
        """Flip the destinations; what is connected now counts as old."""
        self.ferry.about_to_edit(self.director, self.service)
        self._driver.apply(before, _TUNNELLED)
        self.ferry.remember_connections(self.director, self.service)

    def verify(self, report: Report) -> None:
        """Read IPVS back: every destination tunnelled, scheduler and flags as the catalog says.

        Raises:
            DoubtError: It follows the catalog, and has not yet: it may do so by itself, at any time.
        """
        tunnelled = replace(self.service, encapsulated=True)
        driver = self._driver
        findings = directors.catalog_findings(self.director, tunnelled, driver.read())
        wrong = [str(one) for one in findings if one.verdict is Verdict.FAIL]
        if wrong and driver.follows_catalog:
            raise DoubtError("\n".join(wrong))
        for finding in findings:
            report.finding(finding)

    def undo(self, before: dict[str, Any]) -> None:
        """Put the destinations back; what is connected now counts as old again."""
        self.ferry.about_to_edit(self.director, self.service)
        self._driver.restore(before, _TUNNELLED)
        self.ferry.remember_connections(self.director, self.service)

    def undone(self, before: dict[str, Any], report: Report) -> str | None:
        """What still differs; why it must not be changed now is no matter any more."""
        del report
        now = self._driver.now()
        return None if now == before else f"{self.title}: still not as before: {what_differs(before, now)}"


@dataclass(frozen=True)
class OldConnectionsDrained(Look):
    """No director has connections of {service.name} left from before."""

    ferry: Ferry
    service: Service

    def look(self, report: Report) -> None:
        """Wait for them, as long as the configuration says; some may live for hours, and that is no fault."""
        for director in self.service.directors:
            left = self.ferry.wait_for_old_connections(director, self.service)
            report.finding(
                Finding(
                    "old-connections",
                    director.host,
                    Verdict.WARN if left else Verdict.PASS,
                    f"{left} connections from before may still be used",
                    "none within directors.drain_timeout, "
                    f"{self.ferry.config.directors.drain_timeout:g} seconds",
                    _LET_THEM if left else "",
                )
            )


_LET_THEM = (
    "nothing to be done: they go on as they began until they end; an ended one lingers for two minutes, "
    "unless net.ipv4.vs.conn_reuse_mode is 3 on the director"
)
