"""Each cause is named by its own proof, and by no other; no words of a result or of an ICMP error decide."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest

from ferryman.diagnosis import CAUSE_RULES, Evidence, cause_of
from ferryman.model import Finding, IcmpReason, ProbeResult, ProbeVerdict, Verdict, VirtualService
from ferryman.probe import Target
from ferryman.probe.aggregate import TargetResult
from ferryman.probe.classify import ICMP_REASONS, ICMP_TEXTS, Flow, IcmpError, Syn, SynIndex, classify
from ferryman.realservers.checks.before_netfilter import Early
from ferryman.realservers.checks.tc_filters import Fate
from ferryman.realservers.facts import (
    DECAPSULATED,
    DISCARDED,
    LISTEN_DROPS,
    MARTIANS,
    NO_POLICY,
    NO_ROUTE_OUT,
    QUEUE_FULL,
    REVERSE_PATH_DROPS,
    UNTRACKED,
)

DOCS = Path(__file__).parents[3] / "docs" / "diagnosis.md"
VIRTUAL = VirtualService("web", "default", "tcp", IPv4Address("10.99.0.1"), 80, "wrr")
DIRECTOR, OURS = IPv4Address("10.10.0.11"), IPv4Address("10.30.0.2")
SILENT = ProbeResult("web1", VIRTUAL, ProbeVerdict.SILENT, outer_source=DIRECTOR)
FLOW = Flow(OURS, 40000, VIRTUAL.vip, VIRTUAL.port)
SYN = Syn(0, FLOW, 1000, OURS, DIRECTOR, 1440, sent=1)
ARRIVED = {DECAPSULATED: 3}
PASSED_BY = {"eth0.rx_packets": 5}


def silent(**more: object) -> Evidence:
    return replace(Evidence(SILENT, SILENT, own=replace(SILENT, outer_source=OURS), nic="eth0"), **more)  # type: ignore[arg-type]  # fields by name


def answered(
    verdict: ProbeVerdict, detail: str = "", icmp: IcmpReason | None = None, **more: object
) -> Evidence:
    reasons = frozenset({icmp} if icmp else ())
    result = replace(SILENT, verdict=verdict, detail=detail, icmp_reasons=reasons)
    return replace(Evidence(result, result), **more)  # type: ignore[arg-type]  # fields by name


def not_sent(evidence: Evidence) -> Evidence:
    return replace(evidence, failed=replace(evidence.failed, outer_source=None))


def finding(check: str, verdict: Verdict = Verdict.FAIL) -> tuple[Finding, ...]:
    return (Finding(check, "web1", verdict, f"{check} is off", "on", f"turn {check} on"),)


OWN_ANSWERS = ProbeResult("web1", VIRTUAL, ProbeVerdict.ACCEPTED, outer_source=OURS)

TC_DROPS = "tc filter dev eth0 ingress pref 1 u32"
TC = Early(TC_DROPS, "eth0", Fate.DROPS, "ingress", "tc -s filter show dev eth0 ingress", TC_DROPS)
XDP = Early(
    "eth0 has the generic program x of XDP", "eth0", Fate.UNKNOWABLE, "ingress", "ip -d link show dev eth0"
)

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
                icmp_reasons=frozenset({IcmpReason.NO_TUNNEL_DEVICE}),
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
        answered(
            ProbeVerdict.UNREACHABLE,
            "ICMP 3/13 from 10.10.0.21 (administratively prohibited)",
            IcmpReason.PROHIBITED,
        ),
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
        not_sent(
            answered(ProbeVerdict.UNREACHABLE, "nothing was sent to 10.10.0.21: this host has no route to it")
        ),
    ),
    "a host that is gone": ("reachable", silent(reached=False)),
    "no VIP": ("vip", silent(findings=finding("vip"), grew=ARRIVED)),
    "a closed port": ("listener", answered(ProbeVerdict.REFUSED, "RST: nothing listens on port 80")),
    "a full backlog": ("listener", silent(grew={LISTEN_DROPS: 2, QUEUE_FULL[0]: 2} | ARRIVED)),
    "too many half-open connections": (
        "listener",
        silent(grew={LISTEN_DROPS: 2, QUEUE_FULL[1]: 2} | ARRIVED, no_way_back=None),
    ),
    "a SYN that the socket drops, though it could be answered": (
        "listener",
        silent(grew={LISTEN_DROPS: 2} | ARRIVED, route_known=True),
    ),
    "a SYN that the socket drops, and no missing route is counted": (
        "listener",
        silent(grew={LISTEN_DROPS: 2} | ARRIVED, counts_missing_routes=True),
    ),
    "no route for the answer, by what the kernel says": (
        "way-back",
        silent(grew={LISTEN_DROPS: 2} | ARRIVED, no_way_back="there is no route from 10.99.0.1 to 10.30.0.2"),
    ),
    "no route for the answer, by its counter": (
        "way-back",
        silent(grew={LISTEN_DROPS: 2, NO_ROUTE_OUT[0]: 2} | ARRIVED, counts_missing_routes=True),
    ),
    "no route for the answer in IPv6, by its counter": (
        "way-back",
        silent(grew={LISTEN_DROPS: 2, NO_ROUTE_OUT[1]: 2} | ARRIVED),
    ),
    "a SYN that the socket drops, and its route is not known": (
        "way-back",
        silent(grew={LISTEN_DROPS: 2} | ARRIVED),
    ),
    "the NIC's own filter, by the check and its counter": (
        "rp-filter",
        silent(findings=finding("rp-filter-outer"), grew={REVERSE_PATH_DROPS: 2}, own=OWN_ANSWERS),
    ),
    "the NIC's own filter, by its setting where nothing was counted": (
        "rp-filter",
        silent(findings=finding("rp-filter-outer"), own=OWN_ANSWERS),
    ),
    "the NIC's own filter, by its counter alone": (
        "rp-filter",
        silent(grew={REVERSE_PATH_DROPS: 2}, nic="eth0", nic_filter=1),
    ),
    "the NIC's own filter, of every realserver": (
        "rp-filter",
        silent(
            findings=finding("rp-filter-outer"),
            grew={REVERSE_PATH_DROPS: 2} | ARRIVED,
            own=OWN_ANSWERS,
            others_answer=False,
        ),
    ),
    "a source that cannot be": (
        "rp-filter",
        silent(findings=finding("rp-filter-outer"), grew={MARTIANS: 2}),
    ),
    "a filter of tc that drops it": (
        "before-netfilter",
        silent(early=(TC,), grew={TC_DROPS: 2}),
    ),
    "a filter of tc that drops it, with packets of our own source let in": (
        "before-netfilter",
        silent(early=(TC,), grew={TC_DROPS: 2} | ARRIVED, own=OWN_ANSWERS),
    ),
    "a filter of tc that drops the answer": (
        "before-netfilter",
        silent(early=(replace(TC, way="egress"),), grew={TC_DROPS: 2} | ARRIVED),
    ),
    "a filter of tc at the tunnel": (
        "before-netfilter",
        silent(early=(replace(TC, device="ipip0"),), grew={TC_DROPS: 2} | ARRIVED),
    ),
    "a filter of tc that drops for sure, and nothing was counted": (
        "before-netfilter",
        silent(early=(TC,)),
    ),
    "a program that nobody can read": ("before-netfilter", silent(early=(XDP,), grew=PASSED_BY)),
    "a listener in another VRF": (
        "vrf",
        answered(ProbeVerdict.REFUSED, "RST: nothing listens on port 80", findings=finding("vrf")),
    ),
    "a VRF where nothing answers at all": ("vrf", silent(findings=finding("vrf"), grew=ARRIVED)),
    "no handler for protocol 4, and its ICMP error was lost": (
        "tunnel-device",
        silent(grew={"IpInUnknownProtos": 3}),
    ),
    "a full table of connections": ("firewall", silent(grew={UNTRACKED: 4} | ARRIVED)),
    "a policy of IPsec": ("firewall", silent(grew={NO_POLICY[0]: 4})),
    "packets that the kernel discards": ("firewall", silent(grew={DISCARDED[0]: 4})),
    "rules that do not tell": (
        "firewall",
        silent(findings=finding("firewall", Verdict.WARN), grew=PASSED_BY),
    ),
    "our source and not the directors', where the rules let both in": (
        "path",
        silent(findings=finding("firewall", Verdict.PASS), own=OWN_ANSWERS, grew=PASSED_BY),
    ),
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
        answered(
            ProbeVerdict.UNREACHABLE, "ICMP 3/1 from 10.30.0.1 (host unreachable)", IcmpReason.NOT_FORWARDED
        ),
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
            IcmpReason.PROHIBITED,
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
    found = cause_of(evidence)
    assert found is not None
    assert found.cause == cause
    assert found.seen
    assert found.remedy


@pytest.mark.parametrize("words", ["reworded", "port unreachable, prohibited: a firewall rejects it"])
@pytest.mark.parametrize(("cause", "evidence"), CASES.values(), ids=CASES)
def test_no_words_of_a_result_decide(cause: str, evidence: Evidence, words: str) -> None:
    failed, again = replace(evidence.failed, detail=words), replace(evidence.again, detail=words)
    own = replace(evidence.own, detail=words) if evidence.own else None
    found = cause_of(replace(evidence, failed=failed, again=again, own=own))
    assert found is not None
    assert found.cause == cause


@pytest.mark.parametrize(
    "outer", [(DIRECTOR, OURS), None], ids=["of the outer packet", "of the inner packet"]
)
@pytest.mark.parametrize("number", ICMP_REASONS, ids=str)
def test_no_words_of_an_icmp_error_decide(
    number: tuple[int, int, int],
    outer: tuple[IPv4Address, IPv4Address] | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    version, kind, code = number
    error = IcmpError(DIRECTOR if version == 4 else IPv6Address("fd10::21"), kind, code, outer, FLOW, SYN.isn)

    def cause() -> str | None:
        target = Target("web1", VIRTUAL, OURS, 1440)
        total = TargetResult(target, DIRECTOR, 1)
        for judgement in classify(error, SynIndex([SYN])):
            total.count(judgement, 0.1)
        found = cause_of(Evidence(total.result(), total.result()))
        return found.cause if found else None

    before = cause()
    assert before in ("firewall", "tunnel-device", "path")
    monkeypatch.setattr("ferryman.probe.classify.ICMP_TEXTS", dict.fromkeys(ICMP_TEXTS, "reworded"))
    monkeypatch.setattr("ferryman.probe.classify.ICMP_CAUSES", {})
    assert cause() == before


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


LEFT = {
    "a program before netfilter": (
        silent(early=(XDP,), grew=PASSED_BY),
        "before-netfilter or path",
    ),
    "a program before netfilter, and rules that do not tell": (
        silent(early=(XDP,), grew=PASSED_BY, findings=finding("firewall", Verdict.WARN)),
        "before-netfilter, firewall or path",
    ),
    "rules that do not tell": (
        silent(grew=PASSED_BY, findings=finding("firewall", Verdict.UNKNOWN)),
        "firewall or path",
    ),
    "rules that are known to let it in": (
        silent(grew=PASSED_BY, findings=finding("firewall", Verdict.PASS)),
        "path",
    ),
    "a tunnel with ends of its own": (
        silent(grew=PASSED_BY, findings=finding("tunnel-device", Verdict.WARN)),
        "tunnel-device or path",
    ),
    "one source is answered and another is not": (silent(own=OWN_ANSWERS), "firewall or path"),
    "one source is answered and another is not, by a program perhaps": (
        silent(own=OWN_ANSWERS, early=(XDP,)),
        "firewall, before-netfilter or path",
    ),
    "one source is answered and another is not, and the rules let both in": (
        silent(own=OWN_ANSWERS, early=(XDP,), grew=PASSED_BY, findings=finding("firewall", Verdict.PASS)),
        "before-netfilter or path",
    ),
    "no realserver answers a source": (silent(own=OWN_ANSWERS, others_answer=False), "control-host"),
    "no realserver answers a source, by a program perhaps": (
        silent(own=OWN_ANSWERS, others_answer=False, early=(XDP,)),
        "control-host or before-netfilter",
    ),
    "a SYN that the socket dropped": (silent(grew={LISTEN_DROPS: 2} | ARRIVED), "way-back or listener"),
    "a SYN that a full socket dropped": (
        silent(grew={LISTEN_DROPS: 2, QUEUE_FULL[0]: 2} | ARRIVED),
        "listener",
    ),
    "no answer": (silent(grew=ARRIVED), "way-back"),
    "no answer, with a program on the way out": (
        silent(grew=ARRIVED, early=(replace(XDP, way="egress"),)),
        "way-back or before-netfilter",
    ),
    "no answer, with rules that do not tell": (
        silent(grew=ARRIVED, findings=finding("firewall", Verdict.WARN)),
        "way-back or firewall",
    ),
}


@pytest.mark.parametrize(("evidence", "named"), LEFT.values(), ids=LEFT)
def test_all_causes_that_a_sign_leaves_are_named_and_no_other(evidence: Evidence, named: str) -> None:
    found = cause_of(evidence)
    assert found is not None
    assert str(found).startswith(f"cause: {named}: ")


INNER = finding("rp-filter") + finding("tunnel-address") + finding("vip")


@pytest.mark.parametrize(
    ("evidence", "cause"),
    [
        (silent(findings=INNER, grew=PASSED_BY), "path"),
        (silent(findings=INNER, grew={TC_DROPS: 3}, early=(TC,)), "before-netfilter"),
        (silent(findings=finding("vip"), grew=ARRIVED | PASSED_BY), "vip"),
        (silent(findings=finding("rp-filter"), grew=ARRIVED), "way-back"),
        (silent(findings=finding("rp-filter-outer"), grew=PASSED_BY), "path"),
        (silent(findings=finding("rp-filter-outer"), grew=ARRIVED), "way-back"),
    ],
    ids=[
        "nothing came so far",
        "it was dropped before",
        "it came so far",
        "what is not counted was not dropped",
        "the NIC's filter counted nothing",
        "it passed the NIC",
    ],
)
def test_what_a_packet_did_not_meet_or_has_passed_is_no_cause(evidence: Evidence, cause: str) -> None:
    found = cause_of(evidence)
    assert found is not None
    assert found.cause == cause


@pytest.mark.parametrize(
    "evidence",
    [
        silent(grew={REVERSE_PATH_DROPS: 5}, nic_filter=0),
        silent(grew={REVERSE_PATH_DROPS: 5}, findings=finding("rp-filter-outer", Verdict.PASS), nic_filter=1),
        silent(grew={REVERSE_PATH_DROPS: 5} | ARRIVED, tunnel_filter=0),
    ],
    ids=["the NIC has no filter", "the NIC's filter lets this source in", "the tunnel has no filter"],
)
def test_drops_of_other_packets_are_no_cause(evidence: Evidence) -> None:
    found = cause_of(evidence)
    assert found is not None
    assert found.cause in ("path", "way-back")


HOST_COUNTED = {
    "rp_filter": silent(grew={REVERSE_PATH_DROPS: 3}, nic_filter=1),
    "a martian source": silent(grew={MARTIANS: 3}, findings=finding("rp-filter-outer")),
    "a filter of tc": silent(grew={TC_DROPS: 3}, early=(TC,)),
    "an unknown protocol": silent(grew={"IpInUnknownProtos": 3}),
    "the listener": silent(grew={LISTEN_DROPS: 3} | ARRIVED),
    "the kernel's IP": silent(grew={DISCARDED[0]: 3}),
    "policies of IPsec": silent(grew={NO_POLICY[0]: 3}),
    "connection tracking": silent(grew={UNTRACKED: 3}),
    "frames": silent(grew={"ipip0.rx_frame_errors": 3}),
}


@pytest.mark.parametrize("evidence", HOST_COUNTED.values(), ids=HOST_COUNTED)
def test_the_path_is_not_named_when_the_host_counted_the_packet(evidence: Evidence) -> None:
    found = cause_of(evidence)
    assert found is not None
    assert "path" not in (found.cause, *found.others)


def test_a_few_packets_that_the_kernel_discards_are_others() -> None:
    asked = replace(SILENT, asked=4)
    found = cause_of(silent(again=asked, grew={DISCARDED[0]: 3}))
    assert found is not None
    assert found.cause == "path"


def test_a_cause_names_device_source_and_what_grew() -> None:
    found = cause_of(silent(grew={REVERSE_PATH_DROPS: 2}, nic_filter=1))
    assert found is not None
    assert "eth0 drops the outer source 10.10.0.11" in found.seen
    assert f"{REVERSE_PATH_DROPS} grew by 2" in found.seen
    assert "net.ipv4.conf.eth0.rp_filter=0" in found.remedy


def test_every_cause_is_named_in_some_case() -> None:
    assert {rule.cause for rule in CAUSE_RULES} == {cause for cause, _ in CASES.values()}


def test_the_documentation_has_the_same_table() -> None:
    rows = [f"| `{rule.cause}` | {rule.proven_by} |" for rule in CAUSE_RULES]
    table, _, _ = DOCS.read_text().partition("## One sign, several causes")
    assert [line for line in table.splitlines() if line.startswith("| `")] == rows
