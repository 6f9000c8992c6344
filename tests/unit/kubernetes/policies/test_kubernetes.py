"""Policies of Kubernetes: what they close, what they cannot name, and what is not judged."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest

from ferryman.kubernetes.objects import Namespace
from ferryman.kubernetes.policies.policy_set import PolicySet, peer_of
from ferryman.kubernetes.policies.values import Answer, Peer, Traffic
from unit.kubernetes.policies.kubernetes_pods import namespaces_of, outside, pod_of, pod_value, traffic_of

NAMESPACES = namespaces_of([{"metadata": {"name": name, "labels": {"team": name}}} for name in ("x", "y")])
WEB, DB, OTHER = (
    peer_of(pod_value(pod_of(namespace, name, {"app": name}, address)), NAMESPACES)
    for namespace, name, address in (
        ("x", "web", "10.0.0.1"),
        ("x", "db", "10.0.0.2"),
        ("y", "web", "10.0.1.1"),
    )
)
CLIENT = outside("198.51.100.7")


def policy(**spec: object) -> dict[str, Any]:
    whole = {"podSelector": {"matchLabels": {"app": "web"}}, **spec}
    meta = {"name": "p", "namespace": "x"}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": meta, "spec": whole}


def answer(manifest: dict[str, Any], source: Peer, end: Peer, traffic: str) -> str:
    policies = PolicySet.of([manifest], NAMESPACES.values())
    return policies.flow(source, end, traffic_of(traffic)).answer.value


def test_a_pod_that_no_policy_is_about_is_open() -> None:
    assert answer(policy(), CLIENT, DB, "TCP 80") == "allow"
    assert answer(policy(), CLIENT, DB, "ICMP 3/4") == "allow"


def test_a_policy_without_rules_closes_what_comes_in_and_not_what_goes_out() -> None:
    assert answer(policy(), CLIENT, WEB, "TCP 80") == "deny"
    assert answer(policy(), WEB, CLIENT, "TCP 80") == "allow"


def test_rules_for_what_goes_out_make_it_about_both() -> None:
    both = policy(egress=[{"to": [{"podSelector": {}}]}])
    assert [answer(both, WEB, end, "TCP 1") for end in (DB, CLIENT)] == ["allow", "deny"]
    assert answer(both, CLIENT, WEB, "TCP 1") == "deny"


def test_an_empty_list_for_what_goes_out_does_not() -> None:
    assert answer(policy(egress=[]), WEB, CLIENT, "TCP 1") == "allow"
    assert answer(policy(egress=[], policyTypes=["Egress"]), WEB, CLIENT, "TCP 1") == "deny"
    assert answer(policy(egress=[], policyTypes=["Egress"]), CLIENT, WEB, "TCP 1") == "allow"


def test_an_empty_rule_lets_everything_in_and_one_with_ports_never_icmp() -> None:
    assert answer(policy(ingress=[{}]), CLIENT, WEB, "ICMP 3/4") == "allow"
    every = [{"protocol": each} for each in ("TCP", "UDP", "SCTP")]
    with_ports = policy(ingress=[{"ports": every}])
    assert [answer(with_ports, CLIENT, WEB, each) for each in ("TCP 9", "UDP 9", "SCTP 9")] == ["allow"] * 3
    assert answer(with_ports, CLIENT, WEB, "ICMP 3/4") == "deny"


@pytest.mark.parametrize(
    ("peer", "wanted"),
    [
        ({"podSelector": {}}, ["allow", "deny", "deny"]),
        ({"podSelector": {"matchLabels": {"app": "web"}}}, ["deny", "deny", "deny"]),
        ({"namespaceSelector": {}}, ["allow", "allow", "deny"]),
        ({"namespaceSelector": {"matchLabels": {"team": "y"}}}, ["deny", "allow", "deny"]),
        (
            {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "y"}}},
            ["deny", "allow", "deny"],
        ),
        ({"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "db"}}}, ["allow", "deny", "deny"]),
        ({"ipBlock": {"cidr": "198.51.100.0/24"}}, ["deny", "deny", "allow"]),
        ({"ipBlock": {"cidr": "198.51.100.0/24", "except": ["198.51.100.7/32"]}}, ["deny", "deny", "deny"]),
        ({"ipBlock": {"cidr": "10.0.0.0/16"}}, ["allow", "allow", "deny"]),
        ({"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.1.0/24"]}}, ["allow", "deny", "allow"]),
    ],
)
def test_whom_a_rule_lets_in(peer: dict[str, Any], wanted: list[str]) -> None:
    """The neighbour in its namespace, a pod of another, and somebody outside."""
    rule = policy(ingress=[{"from": [peer]}])
    assert [answer(rule, source, WEB, "TCP 80") for source in (DB, OTHER, CLIENT)] == wanted


@pytest.mark.parametrize(
    ("port", "wanted"),
    [
        ({"port": 80}, ["allow", "deny", "deny"]),
        ({"port": "80"}, ["allow", "deny", "deny"]),
        ({"port": 80, "protocol": "UDP"}, ["deny", "deny", "allow"]),
        ({"port": 80, "endPort": 90}, ["allow", "allow", "deny"]),
        ({"port": "web"}, ["allow", "deny", "deny"]),
        ({"port": "web", "protocol": "UDP"}, ["deny", "deny", "deny"]),
        ({"port": "nothing"}, ["deny", "deny", "deny"]),
        ({}, ["allow", "allow", "deny"]),
    ],
)
def test_which_ports_a_rule_lets_in(port: dict[str, Any], wanted: list[str]) -> None:
    rule = policy(ingress=[{"ports": [port]}])
    assert [answer(rule, CLIENT, WEB, each) for each in ("TCP 80", "TCP 90", "UDP 80")] == wanted


def test_the_own_node_always_reaches_a_pod_and_another_only_by_its_address() -> None:
    own, other = (Peer(kind, "node1", (ip_address("192.0.2.1"),)) for kind in ("own node", "node"))
    assert answer(policy(), own, WEB, "ICMP 3/4") == "allow"
    assert answer(policy(), other, WEB, "ICMP 3/4") == "deny"
    assert answer(
        policy(ingress=[{"from": [{"ipBlock": {"cidr": "192.0.2.0/24"}}]}]), other, WEB, "ICMP 3/4"
    ) == ("allow")


def test_a_pod_that_uses_its_nodes_network_is_no_pod_to_policies() -> None:
    manifest = pod_of("x", "web", {"app": "web"}, "192.0.2.1")
    manifest["spec"]["hostNetwork"] = True
    on_host = peer_of(pod_value(manifest), NAMESPACES)
    assert answer(policy(), CLIENT, on_host, "TCP 80") == "allow"
    assert answer(policy(ingress=[{"from": [{"podSelector": {}}]}]), on_host, WEB, "TCP 80") == "deny"


def test_a_pod_without_an_address_leaves_what_hangs_on_it_unknown() -> None:
    pending = replace(WEB, name="x/pending", addresses=())
    rule = policy(ingress=[{"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}])
    assert answer(rule, pending, WEB, "TCP 80") == "unknown"


@pytest.mark.parametrize(
    "rule",
    [
        {"from": [{"podSelector": {}, "fooSelector": {}}]},
        {"from": [], "hosts": ["x"]},
        {"ports": [{"port": 80, "name": "x"}]},
    ],
)
def test_what_is_not_known_leaves_the_answer_unknown_and_is_named(rule: dict[str, Any]) -> None:
    policies = PolicySet.of([policy(ingress=[rule])], NAMESPACES.values())
    assert policies.flow(DB, WEB, Traffic(6, 80)).answer is Answer.UNKNOWN
    assert len(policies.remarks) == 1
    assert "is not judged" in policies.remarks[0]


def test_a_rule_that_is_not_judged_does_not_hide_one_that_allows() -> None:
    policies = PolicySet.of([policy(ingress=[{"from": [], "hosts": []}, {}])], NAMESPACES.values())
    assert policies.flow(DB, WEB, Traffic(6, 80)).answer is Answer.ALLOW


@pytest.mark.parametrize(
    "spec",
    [
        {"podSelector": []},
        {"policyTypes": ["Sideways"]},
        {"ingress": {}},
        {"ingress": [{"from": [{}]}]},
        {"ingress": [{"from": [{"ipBlock": {"cidr": "here"}}]}]},
        {"ingress": [{"ports": [{"port": 70000}]}]},
        {"ingress": [{"ports": [{"port": 90, "endPort": 80}]}]},
        {"ingress": [{"ports": [{"protocol": "ICMP"}]}]},
        {"ingress": [{"ports": [{"port": True}]}]},
    ],
)
def test_one_that_cannot_be_read_leaves_everything_of_its_namespace_unknown(spec: dict[str, Any]) -> None:
    policies = PolicySet.of([policy(**spec)], NAMESPACES.values())
    assert policies.flow(CLIENT, DB, Traffic(6, 80)).answer is Answer.UNKNOWN
    assert policies.flow(CLIENT, OTHER, Traffic(6, 80)).answer is Answer.ALLOW
    assert "NetworkPolicy x/p: cannot be read" in policies.remarks[0]


def test_a_namespace_is_chosen_by_its_name_though_nobody_labelled_it() -> None:
    namespaces = [Namespace("x", {}), Namespace("y", {})]
    rule = {"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "y"}}}]}
    policies = PolicySet.of([policy(ingress=[rule])], namespaces)
    pods = {each.name: each for each in namespaces}
    other = peer_of(pod_value(pod_of("y", "web", {}, "10.0.1.1")), pods)
    assert policies.flow(other, WEB, Traffic(6, 80)).answer is Answer.ALLOW


def test_the_walkthrough_names_each_rule_that_was_met() -> None:
    policies = PolicySet.of([policy(ingress=[{"ports": [{"port": 80}]}])], NAMESPACES.values())
    assert policies.flow(CLIENT, WEB, traffic_of("TCP 80")).steps[1] == (
        "ingress: tier default: NetworkPolicy x/p: ingress rule 1 allows"
    )
    assert policies.flow(CLIENT, WEB, traffic_of("TCP 81")).steps[1] == (
        "ingress: tier default: NetworkPolicy x/p: no rule allows it: the end of the tier denies"
    )
    assert policies.flow(CLIENT, DB, traffic_of("TCP 81")).steps[1] == (
        "ingress: no policy is about it: open by the profile kns.x"
    )
