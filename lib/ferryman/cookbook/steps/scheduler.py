"""Another scheduler: a look at what it will do to clients, and the change on a director."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ferryman import directors
from ferryman.catalog import Rescheduled
from ferryman.cookbook.steps.directors import DirectorChanged
from ferryman.engine.steps import Look, Report
from ferryman.model import Finding, Verdict

if TYPE_CHECKING:
    from ferryman.cookbook.context import Ferry
    from ferryman.model import Service


@dataclass(frozen=True)
class SchedulerImpact(Look):
    """Every director can schedule {service.name} by {target}."""

    ferry: Ferry
    service: Service
    target: directors.SetScheduler

    def look(self, report: Report) -> None:
        """Read each director's table, connections and modules; say what stays and what moves."""
        seen = directors.observe_schedulers(self.service, self.ferry.hosts, self.target)
        for finding in directors.impact_findings(self.service, self.target, seen):
            report.finding(finding)
        if elsewhere := self._other_sites():
            report.finding(elsewhere)

    def _other_sites(self) -> Finding | None:
        """The catalog has one scheduler for all sites of a service; the directors of one are changed here."""
        catalog, service = self.ferry.catalog, self.service
        edit = Rescheduled(service.name, service.site, self.target.scheduler, self.target.flags)
        text = catalog.text()
        sites = edit.other_sites(text, name=catalog.path.name)
        if not sites or edit.made(text, name=catalog.path.name) == text:
            return None
        others = ", ".join(sites)
        return Finding(
            "scheduler-sites",
            catalog.path.name,
            Verdict.WARN,
            f"{service.name} has one scheduler for all its sites: {others} too",
            f"the directors of {service.site} alone to be changed now",
            f"run the same there next: {others}",
        )


@dataclass(frozen=True)
class DirectorRescheduled(DirectorChanged):
    """{director.host}, {role}, schedules {service.name} by {target}.

    Destinations are not touched, so that no connection changes its way: no host routes are needed.
    """

    target: directors.SetScheduler

    @property
    def goal(self) -> directors.Target:
        """The target: scheduler and flags of every virtual server."""
        return self.target

    @property
    def wanted(self) -> Service:
        """The service as the catalog will have it: with that scheduler."""
        return directors.rescheduled(self.service, self.target)
