"""The watch of a migration, and a look that waits while it watches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ferryman import waits
from ferryman.cookbook.steps.probes import ProbesAnswered
from ferryman.cookbook.steps.tables import DirectorsStayConverged
from ferryman.cookbook.steps.traffic import TrafficFlows
from ferryman.engine.plan import Watch
from ferryman.engine.steps import Look, Report
from ferryman.model import Finding, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ferryman.cookbook.context import Ferry
    from ferryman.model import Director, Service


@dataclass(frozen=True)
class Soaked(Look):
    """The watch finds nothing wrong for a while with {director.host} changed."""

    ferry: Ferry
    service: Service
    director: Director

    def look(self, report: Report) -> None:
        """Wait as long as ``[watch] soak`` says; the plan's watch ends it early where something is wrong.

        Meanwhile, between its pauses, the connections from before are counted, so that it is known how long
        they lived on.
        """
        soak_s = self.ferry.config.watch.soak
        until = waits.monotonic() + soak_s
        is_over = waits.current().is_past(until)
        while not is_over:
            waits.sleep(max(0.0, min(until - waits.monotonic(), self.ferry.config.watch.every)))
            is_over = waits.current().is_past(until)
            if not is_over:
                self.ferry.old_connections(self.director, self.service)
        seen = f"nothing went wrong for {soak_s:g} seconds"
        report.finding(
            Finding("soak", self.director.host, Verdict.PASS, seen, "probes and requests answered")
        )


def watch_over(ferry: Ferry, service: Service) -> Watch:
    """Probes of every realserver, real requests and the directors' tables, for as long as a run lasts."""
    return _watch(ferry, service, [ProbesAnswered(ferry, service)])


def watch_requests(ferry: Ferry, service: Service) -> Watch:
    """Real requests and the directors' tables: for a service whose realservers need not unwrap IPIP."""
    return _watch(ferry, service)


def _watch(ferry: Ferry, service: Service, often: Sequence[Look] = ()) -> Watch:
    given = ferry.config.watch
    looks = [TrafficFlows(ferry, service), DirectorsStayConverged(ferry, service)]
    return Watch(
        looks,
        given.every,
        given.failures,
        given.flaps,
        often,
        often_s=given.probe_every,
        retries=given.retries,
    )
