"""Packets of strangers: silence is the good answer; any other one is a warning, or what people say it is."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from ferryman.config import Config, ProbeConfig
from ferryman.cookbook import Ferry, SpoofedSourcesDropped
from ferryman.hosts.fake import FakeHosts
from ferryman.model import ProbeResult, ProbeVerdict, Verdict
from unit.cookbook.test_probes_step import WEB, Heard

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ferryman.model import Finding
    from ferryman.probe import Target


@dataclass(eq=False)
class Answering(Ferry):
    """A ferry to whose strangers' probes everybody answers the same."""

    verdict: ProbeVerdict = field(default=ProbeVerdict.SILENT, kw_only=True)
    detail: str = field(default="", kw_only=True)

    def probe_briefly(self, targets: Sequence[Target]) -> list[ProbeResult]:
        return [
            ProbeResult(target.host, target.virtual_service, self.verdict, detail=self.detail)
            for target in targets
        ]


def judged(
    verdict: ProbeVerdict,
    *,
    strangers: Literal["warn", "fail"] = "warn",
    rehearsal: bool = False,
    detail: str = "",
) -> list[Finding]:
    config = Config(file=Path("ferryman.toml"), probe=ProbeConfig(open_decapsulator=strangers))
    heard = Heard()
    service = replace(WEB, realservers=WEB.realservers[:2])
    world = Answering(config, FakeHosts(), rehearsal=rehearsal, verdict=verdict, detail=detail)
    SpoofedSourcesDropped(world, service).look(heard)
    return [finding for finding in heard.findings if finding.check == "forwards-strangers"]


@pytest.mark.parametrize("verdict", [ProbeVerdict.SILENT, ProbeVerdict.UNREACHABLE])
def test_silence_passes(verdict: ProbeVerdict) -> None:
    assert [(one.host, one.verdict) for one in judged(verdict)] == [
        ("web1", Verdict.PASS),
        ("web2", Verdict.PASS),
    ]


def test_a_host_that_could_not_pass_it_on_has_tried_to() -> None:
    detail = "ICMP 3/1 from 10.10.0.21 (host unreachable)"
    assert {one.verdict for one in judged(ProbeVerdict.UNREACHABLE, detail=detail)} == {Verdict.WARN}


@pytest.mark.parametrize("verdict", [ProbeVerdict.ACCEPTED, ProbeVerdict.REFUSED, ProbeVerdict.UNSUITABLE])
def test_whatever_answers_has_forwarded_and_is_told_with_what_to_do(verdict: ProbeVerdict) -> None:
    findings = judged(verdict)
    assert {finding.verdict for finding in findings} == {Verdict.WARN}
    assert all(finding.remedy for finding in findings)


def test_where_people_say_so_it_blocks() -> None:
    assert {one.verdict for one in judged(ProbeVerdict.REFUSED, strangers="fail")} == {Verdict.FAIL}


def test_a_rehearsal_sends_nothing() -> None:
    assert {one.verdict for one in judged(ProbeVerdict.ACCEPTED, rehearsal=True)} == {Verdict.SKIP}
