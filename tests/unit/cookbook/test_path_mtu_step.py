"""What is found out about paths and DNS answers is a finding: what blocks, what warns, what is to be done."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ferryman.config import Config
from ferryman.cookbook import (
    CoreDnsKeepsSmall,
    DnsAnswersFit,
    Ferry,
    PathMtuAsked,
    PathMtuDiscovered,
    UsageError,
    Verdict,
)
from ferryman.cookbook.steps.path_mtu import MOST_PODS
from ferryman.hosts.fake import FakeHosts
from ferryman.inventory import Inventory
from ferryman.kubernetes.cluster import ClusterUnreadableError
from ferryman.kubernetes.objects import Owner, Pod
from ferryman.probe.path_mtu import (
    DnsQuestion,
    DnsResult,
    DnsVerdict,
    PathMtuResult,
    PathMtuTarget,
    PathMtuVerdict,
    TooBigTold,
)
from ferryman.tape.ports import Ports
from ferryman.testing.fake_cluster import FakeCluster
from unit.cookbook.test_probes_step import Heard

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ferryman.cookbook import Finding, Look

TEXTS = {
    "hosts.yaml": """\
node1: {address: 10.10.0.31, address6: "fd10::31", kind: kubernetes, cluster: staging}
dns1: {address: 10.10.0.53}
""",
    "clusters.yaml": "staging: {api: https://10.10.0.9:6443}",
}
ROUTER = ip_address("10.30.0.1")
TOLD = (TooBigTold(ROUTER, 1460, 1500),)


def pod(name: str, address: str = "10.67.1.4", owner: str = "shop", **changed: object) -> Pod:
    made = Pod(
        "web", name, f"uid-{name}", "node1", (ip_address(address),), {}, datetime(2026, 11, 1, tzinfo=UTC),
        Owner("Deployment", owner),
    )  # fmt: skip
    return replace(made, **changed)  # type: ignore[arg-type]  # fields by name


def ferry(
    measured: Callable[[PathMtuTarget], PathMtuResult] | None = None,
    answered: Callable[[DnsQuestion], DnsResult] | None = None,
    cluster: FakeCluster | None = None,
    *,
    dry_run: bool = False,
) -> Ferry:
    def measure(targets: Sequence[PathMtuTarget]) -> list[PathMtuResult]:
        assert measured is not None, "nothing is sent"
        return [measured(target) for target in targets]

    def ask(questions: Sequence[DnsQuestion]) -> list[DnsResult]:
        assert answered is not None, "nothing is asked"
        return [answered(question) for question in questions]

    ports = Ports(measure_paths=measure, ask_dns=ask, cluster=lambda entry, dry: cluster or FakeCluster())
    inventory = Inventory.of_texts(TEXTS)
    config = Config(file=Path("ferryman.toml"))
    return Ferry(config, FakeHosts(), dry_run=dry_run, loaded_inventory=inventory, ports=ports)


def looked(look: Look) -> list[Finding]:
    heard = Heard()
    look.look(heard)
    return heard.findings


def result(verdict: PathMtuVerdict, mtu: int | None = 1460, **more: object) -> Callable[..., PathMtuResult]:
    def made(target: PathMtuTarget) -> PathMtuResult:
        return replace(
            PathMtuResult(target, verdict, mtu, interface_mtu=1500, route_mtu=1500),
            **more,  # type: ignore[arg-type]  # fields by name
        )

    return made


def one(made: Callable[[PathMtuTarget], PathMtuResult]) -> list[Finding]:
    return looked(PathMtuDiscovered(ferry(made), ("dns1",)))


def test_each_address_is_asked_by_each_protocol() -> None:
    asked: list[str] = []

    def measured(target: PathMtuTarget) -> PathMtuResult:
        asked.append(str(target))
        return result(PathMtuVerdict.LARGER, 1500)(target)

    world = ferry(measured)
    findings = looked(PathMtuDiscovered(world, ("node1", "10.9.9.9"), PathMtuAsked(80, 53)))
    assert asked == [
        *("10.10.0.31 icmp", "10.10.0.31 tcp port 80", "10.10.0.31 udp port 53"),
        *("fd10::31 icmp", "fd10::31 tcp port 80", "fd10::31 udp port 53"),
        *("10.9.9.9 icmp", "10.9.9.9 tcp port 80", "10.9.9.9 udp port 53"),
    ]
    assert {finding.verdict for finding in findings} == {Verdict.PASS}
    assert world.memory.path_mtus[ip_address("fd10::31")] == 1500


def test_a_path_whose_router_says_what_fits_passes_with_the_number_and_the_router() -> None:
    findings = one(result(PathMtuVerdict.WORKS, told=TOLD, answer="echo reply"))
    assert [finding.verdict for finding in findings] == [Verdict.PASS] * 3
    assert findings[0].seen == "10.10.0.53 icmp: path MTU 1460, told by 10.30.0.1; by echo reply"


def test_a_black_hole_blocks_udp_and_echo_and_warns_of_tcp_which_can_be_kept_clear_of_it() -> None:
    findings = one(result(PathMtuVerdict.BLACK_HOLE))
    assert [finding.verdict for finding in findings] == [Verdict.FAIL, Verdict.WARN, Verdict.FAIL]
    assert all("1460 bytes get there, larger packets vanish" in finding.seen for finding in findings)
    assert "a clamp, or the pods' MTU" in findings[1].remedy
    assert "nothing clamps UDP" in findings[2].remedy


def test_silence_by_one_protocol_is_no_fault_where_another_one_is_answered() -> None:
    def measured(target: PathMtuTarget) -> PathMtuResult:
        silent = target.protocol == "udp"
        return result(PathMtuVerdict.UNANSWERED if silent else PathMtuVerdict.LARGER)(target)

    assert [finding.verdict for finding in one(measured)] == [Verdict.PASS, Verdict.PASS, Verdict.SKIP]
    silent = one(result(PathMtuVerdict.UNANSWERED, None))
    assert {finding.verdict for finding in silent} == {Verdict.UNKNOWN}
    assert "--udp-port" in silent[0].remedy


def test_a_router_that_tells_no_number_or_a_wrong_one_is_a_warning() -> None:
    for mtu in (0, 1300):
        told = (TooBigTold(ROUTER, mtu, 1500),)
        assert one(result(PathMtuVerdict.WORKS, told=told))[0].verdict is Verdict.WARN


def test_what_this_host_s_own_route_says_is_told_beside_it() -> None:
    assert "this host's own route says 1400" in one(result(PathMtuVerdict.LARGER, route_mtu=1400))[0].seen


def test_a_dry_run_sends_nothing_and_says_so() -> None:
    world = ferry(dry_run=True)
    findings = looked(PathMtuDiscovered(world, ("node1", "dns1")))
    findings += looked(DnsAnswersFit(world, ("dns1",), "example.org", "TXT"))
    assert [(finding.host, finding.verdict) for finding in findings] == [
        *(("node1", Verdict.SKIP), ("dns1", Verdict.SKIP), ("dns1", Verdict.SKIP)),
    ]


def node_with(cluster: FakeCluster) -> PathMtuDiscovered:
    return PathMtuDiscovered(
        ferry(result(PathMtuVerdict.LARGER), cluster=cluster), ("node1",), pods_of=(("node1", "staging"),)
    )


def test_pods_of_a_node_are_asked_by_their_own_addresses() -> None:
    cluster = FakeCluster(pods_now=[
        pod("shop-1"),
        pod("proxy", "10.10.0.31", host_network=True),
        pod("done", "10.67.1.9", phase="Succeeded"),
    ])  # fmt: skip
    hosts = {finding.host for finding in looked(node_with(cluster))}
    assert hosts == {"node1", "web/shop-1 on node1"}


def test_of_many_pods_some_of_each_owner_are_asked_and_it_is_said_of_how_many() -> None:
    many = [pod(f"shop-{number}", f"10.67.1.{number}") for number in range(10, 40)]
    findings = looked(node_with(FakeCluster(pods_now=[*many, pod("zoo-1", "10.67.2.1", owner="zoo")])))
    asked = {finding.host for finding in findings} - {"node1"}
    assert len(asked) == MOST_PODS
    assert {"web/shop-10 on node1", "web/zoo-1 on node1"} <= asked
    assert "8 of its 31 pods with an own address are asked" in [finding.seen for finding in findings]


def test_a_cluster_that_cannot_be_asked_for_pods_is_unknown_and_never_green() -> None:
    cluster = FakeCluster()
    cluster.fail("pods", ClusterUnreadableError("staging: 403"))
    unknown = [finding for finding in looked(node_with(cluster)) if finding.verdict is Verdict.UNKNOWN]
    assert [(finding.host, finding.seen) for finding in unknown] == [("node1", "staging: 403")]


def answers(large: DnsResult, small: DnsResult | None = None) -> Finding:
    def answered(question: DnsQuestion) -> DnsResult:
        chosen = large if question.size == 4096 else small
        assert chosen is not None, "it is not asked again"
        return replace(chosen, question=question)

    world = ferry(answered=answered)
    world.memory.path_mtus[ip_address("10.10.0.53")] = 1460
    (finding,) = looked(DnsAnswersFit(world, ("dns1",), "example.org", "TXT"))
    return finding


QUESTION = DnsQuestion("dns1", ip_address("10.10.0.53"), "example.org")
WHOLE = DnsResult(QUESTION, DnsVerdict.WHOLE, 900, 1, code=0)
SILENT = DnsResult(QUESTION, DnsVerdict.SILENT)


def test_a_small_answer_passes_and_a_cut_off_one_says_so() -> None:
    assert answers(WHOLE).verdict is Verdict.PASS
    cut = answers(replace(WHOLE, size=1200, truncated=True, code=3))
    assert cut.verdict is Verdict.PASS
    assert cut.seen == (
        "10.10.0.53: example.org TXT with bufsize 4096: an answer of 1200 bytes in one packet, cut off there "
        "(TC); the path takes 1432 bytes of an answer in one packet; response code 3"
    )


@pytest.mark.parametrize(
    "large",
    [replace(WHOLE, size=1400), replace(WHOLE, verdict=DnsVerdict.FRAGMENTED, size=3000, fragments=3)],
)
def test_a_large_answer_that_arrives_is_a_warning(large: DnsResult) -> None:
    finding = answers(large)
    assert finding.verdict is Verdict.WARN
    assert "bufsize 1232" in finding.remedy


def test_a_large_answer_that_does_not_arrive_where_a_small_one_does_is_a_failure() -> None:
    lost = replace(SILENT, verdict=DnsVerdict.FRAGMENTS_LOST, fragments=1)
    assert answers(lost, SILENT).verdict is Verdict.FAIL
    finding = answers(SILENT, replace(WHOLE, size=1190, truncated=True))
    assert finding.verdict is Verdict.FAIL
    assert "with bufsize 1232 one of 1190 bytes comes" in finding.seen


def test_a_server_that_does_not_answer_at_all_is_unknown() -> None:
    assert answers(SILENT, SILENT).verdict is Verdict.UNKNOWN
    refused = replace(SILENT, verdict=DnsVerdict.REFUSED, detail="ICMP 3/3")
    assert answers(refused, refused).verdict is Verdict.UNKNOWN


def test_what_cannot_be_asked_is_an_error_of_usage_before_anything_begins() -> None:
    with pytest.raises(UsageError, match="no type of DNS records"):
        DnsAnswersFit(ferry(), ("dns1",), "example.org", "FOO")


def core_dns(corefile: str | None) -> list[tuple[Verdict, str]]:
    maps = {} if corefile is None else {("kube-system", "coredns"): {"Corefile": corefile}}
    world = ferry(cluster=FakeCluster(config_maps=maps))
    return [(finding.verdict, finding.seen) for finding in looked(CoreDnsKeepsSmall(world, "staging"))]


def test_each_server_block_of_coredns_is_judged_by_its_bufsize() -> None:
    corefile = """\
(common) {
  bufsize 4096
}
.:53 {
  errors  # bufsize 512
  bufsize 1232
  forward . /etc/resolv.conf {
    max_concurrent 1000
  }
}
example.org {
  bufsize
}
large.example {
  bufsize 4096
}
none.example {
  cache 30
}
"""
    assert core_dns(corefile) == [
        (Verdict.PASS, "CoreDNS, .:53: bufsize 1232"),
        (Verdict.PASS, "CoreDNS, example.org: bufsize 1232"),
        (Verdict.WARN, "CoreDNS, large.example: bufsize 4096"),
        (
            Verdict.WARN,
            "CoreDNS, none.example: no bufsize: answers are as large as who asks says is welcome",
        ),
    ]


def test_a_cluster_without_coredns_is_skipped_and_one_that_cannot_be_asked_is_unknown() -> None:
    assert [verdict for verdict, _ in core_dns(None)] == [Verdict.SKIP]
    cluster = FakeCluster()
    cluster.fail("config_map", ClusterUnreadableError("staging: 403"))
    (finding,) = looked(CoreDnsKeepsSmall(ferry(cluster=cluster), "staging"))
    assert (finding.verdict, finding.seen) == (Verdict.UNKNOWN, "staging: 403")
