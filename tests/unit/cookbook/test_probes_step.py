"""A probe's answer is a finding: one verdict passes, each other one says what to do."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from ferryman.cookbook.steps.realservers import judged
from ferryman.model import ProbeResult, ProbeVerdict, Verdict, VirtualService

VIRTUAL = VirtualService("web", "default", "tcp", IPv4Address("192.0.2.1"), 80, "wrr")


@pytest.mark.parametrize("verdict", ProbeVerdict)
def test_only_an_accepted_probe_passes(verdict: ProbeVerdict) -> None:
    finding = judged(ProbeResult("rs1", VIRTUAL, verdict), 1440)
    assert (finding.verdict is Verdict.PASS) == (verdict is ProbeVerdict.ACCEPTED)
    assert finding.verdict in (Verdict.PASS, Verdict.FAIL)


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        (ProbeVerdict.REFUSED, "decapsulation works, but nothing listens"),
        (ProbeVerdict.UNSUITABLE, "to 1440 bytes"),
        (ProbeVerdict.SILENT, "rp_filter"),
        (ProbeVerdict.UNREACHABLE, "cannot be delivered"),
    ],
)
def test_what_does_not_pass_says_what_to_do(verdict: ProbeVerdict, said: str) -> None:
    assert said in judged(ProbeResult("rs1", VIRTUAL, verdict, mss=1460), 1440).remedy


def test_the_finding_has_what_was_seen() -> None:
    finding = judged(ProbeResult("rs1", VIRTUAL, ProbeVerdict.UNSUITABLE, 0.4, 1460), 1440)
    assert "tcp 192.0.2.1:80: unsuitable, MSS 1460" in finding.seen
    assert "1440 bytes at most" in finding.wanted
