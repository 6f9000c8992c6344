"""A look at realservers' settings: are they ready?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ferryman.engine.steps import Look, Report
from ferryman.fleet.checks import service_readiness

if TYPE_CHECKING:
    from ferryman.cookbook.ferry import Ferry
    from ferryman.model import Service


@dataclass(frozen=True)
class RealserversReady(Look):
    """Every realserver of {service.name} is set up to unwrap IPIP."""

    stays_true: ClassVar[bool] = True
    ferry: Ferry
    service: Service

    def look(self, report: Report) -> None:
        """Read every realserver's settings, in one round trip each, and what its cluster says of a node."""
        for finding in service_readiness(self.service, self.ferry.hosts):
            report.finding(finding)
        for finding in self.ferry.node_states(self.service).findings:
            report.finding(finding)
