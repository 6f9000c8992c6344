"""The watch's look at directors: requests pass in either forwarding mode, so only the tables tell."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ferryman import directors
from ferryman.cookbook.memory import key_of
from ferryman.cookbook.steps.directors import STILL_CHECK, still_as_made
from ferryman.engine.steps import Look, Report
from ferryman.errors import DoubtError, VerifyError
from ferryman.hosts.verbs.ipvs import IpvsTable
from ferryman.model import Finding, Verdict

if TYPE_CHECKING:
    from ferryman.cookbook.context import Ferry
    from ferryman.cookbook.memory import VerifiedTarget
    from ferryman.directors import Table
    from ferryman.model import Director, Service


@dataclass(frozen=True)
class DirectorsStayConverged(Look):
    """Every director that was changed still has {service.name} as this run made it."""

    ferry: Ferry
    service: Service

    def look(self, report: Report) -> None:
        """Read the table of each director that this run has changed and verified, all at once.

        One without IPVS is passed over. The run may begin to change one of them, or to put it back, while
        this reads in a thread of its own: what was read of such a one is not told.
        """
        watched = [
            (director, made)
            for director in self.service.directors
            if (made := self.ferry.memory.verified.get(key_of(director, self.service))) is not None
            and self.ferry.driver(director, self.service).has_ipvs
        ]
        if not watched:
            return
        answers = self.ferry.hosts.read_all({director.host: IpvsTable() for director, _ in watched})
        for director, made in watched:
            finding = self._judged(director, made, answers[director.host])
            if self._counts(director, made, as_made=finding.verdict is Verdict.PASS):
                report.finding(finding)

    def _judged(
        self, director: Director, made: VerifiedTarget, answer: Table | DoubtError | VerifyError
    ) -> Finding:
        if isinstance(answer, DoubtError | VerifyError):
            seen = f"its table could not be read: {answer}"
            wanted = f"{made.target}, as this run made it"
            return Finding(
                STILL_CHECK, director.host, Verdict.UNKNOWN, seen, wanted, "see that it answers SSH"
            )
        table = directors.of_service(answer, self.service)
        since = f"; it was so at {made.seen_at:%H:%M:%S} UTC"
        return still_as_made(director, self.service, made.target, table, since)

    def _counts(self, director: Director, made: VerifiedTarget, *, as_made: bool) -> bool:
        """Whether what was read still counts; remembers when all was well."""
        key = key_of(director, self.service)
        if self.ferry.memory.verified.get(key) != made:
            return False
        if as_made:
            self.ferry.memory.refresh(key, made, replace(made, seen_at=self.ferry.clock.now()))
        return True
