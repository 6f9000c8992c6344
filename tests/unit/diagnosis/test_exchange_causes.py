"""Each cause of a failed exchange is named by its own proof; a server's own failure is not the tunnel's."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from ferryman.diagnosis import EXCHANGE_RULES, ExchangeEvidence, exchange_cause_of
from ferryman.model import Finding, Kind, Verdict, VirtualService
from ferryman.probe import Target
from ferryman.probe.exchange import (
    ExchangeRequest,
    ExchangeResult,
    ExchangeTarget,
    ExchangeVerdict,
    Stage,
    TooBig,
)
from ferryman.realservers.checks.before_netfilter import Early
from ferryman.realservers.checks.tc_filters import Fate
from ferryman.realservers.facts import CALLED_INVALID, OWN_RESETS

DOCS = Path(__file__).parents[3] / "docs" / "diagnosis.md"
VIRTUAL = VirtualService("web", "default", "tcp", IPv4Address("10.99.0.1"), 80, "wrr")
TARGET = ExchangeTarget(
    Target("web1", VIRTUAL, IPv4Address("10.10.0.21"), 1440, IPv4Address("10.10.0.11")), ExchangeRequest()
)
TC = {"tc filter dev eth0 ingress pref 1 u32": 7}
XDP = Early(
    "eth0 has the generic program x of XDP", "eth0", Fate.UNKNOWABLE, "ingress", "ip -d link show dev eth0"
)


def result(verdict: ExchangeVerdict, **more: object) -> ExchangeResult:
    return replace(ExchangeResult(TARGET, verdict, "as it was seen", Stage.REQUEST), **more)  # type: ignore[arg-type]  # fields by name


def failed(verdict: ExchangeVerdict, **more: object) -> ExchangeEvidence:
    """It fails each time, the host's counters are known, and its firewall is known to let everything in."""
    evidence = ExchangeEvidence(
        result(verdict), result(verdict), counted=True, findings=finding("firewall", Verdict.PASS)
    )
    return replace(evidence, **more)  # type: ignore[arg-type]  # fields by name


def with_result(evidence: ExchangeEvidence, **more: object) -> ExchangeEvidence:
    return replace(evidence, failed=replace(evidence.failed, **more))  # type: ignore[arg-type]  # fields by name


def finding(check: str, verdict: Verdict = Verdict.FAIL) -> tuple[Finding, ...]:
    return (Finding(check, "web1", verdict, f"{check} is off", "on", f"turn {check} on"),)


HALF_OPEN = failed(ExchangeVerdict.HALF_OPEN)
UP_LOST, DOWN_LOST = failed(ExchangeVerdict.UP_LOST), failed(ExchangeVerdict.DOWN_LOST)
RESET = failed(ExchangeVerdict.RESET)
SILENT = failed(ExchangeVerdict.SILENT, failed=result(ExchangeVerdict.SILENT, stage=Stage.ANSWER))

CASES = {
    "it completes now": ("unsteady", replace(HALF_OPEN, again=result(ExchangeVerdict.COMPLETED))),
    "nothing was sent": (
        "control-host",
        with_result(failed(ExchangeVerdict.NO_CONNECTION), sent=False),
    ),
    "this host's own kernel finds it too large": (
        "control-host",
        with_result(UP_LOST, too_big=TooBig(None, 1400)),
    ),
    "a filter of tc that drops what follows a SYN": ("before-netfilter", replace(HALF_OPEN, grew=TC)),
    "connections that are tracked by half, by the rules": (
        "firewall",
        replace(HALF_OPEN, findings=finding("firewall"), grew={CALLED_INVALID: 4}),
    ),
    "connections that are tracked by half, by the counter alone": (
        "firewall",
        replace(HALF_OPEN, grew={CALLED_INVALID: 4}),
    ),
    "rules that do not tell": ("firewall", replace(HALF_OPEN, findings=finding("firewall", Verdict.WARN))),
    "a program that nobody can read": ("before-netfilter", replace(HALF_OPEN, early=(XDP,))),
    "nothing on the host shows why": ("path", HALF_OPEN),
    "a device that takes less": ("nic-mtu", replace(UP_LOST, findings=finding("nic-mtu"))),
    "pods that take more": ("pod-mtu", replace(DOWN_LOST, findings=finding("pod-mtu", Verdict.WARN))),
    "large packets that get lost with everybody": ("control-host", replace(UP_LOST, alike=True)),
    "a black hole towards one realserver": ("path-mtu", UP_LOST),
    "a black hole on the way back": ("path-mtu", DOWN_LOST),
    "a router that says how much fits": (
        "path-mtu",
        with_result(UP_LOST, too_big=TooBig(IPv4Address("10.10.0.254"), 1400)),
    ),
    "a rule that resets": ("firewall", RESET),
    "a server that resets": ("server", replace(RESET, grew={OWN_RESETS: 1})),
    "a pod that resets, whose counters nobody knows": ("server", replace(RESET, kind=Kind.KUBERNETES)),
    "a reset on a host that cannot be asked": ("server", replace(RESET, counted=False)),
    "a hung server": ("server", SILENT),
    "a hung server behind rules that are wrong elsewhere": (
        "server",
        replace(SILENT, findings=finding("firewall"), grew=TC),
    ),
    "a hung server that speaks TLS": ("server", with_result(SILENT, stage=Stage.TLS)),
    "a request that never arrived whole": ("path", with_result(SILENT, stage=Stage.REQUEST)),
    "an answer that is none": ("server", failed(ExchangeVerdict.BAD_ANSWER)),
}


@pytest.mark.parametrize(("cause", "evidence"), CASES.values(), ids=CASES)
def test_a_cause_is_named_by_its_proof(cause: str, evidence: ExchangeEvidence) -> None:
    found = exchange_cause_of(evidence)
    assert found is not None
    assert found.cause == cause
    assert found.seen
    assert found.remedy


def test_a_connection_that_never_came_about_is_for_probes_to_explain() -> None:
    assert exchange_cause_of(failed(ExchangeVerdict.NO_CONNECTION)) is None


def test_the_check_that_knows_has_the_remedy() -> None:
    found = exchange_cause_of(replace(HALF_OPEN, findings=finding("firewall")))
    assert found is not None
    assert (found.seen, found.remedy) == ("firewall is off", "turn firewall on")


@pytest.mark.parametrize("evidence", [UP_LOST, replace(UP_LOST, alike=True)])
def test_the_command_that_finds_the_link_can_be_typed_as_it_is(evidence: ExchangeEvidence) -> None:
    found = exchange_cause_of(evidence)
    assert found is not None
    address = evidence.failed.target.target.realserver_address
    assert f": ping -M do -s {1472 if address.version == 4 else 1452} {address}" in found.remedy


@pytest.mark.parametrize(
    ("evidence", "others"),
    [
        (replace(UP_LOST, alike=True), ("path-mtu",)),
        (replace(HALF_OPEN, alike=True), ("control-host",)),
        (replace(HALF_OPEN, findings=finding("firewall", Verdict.UNKNOWN)), ("path",)),
        (replace(HALF_OPEN, early=(XDP,)), ("path",)),
        (RESET, ("path",)),
        (replace(RESET, kind=Kind.KUBERNETES), ("firewall",)),
        (with_result(SILENT, stage=Stage.REQUEST), ("server",)),
        (SILENT, ()),
    ],
)
def test_what_the_same_sign_leaves_is_named_too(evidence: ExchangeEvidence, others: tuple[str, ...]) -> None:
    found = exchange_cause_of(evidence)
    assert found is not None
    assert found.others == others


def test_every_rule_has_a_case_and_every_case_a_rule() -> None:
    assert {rule.cause for rule in EXCHANGE_RULES} == {cause for cause, _ in CASES.values()}


def test_the_documentation_has_the_same_table_in_the_same_order() -> None:
    rows = [f"| `{rule.cause}` | {rule.proven_by} |" for rule in EXCHANGE_RULES]
    _, _, table = DOCS.read_text().partition("## Why an exchange failed")
    assert [line for line in table.splitlines() if line.startswith("| `")][: len(rows)] == rows
