"""Packets of unauthorised sources: silence is right; any other answer is what the configuration says."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from ferryman.config import Config, ProbeConfig
from ferryman.cookbook import Ferry, SpoofedSourcesDropped
from ferryman.hosts.fake import FakeHosts
from ferryman.model import IcmpReason, ProbeResult, ProbeVerdict, Verdict
from unit.cookbook.test_probes_step import WEB, Heard

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ferryman.model import Finding
    from ferryman.probe import Target


@dataclass(frozen=True, eq=False)
class Answering(Ferry):
    """A ferry whose probes of unauthorised sources everybody answers the same."""

    verdict: ProbeVerdict = field(default=ProbeVerdict.SILENT, kw_only=True)
    detail: str = field(default="", kw_only=True)
    icmp: IcmpReason | None = field(default=None, kw_only=True)
    asked: int = field(default=1, kw_only=True)

    def probe_briefly(self, targets: Sequence[Target]) -> list[ProbeResult]:
        reasons = frozenset({self.icmp} if self.icmp else ())
        return [
            ProbeResult(
                target.host,
                target.virtual_service,
                self.verdict,
                detail=self.detail,
                asked=self.asked,
                icmp_reasons=reasons,
            )
            for target in targets
        ]


def judged(
    verdict: ProbeVerdict,
    *,
    on_answer: Literal["warn", "fail"] = "warn",
    dry_run: bool = False,
    **answer: Any,  # noqa: ANN401  # the fields of ``Answering``
) -> list[Finding]:
    config = Config(file=Path("ferryman.toml"), probe=ProbeConfig(open_decapsulator=on_answer))
    heard = Heard()
    service = replace(WEB, realservers=WEB.realservers[:2])
    world = Answering(config, FakeHosts(), dry_run=dry_run, verdict=verdict, **answer)
    SpoofedSourcesDropped(world, service).look(heard)
    return [finding for finding in heard.findings if finding.check == "forwards-strangers"]


@pytest.mark.parametrize("verdict", [ProbeVerdict.SILENT, ProbeVerdict.UNREACHABLE])
def test_silence_passes(verdict: ProbeVerdict) -> None:
    assert [(finding.host, finding.verdict) for finding in judged(verdict)] == [
        ("web1", Verdict.PASS),
        ("web2", Verdict.PASS),
    ]


@pytest.mark.parametrize("detail", ["ICMP 3/1 from 10.10.0.21 (host unreachable)", "reworded", ""])
@pytest.mark.parametrize("icmp", IcmpReason)
def test_a_host_that_could_not_forward_it_has_tried_to_whatever_the_words(
    icmp: IcmpReason, detail: str
) -> None:
    wanted = Verdict.WARN if icmp is IcmpReason.NOT_FORWARDED else Verdict.PASS
    findings = judged(ProbeVerdict.UNREACHABLE, detail=detail, icmp=icmp)
    assert {finding.verdict for finding in findings} == {wanted}


def test_what_could_not_be_sent_is_unknown_and_no_good_answer() -> None:
    findings = judged(ProbeVerdict.UNREACHABLE, detail="this host has no route to it", asked=0)
    assert {finding.verdict for finding in findings} == {Verdict.UNKNOWN}


@pytest.mark.parametrize("verdict", [ProbeVerdict.ACCEPTED, ProbeVerdict.REFUSED, ProbeVerdict.UNSUITABLE])
def test_whatever_answers_has_forwarded_and_is_told_with_what_to_do(verdict: ProbeVerdict) -> None:
    findings = judged(verdict)
    assert {finding.verdict for finding in findings} == {Verdict.WARN}
    assert all(finding.remedy for finding in findings)


def test_where_people_say_so_it_blocks() -> None:
    assert {finding.verdict for finding in judged(ProbeVerdict.REFUSED, on_answer="fail")} == {Verdict.FAIL}


def test_a_dry_run_sends_nothing() -> None:
    assert {finding.verdict for finding in judged(ProbeVerdict.ACCEPTED, dry_run=True)} == {Verdict.SKIP}
