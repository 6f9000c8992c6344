"""A look that sends real requests through the VIP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ferryman.engine.steps import Look, Report
from ferryman.model import Finding, Verdict

if TYPE_CHECKING:
    from ferryman.cookbook.context import Ferry
    from ferryman.model import Director, Service


@dataclass(frozen=True)
class TrafficFlows(Look):
    """Requests to {service.name} are answered{through}."""

    valid_after_change: ClassVar[bool] = True
    ferry: Ferry
    service: Service
    director: Director | None = None
    """The director they are to go through, where it can be chosen; None: whichever the VIP leads to."""

    @property
    def through(self) -> str:
        """The end of the title: which director is changed by then; empty where none is chosen."""
        return f" with {self.director.host} changed" if self.director else ""

    def look(self, report: Report) -> None:
        """Send small requests, one download and one upload; a dry run sends nothing and says so."""
        if self.ferry.dry_run:
            report.finding(_UNSENT)
            return
        for finding in self.ferry.send_requests(self.service, self.director):
            report.finding(finding)


_UNSENT = Finding("traffic", "control", Verdict.SKIP, "not sent in a dry run", "every request answered")
