"""The evidence about an exchange that failed: asked again, while the realserver's counters are watched."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ferryman.diagnosis.evidence import counters_now, from_one_source, growth, realserver_of, said
from ferryman.model import Kind
from ferryman.realservers.checks import realserver_checks
from ferryman.realservers.checks.before_netfilter import early_drops
from ferryman.realservers.checks.lookups import lookups_for
from ferryman.realservers.facts import Facts
from ferryman.realservers.facts.collect import read_facts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ferryman.hosts.hosts import Hosts
    from ferryman.model import Finding, Service, Verdict
    from ferryman.probe import Target
    from ferryman.probe.exchange import ExchangeResult, ExchangeTarget
    from ferryman.realservers.checks.before_netfilter import Early


@dataclass(frozen=True, slots=True)
class ExchangeEvidence:
    """One exchange that failed, and what was found out about it."""

    failed: ExchangeResult
    again: ExchangeResult
    """The same exchange, made once more while counters were watched."""
    kind: Kind = Kind.SERVER
    """What the realserver is: pods have counters of their own, which are not read."""
    alike: bool = False
    """Whether there are other realservers, and every exchange with any of them failed as this one did."""
    findings: tuple[Finding, ...] = ()
    """What the checks say of the realserver, read after the exchange; empty where it could not be read."""
    counted: bool = False
    """Whether its counters were read before and after."""
    grew: Mapping[str, int] = field(default_factory=dict)
    """The realserver's counters that grew meanwhile, and by how much."""
    early: tuple[Early, ...] = ()
    """What takes packets away, or may, where netfilter does not see them."""

    def says(self, check: str, *verdicts: Verdict) -> Finding | None:
        """What this check has against the realserver, if anything."""
        return said(self.findings, check, *verdicts)


def exchange_evidence(
    service: Service,
    failures: Sequence[ExchangeResult],
    results: Iterable[ExchangeResult],
    hosts: Hosts,
    again: Callable[[Sequence[ExchangeTarget]], Sequence[ExchangeResult]],
) -> list[ExchangeEvidence]:
    """Make them again and look; one piece of evidence for each failure, in their order.

    ``results`` are those of all exchanges, for how others fared.
    """
    named = list(dict.fromkeys(failed.target.target.host for failed in failures))
    before = counters_now(hosts, named)
    answers = again([failed.target for failed in failures])
    after = read_facts(hosts, {host: lookups_for(service, realserver_of(service, host)) for host in before})
    everything = list(results)
    gathered = []
    for failed, answer in zip(failures, answers, strict=True):
        target = failed.target.target
        facts, counted = after.get(target.host), before.get(target.host, {})
        evidence = ExchangeEvidence(
            failed,
            answer,
            kind=realserver_of(service, target.host).kind,
            alike=_is_alike(failed, everything),
            counted=bool(counted) and isinstance(facts, Facts),
            grew=growth(target, counted, facts),
        )
        gathered.append(
            _with_facts(evidence, service, target, facts) if isinstance(facts, Facts) else evidence
        )
    return gathered


def _is_alike(failed: ExchangeResult, results: Iterable[ExchangeResult]) -> bool:
    """Whether what failed failed so everywhere; of other requests nothing follows."""
    request, version = failed.target.request, failed.target.target.realserver_address.version
    same = [
        result
        for result in results
        if result.target.request == request and result.target.target.realserver_address.version == version
    ]
    hosts = {result.target.target.host for result in same}
    return len(hosts) > 1 and all(result.verdict is failed.verdict for result in same)


def _with_facts(
    evidence: ExchangeEvidence, service: Service, target: Target, facts: Facts
) -> ExchangeEvidence:
    """What the checks say of this realserver, this virtual service and this outer source alone."""
    realserver, virtual = realserver_of(service, target.host), target.virtual_service
    alone = replace(from_one_source(service, target), virtual_services=(virtual,))
    return replace(
        evidence,
        findings=tuple(realserver_checks(alone, realserver, facts)),
        early=tuple(early_drops(alone, realserver, facts, virtual)),
    )
