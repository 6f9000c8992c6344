"""Looks at realservers: are they ready, and do they prove it?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ferryman.engine.steps import Look, Report
from ferryman.fleet.checks import service_readiness
from ferryman.model import Finding, ProbeVerdict, Verdict
from ferryman.probe import probe_targets

if TYPE_CHECKING:
    from ferryman.cookbook.ferry import Ferry
    from ferryman.model import ProbeResult, Service
    from ferryman.probe import Target


@dataclass(frozen=True)
class RealserversReady(Look):
    """Every realserver of {service.name} is set up to unwrap IPIP."""

    stays_true: ClassVar[bool] = True
    ferry: Ferry
    service: Service

    def look(self, report: Report) -> None:
        """Read every realserver's settings, in one round trip each."""
        for finding in service_readiness(self.service, self.ferry.hosts):
            report.finding(finding)


@dataclass(frozen=True)
class ProbesAnswered(Look):
    """Every realserver of {service.name} answers an encapsulated SYN."""

    stays_true: ClassVar[bool] = True
    ferry: Ferry
    service: Service

    def look(self, report: Report) -> None:
        """Probe every realserver for every virtual service; a rehearsal sends nothing and says so."""
        for virtual in self.service.virtual_services:
            if virtual.protocol != "tcp":
                report.finding(_not_probed(str(virtual), "UDP has no handshake to probe", Verdict.WARN))
        targets = probe_targets(self.service)
        if self.ferry.rehearsal:
            for target in targets:
                report.finding(_unsent(target))
            return
        limits = {(target.host, target.virtual_service): target.mss_limit for target in targets}
        for result in self.ferry.probe(targets, report.probe):
            report.finding(judged(result, limits[result.host, result.virtual_service]))


def judged(result: ProbeResult, mss_limit: int) -> Finding:
    """What a probe's answer means: one verdict alone passes."""
    wanted = f"SYN/ACK with an MSS of {mss_limit} bytes at most from {result.virtual_service}"
    match result.verdict:
        case ProbeVerdict.ACCEPTED:
            verdict, remedy = Verdict.PASS, ""
        case ProbeVerdict.REFUSED:
            verdict, remedy = (
                Verdict.FAIL,
                ("decapsulation works, but nothing listens there: start the service on this realserver"),
            )
        case ProbeVerdict.UNREACHABLE:
            verdict, remedy = (
                Verdict.FAIL,
                (
                    "a router or the host itself answered that it cannot be delivered: look at its tunnel "
                    "device, its routes and its firewall"
                ),
            )
        case ProbeVerdict.UNSUITABLE:
            verdict, remedy = (
                Verdict.FAIL,
                (
                    "full-size packets would not fit the tunnel: clamp the MSS on this realserver "
                    f"(or its pods' MTU) to {mss_limit} bytes"
                ),
            )
        case ProbeVerdict.SILENT:
            verdict, remedy = (
                Verdict.FAIL,
                (
                    "the usual causes, in this order: rp_filter, the tunnel device, a firewall that drops "
                    "protocol 4 or 41, the VIP; the findings on this host say more"
                ),
            )
    seen = result.verdict.value + (f", {result.detail}" if result.detail else "")
    if result.mss is not None:
        seen += f", MSS {result.mss}"
    return Finding("probe", result.host, verdict, f"{result.virtual_service}: {seen}", wanted, remedy)


def _unsent(target: Target) -> Finding:
    return _not_probed(target.host, f"{target.virtual_service}: not sent in a rehearsal", Verdict.SKIP)


def _not_probed(host: str, seen: str, verdict: Verdict) -> Finding:
    return Finding("probe", host, verdict, seen, "an answer to an encapsulated SYN", "")
