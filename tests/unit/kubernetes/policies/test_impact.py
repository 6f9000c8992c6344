"""What a change closes: the incident in both directions, and what must be said of others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ferryman.errors import UsageError
from ferryman.kubernetes.cluster import Node
from ferryman.kubernetes.policies.judge import impact_findings
from ferryman.kubernetes.policies.manifests import Located
from ferryman.model import Finding, Verdict
from ferryman.testing import FakeCluster
from unit.kubernetes.policies.incident import NAMESPACES, PODS, allow_all_icmp, narrow, wide
from unit.kubernetes.policies.kubernetes_pods import namespaces_of, pod_value

if TYPE_CHECKING:
    from collections.abc import Sequence

Manifest = dict[str, Any]

NODES = (
    Node("node1", addresses=frozenset({"192.0.2.1", "node1"})),
    Node("node2", addresses=frozenset({"192.0.2.2"})),
)


def cluster(policies: list[Manifest], pods: list[Manifest] = PODS) -> FakeCluster:
    return FakeCluster(
        nodes_now=NODES,
        pods_now=[pod_value(pod) for pod in pods],
        namespaces_now=tuple(namespaces_of(NAMESPACES).values()),
        policies_now=tuple(policies),
    )


def findings(
    now: list[Manifest], *change: Manifest, remove: Sequence[str] = (), staged_names: Sequence[str] = ()
) -> list[Finding]:
    files = [Located(manifest, f"change.yaml:{place}") for place, manifest in enumerate(change, 1)]
    return list(impact_findings("prod", cluster(now), files, remove=remove, staged_names=staged_names))


def seen(found: list[Finding], verdict: Verdict) -> list[str]:
    return [each.seen.partition("; for example")[0] for each in found if each.verdict is verdict]


def test_the_incident_cuts_a_controller_off_and_its_way_back_cuts_dns_off() -> None:
    found = findings(narrow(), allow_all_icmp("name in {'kube-system', 'web'}"))
    controllers = "kube-system/Deployment/calico-kube-controllers"
    assert seen(found, Verdict.FAIL) == [
        f"{controllers} loses everything but ICMP from everybody (ingress)",
        f"{controllers} loses TCP 53, UDP 53 to kube-system/Deployment/coredns (2 pods) (egress)",
        f"{controllers} loses TCP 80 to web/Deployment/shop (egress)",
        f"{controllers} loses everything but ICMP to other nodes, any address outside (egress)",
    ]
    back = [each for each in seen(found, Verdict.WARN) if "open only because of it" in each]
    assert len(back) == 1
    assert back[0].endswith(
        "kube-system/Deployment/coredns (2 pods) loses ICMP fragmentation needed, ICMP echo, any other ICMP"
        " from everybody (ingress)"
    )


def test_the_undo_is_itself_a_change_that_closes_something() -> None:
    found = findings(wide(), allow_all_icmp("name != 'kube-system'"))
    assert [each.partition(" loses")[0] for each in seen(found, Verdict.FAIL)] == [
        "kube-system/Deployment/coredns (2 pods)"
    ]


def test_deleting_what_the_file_has_is_judged_as_a_way_back_of_its_own() -> None:
    found = findings(narrow(), allow_all_icmp("name in {'kube-system', 'web'}"))
    deleted = [
        each for each in seen(found, Verdict.WARN) if "by deleting GlobalNetworkPolicy allow-all-icmp" in each
    ]
    assert len(deleted) == 1
    assert "web/Deployment/shop loses ICMP" in deleted[0]


def test_each_finding_has_the_rules_that_decided() -> None:
    found = findings(narrow(), allow_all_icmp("name in {'kube-system', 'web'}"))
    first = next(each for each in found if each.verdict is Verdict.FAIL)
    assert first.seen.partition("for example ")[2] == (
        "TCP 53 from kube-system/Deployment/coredns (2 pods): before: allow: no policy is about it: open by"
        " the profile kns.kube-system; after: deny: tier default: GlobalNetworkPolicy allow-all-icmp: no rule"
        " allows it: the end of the tier denies"
    )
    assert first.host == "prod"
    assert "allow it in the change itself" in first.remedy


def test_a_change_that_only_opens_passes_and_its_way_back_warns() -> None:
    found = findings([kubernetes("web")], kubernetes("web", {}))
    assert seen(found, Verdict.FAIL) == []
    assert seen(found, Verdict.PASS) == ["nothing of 4 pods that is open now is closed"]
    assert any("when the change is taken back" in each for each in seen(found, Verdict.WARN))


def test_the_same_again_changes_nothing() -> None:
    found = findings(narrow(), narrow()[0])
    assert seen(found, Verdict.FAIL) == []
    assert not any("open only because" in each for each in seen(found, Verdict.WARN))


def kubernetes(namespace: str, *ingress: Manifest, **spec: object) -> Manifest:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "p", "namespace": namespace},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": list(ingress), **spec},
    }


def test_a_removed_policy_can_close_what_only_it_allowed() -> None:
    opening = {**kubernetes("web", {"ports": [{"port": 80}]}), "metadata": {"name": "o", "namespace": "web"}}
    found = findings([kubernetes("web"), opening], remove=("NetworkPolicy/web/o",))
    assert seen(found, Verdict.FAIL) == ["web/Deployment/shop loses TCP 80 from everybody (ingress)"]


def test_a_staged_policy_of_the_cluster_is_judged_when_it_is_named() -> None:
    staged = {
        "apiVersion": "projectcalico.org/v3",
        "kind": "StagedKubernetesNetworkPolicy",
        "metadata": {"name": "s", "namespace": "web"},
        "spec": {"podSelector": {}, "policyTypes": ["Egress"], "stagedAction": "Set"},
    }
    found = findings([staged], staged_names=("s",))
    assert seen(found, Verdict.FAIL) == ["web/Deployment/shop loses everything to everybody (egress)"]
    with pytest.raises(UsageError, match="--staged t"):
        findings([staged], staged_names=("t",))


def test_ports_and_networks_that_rules_name_are_told_apart() -> None:
    rule = {
        "from": [{"ipBlock": {"cidr": "198.51.100.0/24", "except": ["198.51.100.128/25"]}}],
        "ports": [{"port": 443}, {"port": 8000, "endPort": 8080}, {"port": "web"}],
    }
    found = findings([kubernetes("web", rule)], kubernetes("web"))
    assert seen(found, Verdict.FAIL) == [
        "web/Deployment/shop loses TCP 80, TCP 443, TCP 8000-8080 from everybody (ingress)"
    ]
    narrower = {**rule, "ports": [{"port": 443}]}
    found = findings([kubernetes("web", rule)], kubernetes("web", narrower))
    assert seen(found, Verdict.FAIL) == [
        "web/Deployment/shop loses TCP 80, TCP 8000-8080 from everybody (ingress)"
    ]


def test_what_is_not_judged_is_unknown_and_never_passes() -> None:
    strange = kubernetes("web", {"from": [], "hosts": ["x"]})
    found = findings([], strange)
    assert any("web/Deployment/shop may lose" in each for each in seen(found, Verdict.UNKNOWN))
    assert any("hosts is not judged" in each for each in seen(found, Verdict.WARN))
    assert seen(found, Verdict.PASS) == []


def test_a_kind_that_is_not_judged_is_unknown_and_one_that_is_no_policy_is_named() -> None:
    host = {"apiVersion": "projectcalico.org/v3", "kind": "HostEndpoint", "metadata": {"name": "h"}}
    other = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "namespace": "web"}}
    found = findings([], host, other)
    assert seen(found, Verdict.UNKNOWN) == [
        "HostEndpoint h: says who reaches whom, and is of a kind that is not judged"
    ]
    assert seen(found, Verdict.SKIP) == ["Deployment web/d: no policy"]


def test_labels_of_a_namespace_that_change_can_close_too() -> None:
    rule = {"from": [{"namespaceSelector": {"matchLabels": {"name": "kube-system"}}}]}
    away = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-system", "labels": {}}}
    found = findings([kubernetes("web", rule)], away)
    assert seen(found, Verdict.FAIL) == ["web/Deployment/shop loses everything from everybody (ingress)"]


def test_a_tier_that_changes_its_end_can_close_too() -> None:
    policy = allow_all_icmp("all()")
    policy["spec"] |= {"tier": "first"}
    tier: Manifest = {"apiVersion": "projectcalico.org/v3", "kind": "Tier", "metadata": {"name": "first"}}
    passes, denies = ({**tier, "spec": {"order": 1, "defaultAction": each}} for each in ("Pass", "Deny"))
    found = findings([policy, passes], denies)
    assert any("web/Deployment/shop loses everything but ICMP" in each for each in seen(found, Verdict.FAIL))


def test_pods_that_policies_do_not_tell_apart_are_one_class() -> None:
    many = [
        {
            **PODS[3],
            "metadata": {**PODS[3]["metadata"], "name": f"shop-{n}"},
            "status": {"podIP": f"10.0.2.{n}"},
        }
        for n in range(1, 200)
    ]
    files = [Located(kubernetes("web"), "change.yaml:1")]
    found = list(impact_findings("prod", cluster([], many), files))
    assert seen(found, Verdict.FAIL) == [
        "web/Deployment/shop (199 pods) loses everything from everybody (ingress)"
    ]
