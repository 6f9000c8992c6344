"""A look that waits for the connections from before an edit, on all directors at the same time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ferryman import directors
from ferryman.cookbook.memory import key_of
from ferryman.engine.steps import Look, Report
from ferryman.model import Finding, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferryman.cookbook.context import Ferry
    from ferryman.engine.steps import Purpose
    from ferryman.hosts.shared import Question
    from ferryman.model import Director, Service


@dataclass(frozen=True)
class OldConnectionsDrained(Look):
    """No director has connections of {service.name} left from before."""

    reads_last: ClassVar[bool] = True
    ferry: Ferry
    service: Service

    def questions(self, purpose: Purpose, before: object) -> Iterator[Question]:
        """The connections on each director."""
        del purpose, before
        yield from ((each.host, directors.connections_question(self.service)) for each in self._with_ipvs)

    @property
    def _with_ipvs(self) -> list[Director]:
        return [
            director
            for director in self.service.directors
            if self.ferry.driver(director, self.service).has_ipvs
        ]

    def look(self, report: Report) -> None:
        """Wait for them up to ``directors.drain_timeout``; some live for hours, which is no fault."""
        remaining = self.ferry.wait_on_directors(self._with_ipvs, self.service)
        for director in self.service.directors:
            if director.host not in remaining:
                report.finding(_cannot_tell(director))
                continue
            left = remaining[director.host]
            drain = self.ferry.memory.connection_drains[key_of(director, self.service)]
            seen = f"{drain.count} connections from before: {drain}"
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
