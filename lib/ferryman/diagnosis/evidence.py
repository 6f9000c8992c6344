"""The evidence about a probe that failed: the probes, the checks' findings, and counters that grew."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ferryman.errors import DoubtError, VerifyError
from ferryman.hosts.verbs.realservers import ReadCounters
from ferryman.model import ProbeVerdict, Verdict
from ferryman.probe import own_source, with_own_source
from ferryman.realservers.checks import realserver_checks
from ferryman.realservers.facts import Facts, counters
from ferryman.realservers.facts.collect import read_facts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ferryman.hosts.hosts import Hosts
    from ferryman.model import Finding, ProbeResult, Service
    from ferryman.probe import Target
    from ferryman.probe.targets import SourceTowards


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

    def says(self, check: str, *verdicts: Verdict) -> Finding | None:
        """What this check has against the realserver, if anything; of this virtual service where it says."""
        wanted = verdicts or (Verdict.FAIL,)
        against = [
            finding for finding in self.findings if finding.check == check and finding.verdict in wanted
        ]
        return against[0] if against else None


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
    before = _counters(hosts, named)
    same = [target for target, _ in failures]
    own = {target: with_own_source(target, probes.source_towards) for target in same}
    # What failed from several directors is the same question from here: it is asked once.
    questions = list(dict.fromkeys([*same, *(target for target in own.values() if target is not None)]))
    answers = dict(zip(questions, probes.ask(questions), strict=True))
    after = read_facts(hosts, before)  # whoever cannot be asked once is not waited for again
    answered = {result.outer_source for result in results if result.verdict is not ProbeVerdict.SILENT}
    return [
        Evidence(
            failed=failed,
            again=answers[target],
            own=answers[asked] if (asked := own[target]) is not None else None,
            reached=target.host in before,
            others_answer=failed.outer_source in answered,
            findings=_judged(service, target, after.get(target.host)),
            grew=_growth(before.get(target.host, {}), after.get(target.host)),
        )
        for target, failed in failures
    ]


def _counters(hosts: Hosts, named: Sequence[str]) -> dict[str, Mapping[str, int]]:
    """What each host has counted until now; one that cannot be asked is left out."""
    answers = hosts.read_all(dict.fromkeys(named, ReadCounters()))
    return {
        host: answer for host, answer in answers.items() if not isinstance(answer, DoubtError | VerifyError)
    }


def _judged(service: Service, target: Target, facts: Facts | DoubtError | None) -> tuple[Finding, ...]:
    """What the checks say of this realserver and this virtual service alone."""
    if not isinstance(facts, Facts):
        return ()
    realserver = next(candidate for candidate in service.realservers if candidate.host == target.host)
    alone = replace(service, virtual_services=(target.virtual_service,))
    return tuple(realserver_checks(alone, realserver, facts))


def _growth(before: Mapping[str, int], after: Facts | DoubtError | None) -> dict[str, int]:
    if not isinstance(after, Facts):
        return {}
    then = counters(after, before)
    return {
        name: now - then[name] for name, now in counters(after).items() if name in then and now > then[name]
    }
