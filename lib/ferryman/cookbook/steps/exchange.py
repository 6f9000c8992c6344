"""A look that makes a whole exchange with each realserver through the tunnel: a SYN is not a connection."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, ClassVar

from ferryman.cookbook.memory import destination_of
from ferryman.cookbook.steps.exchange_findings import (
    completed,
    explained,
    not_asked,
    only_connected,
    worst_of,
)
from ferryman.diagnosis import exchange_cause_of, exchange_evidence
from ferryman.directors import out_of_rotation
from ferryman.engine.steps import Look, Report
from ferryman.model import Kind
from ferryman.probe import probe_targets
from ferryman.probe.exchange import ExchangeTarget, exchange_targets, requests_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ferryman.cookbook.context import Ferry
    from ferryman.cookbook.memory import DestinationKey
    from ferryman.model import Finding, Service
    from ferryman.probe import Target
    from ferryman.probe.exchange import ExchangeResult


@dataclass(frozen=True)
class ExchangesCompleted(Look):
    """Every realserver of {service.name} completes a whole exchange through the tunnel."""

    valid_after_change: ClassVar[bool] = True
    sends_probes: ClassVar[bool] = True
    ferry: Ferry
    service: Service

    def look(self, report: Report) -> None:
        """Connect to every realserver through the tunnel, ask, read the answer, close; find out why not.

        Whoever does not accept a SYN is not asked further. A dry run sends nothing and says so.
        """
        for virtual in self.service.virtual_services:
            if virtual.protocol != "tcp":
                report.finding(not_asked(str(virtual), virtual, "UDP has no connection"))
        targets = self._targets()
        if self.ferry.dry_run:
            for target in targets:
                report.finding(not_asked(target.host, target.virtual_service, "not sent in a dry run"))
            return
        unanswered = self.ferry.memory.unanswered.get(self.service.name, frozenset())
        for target in targets:
            if destination_of(target) in unanswered:
                seen = "its SYN is not accepted: see its probe"
                report.finding(not_asked(target.host, target.virtual_service, seen))
        asked = self._asked([target for target in targets if destination_of(target) not in unanswered])
        results = self.ferry.exchange(self.service, asked)
        failures = list(self._report(results, report))
        if failures:
            for finding in self._explained(failures, results):
                report.finding(finding)

    def _targets(self) -> list[Target]:
        """Each realserver for each virtual service, once: every outer source has been probed by then."""
        first: dict[DestinationKey, Target] = {}
        for target in probe_targets(self.ferry.with_observed_sources(self.service)):
            first.setdefault(destination_of(target), target)
        return list(first.values())

    def _asked(self, targets: Sequence[Target]) -> list[ExchangeTarget]:
        """Every request, the first of them as often as whoever is asked needs it."""
        requests = requests_of(self.service, self.ferry.config.traffic_for(self.service.name))
        again = [
            ExchangeTarget(target, requests[0]) for target in targets for _ in range(1, self._times(target))
        ]
        return [*exchange_targets(targets, requests), *again]

    def _times(self, target: Target) -> int:
        """How often the same is asked of it: of a node as often as it is probed, to reach several pods."""
        nodes = (found.host for found in self.service.realservers if found.kind is Kind.KUBERNETES)
        return self.ferry.config.probe.samples if target.host in nodes else 1

    def _again(self, targets: Sequence[ExchangeTarget]) -> list[ExchangeResult]:
        """The same once more; of several answers to one the worst counts."""
        repeated = [each for each in targets for _ in range(self._times(each.target))]
        results = iter(self.ferry.exchange(self.service, repeated))
        return [worst_of(list(islice(results, self._times(each.target)))) for each in targets]

    def _report(self, results: Sequence[ExchangeResult], report: Report) -> Iterator[ExchangeResult]:
        """Report whoever completed everything; the worst that became of any other is returned."""
        by_destination: dict[DestinationKey, list[ExchangeResult]] = {}
        for result in results:
            by_destination.setdefault(destination_of(result.target.target), []).append(result)
        for answers in by_destination.values():
            worst = worst_of(answers)
            if not worst.is_good:
                yield worst
            elif all(answer.target.request.kind == "connect" for answer in answers):
                report.finding(only_connected(answers))
            else:
                report.finding(completed(answers))

    def _explained(
        self, failures: Sequence[ExchangeResult], results: Sequence[ExchangeResult]
    ) -> Iterator[Finding]:
        """One finding for each realserver and virtual service that failed, with its cause if it is known."""
        evidence = exchange_evidence(self.service, failures, results, self.ferry.hosts, self._again)
        states = self.ferry.memory.director_states.get(self.service.name, {})
        for facts in evidence:
            target = facts.failed.target.target
            rotation = out_of_rotation(target.virtual_service, target.realserver_address, states)
            yield explained(facts, exchange_cause_of(facts), rotation)
