"""Each suspect is found guilty by its own proof, and by nobody else's."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from ferryman.diagnosis import SUSPECTS, Evidence, cause_of
from ferryman.model import Finding, ProbeResult, ProbeVerdict, Verdict, VirtualService
from ferryman.realservers.facts import DECAPSULATED, LISTEN_DROPS, REVERSE_PATH_DROPS

DOCS = Path(__file__).parents[3] / "docs" / "diagnosis.md"
VIRTUAL = VirtualService("web", "default", "tcp", IPv4Address("10.99.0.1"), 80, "wrr")
DIRECTOR, OURS = IPv4Address("10.10.0.11"), IPv4Address("10.30.0.2")
SILENT = ProbeResult("web1", VIRTUAL, ProbeVerdict.SILENT, outer_source=DIRECTOR)
ARRIVED = {DECAPSULATED: 3}
PASSED_BY = {"eth0.rx_packets": 5}


def silent(**more: object) -> Evidence:
    return replace(Evidence(SILENT, SILENT, own=replace(SILENT, outer_source=OURS)), **more)  # type: ignore[arg-type]  # fields by name


def answered(verdict: ProbeVerdict, detail: str = "", **more: object) -> Evidence:
    result = replace(SILENT, verdict=verdict, detail=detail)
    return replace(Evidence(result, result), **more)  # type: ignore[arg-type]  # fields by name


def finding(check: str, verdict: Verdict = Verdict.FAIL) -> tuple[Finding, ...]:
    return (Finding(check, "web1", verdict, f"{check} is off", "on", f"turn {check} on"),)


OWN_ANSWERS = ProbeResult("web1", VIRTUAL, ProbeVerdict.ACCEPTED, outer_source=OURS)

CASES = {
    "a strict filter, by its setting": ("rp-filter", silent(findings=finding("rp-filter"))),
    "a strict filter, by its counter alone": ("rp-filter", silent(grew={REVERSE_PATH_DROPS: 2} | ARRIVED)),
    "loose mode without an address": (
        "tunnel-address",
        silent(findings=finding("tunnel-address"), grew={REVERSE_PATH_DROPS: 2} | ARRIVED),
    ),
    "no tunnel device, by the check": ("tunnel-device", silent(findings=finding("tunnel-device"))),
    "no tunnel device, by what ICMP tells our own source": (
        "tunnel-device",
        silent(
            own=replace(
                OWN_ANSWERS,
                verdict=ProbeVerdict.UNREACHABLE,
                detail="ICMP 3/2 from 10.10.0.21 (protocol unreachable, no tunnel device takes it)",
            )
        ),
    ),
    "a firewall, by its rules": ("firewall", silent(findings=finding("firewall"))),
    "a firewall that stands before a strict filter": (
        "firewall",
        silent(findings=finding("rp-filter") + finding("firewall")),
    ),
    "a firewall that says so": (
        "firewall",
        answered(ProbeVerdict.UNREACHABLE, "ICMP 3/13 from 10.10.0.21 (administratively prohibited)"),
    ),
    "a firewall that lets our source in and not the directors'": ("firewall", silent(own=OWN_ANSWERS)),
    "a network that drops what has a foreign source": (
        "control-host",
        silent(own=OWN_ANSWERS, others_answer=False),
    ),
    "a firewall that drops it everywhere is no matter of the network": (
        "firewall",
        silent(own=OWN_ANSWERS, others_answer=False, findings=finding("firewall", Verdict.WARN)),
    ),
    "a packet that never left": (
        "control-host",
        answered(ProbeVerdict.UNREACHABLE, "nothing was sent to 10.10.0.21: this host has no route to it"),
    ),
    "a host that is gone": ("reachable", silent(reached=False)),
    "no VIP": ("vip", silent(findings=finding("vip"), grew=ARRIVED)),
    "a closed port": ("listener", answered(ProbeVerdict.REFUSED, "RST: nothing listens on port 80")),
    "a full backlog": ("listener", silent(grew={LISTEN_DROPS: 2} | ARRIVED)),
    "a clamper that runs with an old list": (
        "clamper",
        answered(ProbeVerdict.UNSUITABLE, findings=finding("clamper", Verdict.WARN)),
    ),
    "pods of yesterday": (
        "pod-mtu",
        answered(ProbeVerdict.UNSUITABLE, findings=finding("pod-mtu", Verdict.WARN)),
    ),
    "an MSS that nobody explains": ("mss", answered(ProbeVerdict.UNSUITABLE, "MSS 1460")),
    "a router that knows no way": (
        "path",
        answered(ProbeVerdict.UNREACHABLE, "ICMP 3/1 from 10.30.0.1 (host unreachable)"),
    ),
    "a firewall that resets": (
        "firewall",
        answered(
            ProbeVerdict.REFUSED,
            "RST: nothing listens on port 80",
            findings=(
                Finding("firewall", "web1", Verdict.FAIL, "-j REJECT --reject-with tcp-reset", "in", "admit"),
            ),
        ),
    ),
    "a packet for nobody that is sent on and rejected elsewhere": (
        "vip",
        answered(
            ProbeVerdict.UNREACHABLE,
            "ICMP 3/3 from 10.10.0.11 (port unreachable, a firewall rejects it)",
            findings=finding("vip"),
        ),
    ),
    "congestion that the inner packet cannot be told": (
        "ecn",
        silent(grew={"ipip0.rx_frame_errors": 8, "eth0.rx_packets": 9}),
    ),
    "packets that never arrive": ("path", silent(grew=PASSED_BY)),
    "answers that never come back": ("way-back", silent(grew=ARRIVED)),
    "a packet or two that was lost": (
        "unsteady",
        Evidence(SILENT, replace(SILENT, verdict=ProbeVerdict.ACCEPTED)),
    ),
}


@pytest.mark.parametrize(("cause", "evidence"), CASES.values(), ids=CASES)
def test_the_cause_is_named(cause: str, evidence: Evidence) -> None:
    if cause == "control-host" and evidence.failed.verdict is ProbeVerdict.UNREACHABLE:
        evidence = replace(evidence, failed=replace(evidence.failed, outer_source=None))
    found = cause_of(evidence)
    assert found is not None
    assert found.cause == cause
    assert found.seen
    assert found.remedy


def test_the_checks_own_remedy_is_the_better_one() -> None:
    found = cause_of(silent(findings=finding("rp-filter")))
    assert found is not None
    assert found.remedy == "turn rp-filter on"


def test_where_nothing_proves_anything_no_cause_is_made_up() -> None:
    assert cause_of(silent()) is None


def test_a_setting_that_looks_wrong_is_no_cause_when_tcp_answered() -> None:
    looks_wrong = finding("firewall") + finding("vip") + finding("rp-filter")
    found = cause_of(answered(ProbeVerdict.REFUSED, "RST", findings=looks_wrong))
    assert found is not None
    assert found.cause == "listener"


def test_every_suspect_is_guilty_in_some_case() -> None:
    assert {suspect.cause for suspect in SUSPECTS} == {cause for cause, _ in CASES.values()}


def test_the_documentation_has_the_same_table() -> None:
    rows = [f"| `{suspect.cause}` | {suspect.proven_by} |" for suspect in SUSPECTS]
    assert [line for line in DOCS.read_text().splitlines() if line.startswith("| `")] == rows
