"""The evidence about a probe that failed: the probes, the checks' findings, and counters that grew."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from ferryman.errors import DoubtError, VerifyError
from ferryman.hosts.verbs.realservers import ReadCounters
from ferryman.model import ProbeVerdict, Verdict
from ferryman.probe import own_source, with_own_source
from ferryman.realservers.checks import realserver_checks
from ferryman.realservers.checks.before_netfilter import early_drops
from ferryman.realservers.checks.decapsulation import decapsulator_name, tunnel_for
from ferryman.realservers.checks.lookups import lookups_for
from ferryman.realservers.checks.mss_clamp import own_device
from ferryman.realservers.checks.rp_filter import effective_rp_filter
from ferryman.realservers.checks.way_back import missing_route, remedy_for
from ferryman.realservers.facts import NO_ROUTE_OUT, Facts, Unknown, counters
from ferryman.realservers.facts.collect import read_facts
from ferryman.realservers.facts.routing import Lookup, Route

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ferryman.hosts.hosts import Hosts
    from ferryman.model import Address, Finding, ProbeResult, Realserver, Service
    from ferryman.probe import Target
    from ferryman.probe.targets import SourceTowards
    from ferryman.realservers.checks.before_netfilter import Early


@dataclass(frozen=True, slots=True)
class Evidence:
    """One probe that failed, and what was found out about it."""

    failed: ProbeResult
    again: ProbeResult
    """The same question, asked once more while counters were watched."""
    own: ProbeResult | None = None
    """Once more with this control host's own outer source; None: it was the same, or there is no route."""
    reached: bool = True
    """Whether the realserver could be asked over SSH."""
    others_answer: bool = True
    """Whether any realserver answered the same outer source."""
    findings: tuple[Finding, ...] = ()
    """What the checks say of the realserver, read after the probes; empty where it could not be read."""
    grew: Mapping[str, int] = field(default_factory=dict)
    """The realserver's counters that grew while it was asked again, and by how much."""
    early: tuple[Early, ...] = ()
    """What takes packets away, or may, where netfilter does not see them."""
    nic: str | None = None
    """The device that the outer packets come in by."""
    nic_filter: int | None = None
    """The rp_filter in force there; None: it is not known."""
    tunnel_filter: int | None = None
    """The rp_filter in force on the tunnel device."""
    no_way_back: str | None = None
    """That there is no route from the VIP to this control host, in words."""
    route_known: bool = False
    """Whether there is one for sure."""
    counts_missing_routes: bool = False
    """Whether the counters of missing routes were read, before and after."""
    way_back_remedy: str = ""
    """How to see that route."""

    def says(self, check: str, *verdicts: Verdict) -> Finding | None:
        """What this check has against the realserver, if anything; of this virtual service where it says."""
        return said(self.findings, check, *verdicts)


def said(findings: Iterable[Finding], check: str, *verdicts: Verdict) -> Finding | None:
    """The first finding of a check with one of these verdicts; without any, one that fails."""
    wanted = verdicts or (Verdict.FAIL,)
    against = (finding for finding in findings if finding.check == check and finding.verdict in wanted)
    return next(against, None)


@dataclass(frozen=True, slots=True)
class ProbesAgain:
    """How probes are sent once more, and how this host's own source of them is known."""

    ask: Callable[[Sequence[Target]], Sequence[ProbeResult]]
    source_towards: SourceTowards = own_source


def evidence_of(
    service: Service,
    failures: Sequence[tuple[Target, ProbeResult]],
    results: Iterable[ProbeResult],
    hosts: Hosts,
    probes: ProbesAgain,
) -> list[Evidence]:
    """Ask again and look; one piece of evidence for each failure, in their order.

    ``results`` are those of the whole sweep, for what others answered.
    """
    named = list(dict.fromkeys(target.host for target, _ in failures))
    before = counters_now(hosts, named)
    same = [target for target, _ in failures]
    own = {target: with_own_source(target, probes.source_towards) for target in same}
    # What failed from several directors is the same question from here: it is asked once.
    questions = list(dict.fromkeys([*same, *(target for target in own.values() if target is not None)]))
    answers = dict(zip(questions, probes.ask(questions), strict=True))
    routes = {
        host: _lookups(service, host, [(target, own[target]) for target in same if target.host == host])
        for host in before  # whoever cannot be asked once is not waited for again
    }
    after = read_facts(hosts, routes)
    answered = {result.outer_source for result in results if result.verdict is not ProbeVerdict.SILENT}
    gathered = [
        Evidence(
            failed=failed,
            again=answers[target],
            own=answers[asked] if (asked := own[target]) is not None else None,
            reached=target.host in before,
            others_answer=failed.outer_source in answered,
            grew=growth(target, before.get(target.host, {}), after.get(target.host)),
        )
        for target, failed in failures
    ]
    return [
        _with_facts(evidence, service, target, facts, before[target.host], _client(target, own[target]))
        if isinstance(facts := after.get(target.host), Facts)
        else evidence
        for (target, _), evidence in zip(failures, gathered, strict=True)
    ]


def counters_now(hosts: Hosts, named: Sequence[str]) -> dict[str, Mapping[str, int]]:
    """What each host has counted until now; one that cannot be asked is left out."""
    answers = hosts.read_all(dict.fromkeys(named, ReadCounters()))
    return {
        host: answer for host, answer in answers.items() if not isinstance(answer, DoubtError | VerifyError)
    }


def _client(target: Target, own: Target | None) -> Address | None:
    """Where the answer goes: to this host's own address, which may be the outer source."""
    source = (own or target).outer_source
    return source if source is not None and source.version == target.virtual_service.vip.version else None


def _lookups(
    service: Service, host: str, targets: Sequence[tuple[Target, Target | None]]
) -> tuple[Lookup, ...]:
    realserver = realserver_of(service, host)
    more = [
        Lookup(client, target.virtual_service.vip)
        for target, own in targets
        if (client := _client(target, own)) is not None
    ]
    more += [
        Lookup(target.outer_source, target.realserver_address)
        for target, _ in targets
        if isinstance(target.outer_source, IPv4Address) and target.realserver_address.version == 4  # noqa: PLR2004  # IPv4
    ]
    return lookups_for(service, realserver, more)


def realserver_of(service: Service, host: str) -> Realserver:
    """The service's realserver of this name."""
    return next(candidate for candidate in service.realservers if candidate.host == host)


def _with_facts(  # noqa: PLR0913, PLR0917  # what a piece of evidence is made of
    evidence: Evidence,
    service: Service,
    target: Target,
    facts: Facts,
    before: Mapping[str, int],
    client: Address | None,
) -> Evidence:
    """What the checks say of this realserver, this virtual service and this outer source alone."""
    realserver, virtual = realserver_of(service, target.host), target.virtual_service
    alone = replace(from_one_source(service, target), virtual_services=(virtual,))
    nic = own_device(realserver, facts)
    found = facts.routing.found.get(Lookup(client, virtual.vip)) if client is not None else None
    return replace(
        evidence,
        findings=tuple(realserver_checks(alone, realserver, facts)),
        early=tuple(early_drops(alone, realserver, facts, virtual)),
        nic=nic.name if nic is not None else None,
        nic_filter=_in_force(facts, nic.name) if nic is not None else None,
        tunnel_filter=_in_force(facts, decapsulator_name(tunnel_for(virtual.vip), facts)),
        no_way_back=missing_route(virtual.vip, client, facts) if client is not None else None,
        route_known=isinstance(found, Route),
        counts_missing_routes=set(NO_ROUTE_OUT[:1]) <= before.keys() & counters(facts).keys(),
        way_back_remedy=remedy_for(virtual.vip, client) if client is not None else "",
    )


def from_one_source(service: Service, target: Target) -> Service:
    """The service as if this source were its only director's: what others send was not asked."""
    source, address = target.outer_source, target.realserver_address
    if source is None or not service.directors:
        return service
    senders = (director for director in service.directors if source in director.outer_sources_for(address))
    only = replace(next(senders, service.directors[0]), outer_sources=(source,), address=None, address6=None)
    return replace(service, directors=(only,))


def _in_force(facts: Facts, device: str) -> int | None:
    in_force = effective_rp_filter(facts, device)
    return None if isinstance(in_force, Unknown) else in_force


def growth(target: Target, before: Mapping[str, int], after: Facts | DoubtError | None) -> dict[str, int]:
    """What grew; of tunnel devices, what those of the target's family received."""
    if not isinstance(after, Facts):
        return {}
    kinds = (tunnel_for(target.virtual_service.vip).kind,)
    then, now = counters(after, before, kinds), counters(after, kinds=kinds)
    return {name: count - then[name] for name, count in now.items() if name in then and count > then[name]}
