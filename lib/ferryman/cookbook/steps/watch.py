"""The watch of a migration, and a look that waits while it watches."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ferryman.cookbook.steps.probes import ProbesAnswered
from ferryman.cookbook.steps.traffic import TrafficFlows
from ferryman.engine.steps import Look, Report
from ferryman.engine.watch import Watch
from ferryman.model import Finding, Verdict

if TYPE_CHECKING:
    from ferryman.cookbook.ferry import Ferry
    from ferryman.model import Director, Service


@dataclass(frozen=True)
class Soaked(Look):
    """The watch finds nothing wrong for a while with {director.host} changed."""

    ferry: Ferry
    director: Director

    def look(self, report: Report) -> None:
        """Wait as long as ``[watch] soak`` says; the plan's watch ends it early where something is wrong."""
        soak_s = self.ferry.config.watch.soak
        time.sleep(soak_s)
        seen = f"nothing went wrong for {soak_s:g} seconds"
        report.finding(
            Finding("soak", self.director.host, Verdict.PASS, seen, "probes and requests answered")
        )


def watch_over(ferry: Ferry, service: Service) -> Watch:
    """Probes of every realserver, and real requests, for as long as a run of this service lasts."""
    return Watch([ProbesAnswered(ferry, service), TrafficFlows(ferry, service)], ferry.config.watch.every)


def watch_requests(ferry: Ferry, service: Service) -> Watch:
    """Real requests alone: for a run of a service whose realservers need not be ready for the tunnel."""
    return Watch([TrafficFlows(ferry, service)], ferry.config.watch.every)
