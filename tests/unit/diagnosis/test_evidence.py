"""Evidence is gathered by asking again while the realserver's counters are watched."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ferryman.diagnosis import ProbesAgain, cause_of, evidence_of
from ferryman.hosts.fake import FakeHosts, Printed
from ferryman.hosts.verbs.realservers import ReadCounters, ReadFacts
from ferryman.model import (
    Director,
    Kind,
    ProbeResult,
    ProbeVerdict,
    Realserver,
    Role,
    Service,
    VirtualService,
)
from ferryman.probe import probe_targets
from ferryman.realservers.facts import DECAPSULATED, REVERSE_PATH_DROPS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ferryman.diagnosis import Evidence
    from ferryman.hosts.fake import Reply
    from ferryman.probe import Target

CASES = Path(__file__).parents[1] / "realservers" / "cases"
HEALTHY = (CASES / "lab-web-healthy.txt").read_text()
WELL = Printed(HEALTHY)
OTHER_ROUTE = (CASES / "lab-web-other-route.txt").read_text().replace("10.10.0.22", "10.10.0.21")
"""A recorded host that counts what comes out of its tunnel, and drops the outer source of its director."""
LVS1 = IPv4Address("10.10.0.11")
WEB = Service(
    "web",
    "lab",
    encryption=False,
    lvs_class="low-traffic",
    encapsulated=False,
    virtual_services=(VirtualService("web", "default", "tcp", IPv4Address("10.99.0.1"), 80, "wrr"),),
    realservers=(Realserver("web1", Kind.SERVER, IPv4Address("10.10.0.21"), None),),
    directors=(Director("lvs1", Role.PRIMARY, "ipvsadm", address=LVS1),),
)
(TARGET,) = probe_targets(WEB)
SILENT = ProbeResult("web1", TARGET.virtual_service, ProbeVerdict.SILENT, outer_source=LVS1)


def counted(drops: int, unwrapped: int) -> Printed:
    """The answer of ``grep -aH ''`` over the files with counters."""
    netstat = f"TcpExt: ListenDrops IPReversePathFilter\nTcpExt: 0 {drops}"
    dev = f"Inter-|\n face |\n ipip0: 100 {unwrapped} 0 0 0 0 0 0 0 0 0 0 0 0 0 0"
    files = {"/proc/net/netstat": netstat, "/proc/net/dev": dev}
    lines = (f"{path}:{line}" for path, text in files.items() for line in text.splitlines())
    return Printed("\n".join(lines))


def of_healthy(name: str, text: str = HEALTHY) -> int:
    """A counter of the recorded host, which is read after the probes."""
    from ferryman.realservers.facts import counters  # noqa: PLC0415  # beside its only use
    from ferryman.realservers.facts.parse import parse  # noqa: PLC0415  # as above

    return counters(parse("web1", text)).get(name, 0)


def gathered(counters: Reply, *, facts: Reply = WELL) -> tuple[Evidence, FakeHosts, list[Target]]:
    hosts = FakeHosts()
    hosts.answer("web1", ReadFacts, facts)
    hosts.answer("web1", ReadCounters, counters)
    asked: list[Target] = []

    def ask(targets: Sequence[Target]) -> list[ProbeResult]:
        asked.extend(targets)
        return [replace(SILENT, outer_source=target.outer_source) for target in targets]

    (evidence,) = evidence_of(WEB, [(TARGET, SILENT)], [SILENT], hosts, ProbesAgain(ask))
    return evidence, hosts, asked


def test_counters_are_read_before_and_everything_after() -> None:
    drops, unwrapped = of_healthy(REVERSE_PATH_DROPS), of_healthy(DECAPSULATED)
    evidence, hosts, asked = gathered(counted(drops, unwrapped))
    assert [call.verb.name for call in hosts.calls] == ["counters", "facts"]
    assert asked[0] == TARGET
    assert REVERSE_PATH_DROPS not in evidence.grew


def test_what_grew_meanwhile_is_the_proof() -> None:
    text = OTHER_ROUTE.replace("eth0/rp_filter:1", "eth0/rp_filter:0")
    text = text.replace("ipip0/rp_filter:0", "ipip0/rp_filter:1")
    drops, unwrapped = of_healthy(REVERSE_PATH_DROPS, text), of_healthy(DECAPSULATED, text)
    evidence, _, _ = gathered(counted(drops - 3, unwrapped - 3), facts=Printed(text))
    assert evidence.grew[REVERSE_PATH_DROPS] == 3
    found = cause_of(evidence)
    assert found is not None
    assert found.cause == "rp-filter"
    assert "grew by 3" in found.seen
    assert "ipip0" in found.seen


def test_where_nothing_came_out_of_the_tunnel_it_was_the_nic_that_dropped() -> None:
    drops, unwrapped = of_healthy(REVERSE_PATH_DROPS, OTHER_ROUTE), of_healthy(DECAPSULATED, OTHER_ROUTE)
    evidence, _, _ = gathered(counted(drops - 3, unwrapped), facts=Printed(OTHER_ROUTE))
    found = cause_of(evidence)
    assert found is not None
    assert found.cause == "rp-filter"
    assert "the outer source 10.10.0.11 is by other0: eth0 drops it" in found.seen
    assert "grew by 3" in found.seen
    assert "net.ipv4.conf.eth0.rp_filter=2" in found.remedy


def test_what_our_own_source_let_grow_is_not_taken_for_what_was_asked() -> None:
    drops, unwrapped = of_healthy(REVERSE_PATH_DROPS, OTHER_ROUTE), of_healthy(DECAPSULATED, OTHER_ROUTE)
    evidence, _, _ = gathered(counted(drops - 3, unwrapped - 4), facts=Printed(OTHER_ROUTE))
    ours = replace(SILENT, verdict=ProbeVerdict.ACCEPTED, outer_source=IPv4Address("10.30.0.2"))
    found = cause_of(replace(evidence, own=ours))
    assert found is not None
    assert (found.cause, "eth0 drops it" in found.seen) == ("rp-filter", True)


def test_the_routes_of_each_source_and_of_the_answer_are_asked_for() -> None:
    _, hosts, _ = gathered(counted(0, 0))
    facts = next(call.verb for call in hosts.calls if isinstance(call.verb, ReadFacts))
    asked = {(str(lookup.to), str(lookup.of)) for lookup in facts.lookups}
    assert {("10.10.0.11", "10.10.0.21"), ("9.9.9.9", "10.99.0.1")} < asked
    assert [of for to, of in asked if to not in ("10.10.0.11", "9.9.9.9")] in ([], ["10.99.0.1"])


@pytest.mark.parametrize(
    "garbage", ["", "grep: /proc/net/netstat: Permission denied", "\x00:\n/proc/net/netstat:x"]
)
def test_counters_that_cannot_be_read_prove_nothing(garbage: str) -> None:
    assert gathered(Printed(garbage))[0].grew == {}


def test_a_host_that_cannot_be_asked_is_not_waited_for_again() -> None:
    hosts = FakeHosts()
    hosts.down("web1")
    (evidence,) = evidence_of(
        WEB, [(TARGET, SILENT)], [SILENT], hosts, ProbesAgain(lambda targets: [SILENT for _ in targets])
    )
    assert len(hosts.calls) == 1
    assert (evidence.findings, evidence.grew) == ((), {})


def test_what_fails_from_several_directors_is_asked_from_here_once() -> None:
    ours, lvs2 = IPv4Address("10.30.0.2"), IPv4Address("10.10.0.12")
    hosts = FakeHosts()
    hosts.down("web1")
    both = [TARGET, replace(TARGET, outer_source=lvs2)]
    asked: list[Target] = []

    def ask(targets: Sequence[Target]) -> list[ProbeResult]:
        asked.extend(targets)
        return [replace(SILENT, outer_source=target.outer_source) for target in targets]

    probes = ProbesAgain(ask, lambda _: ours)
    found = evidence_of(WEB, [(target, SILENT) for target in both], [SILENT], hosts, probes)
    assert asked == [*both, replace(TARGET, outer_source=ours)]
    assert [evidence.own and evidence.own.outer_source for evidence in found] == [ours, ours]
    assert [evidence.again.outer_source for evidence in found] == [LVS1, lvs2]
