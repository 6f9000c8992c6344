"""A look that sends what no realserver should unwrap: an open decapsulator lets anybody into the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ferryman.engine.steps import Look, Report
from ferryman.model import Finding, IcmpReason, ProbeVerdict, Verdict
from ferryman.probe import spoof_targets

if TYPE_CHECKING:
    from ferryman.cookbook.context import Ferry
    from ferryman.model import ProbeResult, Service
    from ferryman.probe import SpoofTarget


@dataclass(frozen=True)
class SpoofedSourcesDropped(Look):
    """No realserver of {service.name} unwraps packets of unauthorised sources."""

    valid_after_change: ClassVar[bool] = True
    sends_probes: ClassVar[bool] = True
    ferry: Ferry
    service: Service

    def look(self, report: Report) -> None:
        """Ask each with an outer source that is no director's, and for a host that is no VIP.

        An answer is a warning, or what ``[probe] open_decapsulator`` says (CVE-2020-10136, VU#636397). A
        dry run sends nothing and says so.
        """
        asked = spoof_targets(self.service, self.ferry.ports.own_source)
        targets = [question.target for question in asked]
        results = [] if self.ferry.dry_run else self.ferry.probe_briefly(targets)
        answers = dict(zip(asked, results, strict=False))
        findings: dict[tuple[str, str], Finding] = {}
        for question in asked:
            finding = self._judged(question, answers.get(question))
            key = (finding.host, finding.check)
            if key not in findings or findings[key].verdict is Verdict.PASS:
                findings[key] = finding
        for finding in findings.values():
            report.finding(finding)

    def _judged(self, asked: SpoofTarget, result: ProbeResult | None) -> Finding:
        host, wanted, remedy = asked.target.host, WANTED[asked.question], REMEDY[asked.question]
        if result is None:
            return Finding(asked.question, host, Verdict.SKIP, "not sent in a dry run", wanted)
        verdict_text = result.verdict.value
        if not result.asked:
            return Finding(asked.question, host, Verdict.UNKNOWN, result.detail, wanted)
        if result.verdict is ProbeVerdict.SILENT or (
            result.verdict is ProbeVerdict.UNREACHABLE and IcmpReason.NOT_FORWARDED not in result.icmp_reasons
        ):
            return Finding(asked.question, host, Verdict.PASS, f"{verdict_text}, as it should be", wanted)
        seen = f"{asked.target.virtual_service} answers through it to {result.outer_source}: {verdict_text}"
        verdict = Verdict(self.ferry.config.probe.open_decapsulator)
        return Finding(asked.question, host, verdict, seen, wanted, remedy)


WANTED = {
    "open-decapsulator": "silence: this host is no director",
    "forwards-strangers": "silence: the inner destination is no VIP",
}
REMEDY = {
    "open-decapsulator": (
        "let IP protocols 4 and 41 in from the directors alone, once the probes' sources are among them"
    ),
    "forwards-strangers": "drop what comes out of the tunnel device for any other address than its VIPs",
}
