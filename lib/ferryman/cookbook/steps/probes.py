"""A look that sends encapsulated SYNs, and finds out why where one is not answered."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from ferryman.cookbook.memory import destination_of
from ferryman.diagnosis import ProbesAgain, cause_of, evidence_of
from ferryman.engine.steps import Look, Report
from ferryman.model import RETRIED, Finding, ProbeVerdict, Verdict
from ferryman.probe import FROM_BEST_TO_WORST, probe_targets

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ferryman.cookbook.context import Ferry
    from ferryman.cookbook.memory import DestinationKey
    from ferryman.diagnosis import Cause, Evidence
    from ferryman.model import ProbeResult, Service
    from ferryman.probe import Target

Asked = tuple["Target", "ProbeResult"]


@dataclass(frozen=True)
class ProbesAnswered(Look):
    """Every realserver of {service.name} answers an encapsulated SYN."""

    valid_after_change: ClassVar[bool] = True
    sends_probes: ClassVar[bool] = True
    ferry: Ferry
    service: Service
    quick: bool = False
    """Whether those that stay silent while others answer at once are given up before the configured time.

    For where nothing follows from silence but a line on the screen.
    """

    def look(self, report: Report) -> None:
        """Probe every realserver for every virtual service; find out why where one does not answer.

        A dry run sends nothing and says so.
        """
        for virtual in self.service.virtual_services:
            if virtual.protocol != "tcp":
                report.finding(_not_probed(str(virtual), "UDP has no handshake to probe", Verdict.WARN))
        targets = probe_targets(self.ferry.with_observed_sources(self.service))
        if self.ferry.dry_run:
            for target in targets:
                seen = f"{target.virtual_service}: not sent in a dry run"
                report.finding(_not_probed(target.host, seen, Verdict.SKIP))
            return
        asked = list(zip(targets, self.ferry.probe(targets, quick=self.quick), strict=True))
        self.ferry.memory.unanswered[self.service.name] = frozenset(
            destination_of(target) for target, result in asked if result.verdict is not ProbeVerdict.ACCEPTED
        )
        for answers in _by_destination(asked).values():
            self._report(answers, report)
        failures = [
            (target, result)
            for target, result in asked
            if result.verdict is not ProbeVerdict.ACCEPTED and not self._may_be_silent(result)
        ]
        if failures:
            for finding in self._explained(failures, [result for _, result in asked]):
                report.finding(finding)

    def _report(self, answers: Sequence[Asked], report: Report) -> None:
        """Report what a realserver answered for one virtual service; the cause of a failure is for later."""
        result = merged([result for _, result in answers])
        report.probe(result)
        if result.verdict is ProbeVerdict.ACCEPTED:
            report.finding(accepted(result, answers[0][0].mss_limit))
            if result.retried:
                report.finding(asked_again(result))
        elif self._may_be_silent(result):
            report.finding(_silent_by_policy(result))

    def _may_be_silent(self, result: ProbeResult) -> bool:
        """Whether its Kubernetes service wants a pod on the very node, and it has none."""
        return (
            result.verdict is ProbeVerdict.SILENT
            and result.host in self.ferry.node_states(self.service).silent
        )

    def _explained(self, failures: Sequence[Asked], results: Sequence[ProbeResult]) -> Iterator[Finding]:
        """One finding for all outer sources that fail at a realserver for the same cause."""
        ferry = self.ferry
        again = ProbesAgain(ferry.probe_again, ferry.ports.own_source)
        evidence = evidence_of(self.service, failures, results, ferry.hosts, again)
        reported: set[tuple[object, ...]] = set()
        for (target, _), facts in zip(failures, evidence, strict=True):
            cause = cause_of(facts)
            key = (destination_of(target), facts.failed.verdict, cause.cause if cause else None)
            if key not in reported:
                reported.add(key)
                yield explained(facts, cause, target.mss_limit)


def merged(results: Sequence[ProbeResult]) -> ProbeResult:
    """One realserver's answers to every outer source as a single one: the worst verdict, the largest MSS."""
    worst = max(results, key=lambda result: FROM_BEST_TO_WORST.index(result.verdict))
    times = [result.rtt_ms for result in results if result.rtt_ms is not None]
    sizes = [result.mss for result in results if result.mss is not None]
    sources = ", ".join(str(result.outer_source) for result in results if result.outer_source is not None)
    details = [f"from {sources}"] if sources else []
    details += [
        result.detail
        if result.outer_source is None or len(results) == 1
        else f"{result.outer_source}: {result.detail}"
        for result in results
        if result.detail
    ]
    return replace(
        worst,
        rtt_ms=min(times, default=None),
        mss=max(sizes, default=None),
        detail="; ".join(dict.fromkeys(details)),
        asked=sum(result.asked for result in results),
        accepted=sum(result.accepted for result in results),
        tries=max(result.tries for result in results),
        retried=sum(result.retried for result in results),
    )


def accepted(result: ProbeResult, mss_limit: int) -> Finding:
    """The finding about a realserver whose answers were all accepted; ``mss_limit`` is in bytes."""
    size = f"MSS {result.mss}" if result.mss is not None else ""
    flows = f"{result.accepted} of {result.asked} flows"
    seen = ", ".join(filter(None, (f"{result.virtual_service}: accepted", flows, size, result.detail)))
    return Finding("probe", result.host, Verdict.PASS, seen, _wanted(result, mss_limit))


def asked_again(result: ProbeResult) -> Finding:
    """The finding about a realserver that answered only when the SYN was sent again."""
    flows = f"{result.retried} of {result.asked} flows"
    seen = f"{result.virtual_service}: {flows} were answered only when the SYN was sent again"
    remedy = "find what drops packets there or on the way: a client waits a second for each"
    return Finding(RETRIED, result.host, Verdict.WARN, seen, "an answer to the first SYN", remedy)


def explained(evidence: Evidence, cause: Cause | None, mss_limit: int) -> Finding:
    """The finding about a failed probe, with its cause where one is proved; ``mss_limit`` is in bytes."""
    failed = evidence.failed
    known = str(cause) if cause else "cause: not found"
    seen = f"{failed.virtual_service}: {failed.verdict.value}"
    seen += f", MSS {failed.mss}" if failed.mss is not None else ""
    seen += f", from {failed.outer_source}" if failed.outer_source is not None else ""
    seen += f"; {known}"
    # The probe's own words last: they are long, and the cause often has them.
    seen += f"; {failed.detail}" if failed.detail not in known else ""
    unsteady = cause is not None and cause.cause == "unsteady"
    verdict = Verdict.UNKNOWN if unsteady else Verdict.FAIL
    remedy = cause.remedy if cause else _LOOK_YOURSELF
    return Finding("probe", failed.host, verdict, seen, _wanted(failed, mss_limit), remedy)


_LOOK_YOURSELF = (
    "nothing that could be read explains it; follow the packets: "
    "tcpdump -ni any 'ip proto 4 or ip6 proto 41' there"
)


def _by_destination(asked: Sequence[Asked]) -> dict[DestinationKey, list[Asked]]:
    """By realserver and virtual service: the answers to every outer source."""
    by_destination: dict[DestinationKey, list[Asked]] = {}
    for target, result in asked:
        by_destination.setdefault(destination_of(target), []).append((target, result))
    return by_destination


def _wanted(result: ProbeResult, mss_limit: int) -> str:
    return f"SYN/ACK with an MSS of {mss_limit} bytes at most from {result.virtual_service}"


def _silent_by_policy(result: ProbeResult) -> Finding:
    seen = f"{result.virtual_service}: silent, as a node without a pod of the service is to be"
    wanted = "a pod on the node, for externalTrafficPolicy is Local"
    remedy = "nothing, if health checks keep traffic away from it; else depool it"
    return Finding("probe", result.host, Verdict.WARN, seen, wanted, remedy)


def _not_probed(host: str, seen: str, verdict: Verdict) -> Finding:
    return Finding("probe", host, verdict, seen, "an answer to an encapsulated SYN", "")
