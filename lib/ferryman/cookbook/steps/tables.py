"""What the watch asks of directors: requests pass in either forwarding mode, so only the tables tell."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ferryman import directors
from ferryman.cookbook.steps.directors import STILL_CHECK, still_as_made
from ferryman.engine.steps import Look, Report
from ferryman.errors import DoubtError, VerifyError
from ferryman.model import Finding, Verdict

if TYPE_CHECKING:
    from ferryman.cookbook.ferry import Ferry, Made
    from ferryman.hosts.hosts import Completed
    from ferryman.model import Director, Service


@dataclass(frozen=True)
class DirectorsStayConverged(Look):
    """Every director that was changed still has {service.name} as it was made."""

    ferry: Ferry
    service: Service

    def look(self, report: Report) -> None:
        """Read the table of each director that this run has changed and verified, all at once.

        One without IPVS is passed over. The run may begin to change one of them, or to put it back, while
        this reads in a thread of its own: what was read of such a one is not told.
        """
        meant = [
            (director, made)
            for director in self.service.directors
            if (made := self.ferry.made.get((director.host, self.service.name))) is not None
            and self.ferry.driver(director, self.service).has_ipvs
        ]
        if not meant:
            return
        answers = self.ferry.hosts.read_all({one.host: directors.READ_TABLE for one, _ in meant})
        for director, made in meant:
            finding = self._judged(director, made, answers[director.host])
            if self._seen(director, made, as_made=finding.verdict is Verdict.PASS):
                report.finding(finding)

    def _judged(self, director: Director, made: Made, answer: Completed | DoubtError) -> Finding:
        try:
            if isinstance(answer, DoubtError):
                raise answer
            table = directors.of_service(directors.read_table(answer.checked().stdout), self.service)
        except (DoubtError, VerifyError) as error:
            seen = f"its table could not be read: {error}"
            wanted = f"{made.target}, as this run made it"
            return Finding(
                STILL_CHECK, director.host, Verdict.UNKNOWN, seen, wanted, "see that it answers SSH"
            )
        since = f"; it was so at {made.seen_at:%H:%M:%S} UTC"
        return still_as_made(director, self.service, made.target, table, since)

    def _seen(self, director: Director, made: Made, *, as_made: bool) -> bool:
        """Whether what was read still counts; remembers when all was well."""
        key = (director.host, self.service.name)
        if self.ferry.made.get(key) != made:
            return False
        if as_made:
            self.ferry.seen_as_made(key, made, replace(made, seen_at=datetime.now(UTC)))
        return True
