"""Whether ICMP reaches the pods behind a service, and what is said where it does not."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from ferryman.kubernetes.cluster import Node
from ferryman.kubernetes.objects import ClusterService, Endpoint, ServicePort
from ferryman.kubernetes.policies.icmp import icmp_findings
from ferryman.model import Finding, Service, Verdict, VirtualService
from ferryman.testing import FakeCluster
from unit.kubernetes.policies.incident import COREDNS, NAMESPACES, PODS, allow_all_icmp
from unit.kubernetes.policies.kubernetes_pods import namespaces_of, pod_value

if TYPE_CHECKING:
    from ferryman.kubernetes.objects import Pod

DNS = Service(
    name="dns",
    site="lab",
    encryption=False,
    lvs_class="low-traffic",
    encapsulated=False,
    virtual_services=(VirtualService("dns", "default", "udp", ip_address("10.99.0.1"), 53, "wrr"),),
    realservers=(),
    directors=(),
)


def findings(*policies: dict[str, Any], pods: list[Pod] | None = None) -> list[Finding]:
    pods = [pod_value(pod) for pod in PODS] if pods is None else pods
    dns = [pod for pod in pods if pod.labels.get("k8s-app") == "kube-dns"]
    service = ClusterService(
        "kube-system",
        "dns",
        "Local",
        (ServicePort("UDP", 53, 30053),),
        frozenset({"10.99.0.1"}),
        tuple(Endpoint(pod.addresses[0], pod.node, pod.full_name) for pod in dns),
    )
    cluster = FakeCluster(
        nodes_now=(Node("node1", addresses=frozenset({"192.0.2.1"})),),
        pods_now=pods,
        services_now=(service,),
        namespaces_now=tuple(namespaces_of(NAMESPACES).values()),
        policies_now=policies,
    )
    return list(icmp_findings("prod", DNS, cluster))


def test_pods_that_a_policy_of_kubernetes_is_about_are_cut_off() -> None:
    (found,) = findings(COREDNS)
    assert found.verdict is Verdict.WARN
    assert found.seen.startswith(
        "ICMP fragmentation needed to kube-system/Deployment/coredns (2 pods) from any address outside, other"
        " nodes is dropped (echo as well), isolated by NetworkPolicy kube-system/coredns; from any address"
        " outside: tier default: NetworkPolicy kube-system/coredns: no rule allows it"
    )
    assert "what the pod's own node sends still arrives, and that is what matters" in found.seen
    assert "no NetworkPolicy of Kubernetes can name ICMP: a Calico policy" in found.remedy
    assert "ferryman policy impact" in found.remedy


def test_a_policy_of_calico_that_allows_icmp_lets_it_in() -> None:
    (found,) = findings(COREDNS, allow_all_icmp("all()"))
    assert (found.verdict, found.seen) == (
        Verdict.PASS,
        "it reaches kube-system/Deployment/coredns (2 pods)",
    )


def test_without_policies_it_arrives() -> None:
    assert [each.verdict for each in findings()] == [Verdict.PASS]


def test_echo_alone_that_is_dropped_is_a_warning_of_its_own() -> None:
    policy = allow_all_icmp("all()")
    policy["spec"]["ingress"] = [{"action": "Allow", "protocol": "ICMP", "icmp": {"type": 3}}]
    (found,) = findings(policy)
    assert found.verdict is Verdict.WARN
    assert found.seen.startswith("ICMP echo to kube-system/Deployment/coredns (2 pods)")


def test_what_is_not_judged_is_unknown() -> None:
    policy = allow_all_icmp("all()")
    policy["spec"]["ingress"][0]["http"] = {}
    found = findings(policy)
    assert [each.verdict for each in found] == [Verdict.WARN, Verdict.UNKNOWN]
    assert "http is not judged" in found[0].seen
    assert "may be dropped" in found[1].seen


def test_a_pod_of_two_families_is_judged_in_both() -> None:
    pods = [
        replace(pod, addresses=(*pod.addresses, ip_address("fd00::5")))
        for pod in map(pod_value, PODS)
        if pod.name == "coredns-1"
    ]
    found = findings(COREDNS, allow_all_icmp("all()"), pods=pods)
    assert [each.verdict for each in found] == [Verdict.WARN]
    assert found[0].seen.startswith("ICMPv6 packet too big to kube-system/Deployment/coredns")


def test_a_service_without_pods_is_skipped() -> None:
    (found,) = findings(COREDNS, pods=[])
    assert found.verdict is Verdict.SKIP
