"""A look that sends what no realserver should take: an open decapsulator is a way into the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ferryman.engine.steps import Look, Report
from ferryman.model import Finding, ProbeVerdict, Verdict
from ferryman.probe import spoof_targets

if TYPE_CHECKING:
    from ferryman.cookbook.ferry import Ferry
    from ferryman.model import ProbeResult, Service
    from ferryman.probe import SpoofTarget


@dataclass(frozen=True)
class SpoofedSourcesDropped(Look):
    """No realserver of {service.name} takes packets of strangers."""

    valid_after_change: ClassVar[bool] = True
    ferry: Ferry
    service: Service

    def look(self, report: Report) -> None:
        """Ask each with an outer source that is no director's, and for a host that is no VIP.

        An answer is a warning, or what ``[probe] open_decapsulator`` says (CVE-2020-10136, VU#636397). A
        dry run sends nothing and says so.
        """
        asked = spoof_targets(self.service)
        results = [] if self.ferry.rehearsal else self.ferry.probe_briefly([one.target for one in asked])
        answered = dict(zip(asked, results, strict=False))
        told: dict[tuple[str, str], Finding] = {}
        for one in asked:
            finding = self._judged(one, answered.get(one))
            key = (finding.host, finding.check)
            if key not in told or told[key].verdict is Verdict.PASS:
                told[key] = finding
        for finding in told.values():
            report.finding(finding)

    def _judged(self, asked: SpoofTarget, result: ProbeResult | None) -> Finding:
        host, wanted, remedy = asked.target.host, WANTED[asked.question], REMEDY[asked.question]
        if result is None:
            return Finding(asked.question, host, Verdict.SKIP, "not sent in a rehearsal", wanted)
        said = result.verdict.value
        if result.verdict is ProbeVerdict.SILENT or (
            result.verdict is ProbeVerdict.UNREACHABLE
            and not any(word in result.detail for word in ON_ITS_WAY)
        ):
            return Finding(asked.question, host, Verdict.PASS, f"{said}, as it should be", wanted)
        seen = f"{asked.target.virtual_service} answers through it to {result.outer_source}: {said}"
        verdict = Verdict(self.ferry.config.probe.open_decapsulator)
        return Finding(asked.question, host, verdict, seen, wanted, remedy)


ON_ITS_WAY = ("host unreachable", "network unreachable", "address unreachable", "no route", "exceeded")
"""Words of ICMP errors (``probe/classify.py``) that only a host sends that has begun to forward it."""

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
