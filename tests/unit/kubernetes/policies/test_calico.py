"""Calico's policies: tiers, order, actions, selectors, network sets; and what of them is not judged."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ferryman.kubernetes.policies.policy_set import PolicySet, peer_of
from ferryman.kubernetes.policies.values import Peer, Traffic
from unit.kubernetes.policies.kubernetes_pods import namespaces_of, outside, pod_of, pod_value, traffic_of

Manifest = dict[str, Any]

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
ALLOW, DENY, PASS, LOG = ({"action": action} for action in ("Allow", "Deny", "Pass", "Log"))


def policy(
    name: str, *ingress: Manifest, namespace: str = "x", group: str = "projectcalico.org/v3", **spec: object
) -> Manifest:
    kind = "NetworkPolicy" if namespace else "GlobalNetworkPolicy"
    meta = {"name": name, **({"namespace": namespace} if namespace else {})}
    whole = {"selector": "app == 'web'", "ingress": list(ingress), "types": ["Ingress"], **spec}
    return {"apiVersion": group, "kind": kind, "metadata": meta, "spec": whole}


def tier(name: str, order: float | None, default: str = "Deny") -> Manifest:
    spec = {"order": order, "defaultAction": default}
    return {"apiVersion": "projectcalico.org/v3", "kind": "Tier", "metadata": {"name": name}, "spec": spec}


def answer(manifests: list[Manifest], source: Peer = CLIENT, end: Peer = WEB, traffic: str = "TCP 80") -> str:
    policies = PolicySet.of(manifests, NAMESPACES.values())
    return policies.flow(source, end, traffic_of(traffic)).answer.value


def test_the_lowest_order_comes_first_and_none_last() -> None:
    first, second, last = policy("b", DENY, order=1), policy("a", ALLOW, order=2), policy("0", DENY)
    assert answer([second, first]) == "deny"
    assert answer([last, second]) == "allow"
    assert answer([replace_order(first, 3), second]) == "allow"


def replace_order(manifest: Manifest, order: float) -> Manifest:
    return {**manifest, "spec": {**manifest["spec"], "order": order}}


def test_a_policy_of_kubernetes_has_the_order_1000_in_the_tier_default() -> None:
    spec: Manifest = {"podSelector": {}, "ingress": [{}]}
    meta = {"name": "k", "namespace": "x"}
    of_kubernetes = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": meta,
        "spec": spec,
    }
    assert answer([of_kubernetes, policy("c", DENY, order=999)]) == "deny"
    assert answer([of_kubernetes, policy("c", DENY, order=1001)]) == "allow"


def test_a_rule_that_logs_decides_nothing() -> None:
    assert answer([policy("p", LOG, ALLOW)]) == "allow"
    assert answer([policy("p", LOG)]) == "deny"


def test_a_tier_before_decides_and_passes_on() -> None:
    first = tier("first", 10)
    in_first = policy("first.p", PASS, tier="first")
    assert answer([first, in_first]) == "allow"
    assert answer([first, in_first, policy("p", DENY)]) == "deny"
    assert answer([first, policy("first.p", ALLOW, tier="first"), policy("p", DENY)]) == "allow"


def test_the_end_of_a_tier_denies_unless_it_passes() -> None:
    in_first = policy("first.p", {**DENY, "protocol": "UDP"}, tier="first")
    assert answer([tier("first", 10), in_first, policy("p", ALLOW)]) == "deny"
    assert answer([tier("first", 10, "Pass"), in_first, policy("p", ALLOW)]) == "allow"


def test_a_tier_after_the_default_one_is_met_by_what_passes_it() -> None:
    last = [tier("last", 2_000_000), policy("last.p", DENY, tier="last")]
    assert answer([*last, policy("p", PASS)]) == "deny"
    assert answer([*last, policy("p", ALLOW)]) == "allow"


def test_one_of_a_tier_that_does_not_exist_leaves_it_unknown() -> None:
    assert answer([policy("p", ALLOW, tier="lost")]) == "unknown"


@pytest.mark.parametrize("group", ["projectcalico.org/v3", "crd.projectcalico.org/v1"])
def test_both_of_its_api_groups_are_read(group: str) -> None:
    assert answer([policy("default.p", group=group)]) == "deny"


@pytest.mark.parametrize(
    ("rules", "ingress", "egress"),
    [
        ({}, "deny", "allow"),
        ({"ingress": [DENY]}, "deny", "allow"),
        ({"egress": [DENY]}, "allow", "deny"),
        ({"ingress": [DENY], "egress": [DENY]}, "deny", "deny"),
    ],
)
def test_without_types_it_is_about_what_it_has_rules_for(rules: Manifest, ingress: str, egress: str) -> None:
    manifest = policy("p")
    manifest["spec"] = {"selector": "app == 'web'", **rules}
    assert (answer([manifest]), answer([manifest], WEB, CLIENT)) == (ingress, egress)


def test_a_global_policy_is_about_pods_of_all_namespaces_or_of_those_that_are_chosen() -> None:
    everywhere = policy("p", namespace="")
    assert [answer([everywhere], end=each) for each in (WEB, DB, OTHER)] == ["deny", "allow", "deny"]
    of_y = policy("p", namespace="", namespaceSelector="team == 'y'")
    assert [answer([of_y], end=each) for each in (WEB, DB, OTHER)] == ["allow", "allow", "deny"]
    by_name = policy("p", namespace="", selector="projectcalico.org/namespace == 'y'")
    assert [answer([by_name], end=each) for each in (WEB, OTHER)] == ["allow", "deny"]
    inherited = policy("p", namespace="", selector="pcns.team == 'y'")
    assert [answer([inherited], end=each) for each in (WEB, OTHER)] == ["allow", "deny"]


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ({}, ["allow", "allow", "allow"]),
        ({"selector": "all()"}, ["allow", "deny", "deny"]),
        ({"selector": "app == 'web'"}, ["deny", "deny", "deny"]),
        ({"namespaceSelector": "all()"}, ["allow", "allow", "deny"]),
        ({"namespaceSelector": "team == 'y'"}, ["deny", "allow", "deny"]),
        ({"namespaceSelector": "all()", "selector": "app == 'web'"}, ["deny", "allow", "deny"]),
        ({"namespaceSelector": "global()"}, ["deny", "deny", "deny"]),
        ({"notSelector": "app == 'db'"}, ["deny", "deny", "deny"]),
        ({"nets": ["198.51.100.0/24"]}, ["deny", "deny", "allow"]),
        (
            {"nets": ["10.0.0.0/24", "198.51.100.0/24"], "notNets": ["198.51.100.7/32"]},
            ["allow", "deny", "deny"],
        ),
        ({"notNets": ["10.0.0.0/8"]}, ["deny", "deny", "allow"]),
        ({"serviceAccounts": {"names": ["default"]}}, ["allow", "deny", "deny"]),
        ({"serviceAccounts": {"names": ["other"]}}, ["deny", "deny", "deny"]),
        ({"serviceAccounts": {"selector": "role == 'x'"}}, ["unknown", "deny", "deny"]),
    ],
)
def test_whom_a_rule_of_a_namespaced_policy_means(source: Manifest, wanted: list[str]) -> None:
    """The neighbour in its namespace, a pod of another, and somebody outside."""
    manifest = policy("p", {**ALLOW, "source": source})
    assert [answer([manifest], each) for each in (DB, OTHER, CLIENT)] == wanted


def test_a_rule_of_a_global_policy_means_every_namespace() -> None:
    manifest = policy("p", {**ALLOW, "source": {"selector": "app == 'web'"}}, namespace="")
    assert [answer([manifest], each) for each in (DB, OTHER, CLIENT)] == ["deny", "allow", "deny"]


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        ({"protocol": "TCP"}, ["TCP 80", "TCP 443"]),
        ({"protocol": 6}, ["TCP 80", "TCP 443"]),
        ({"protocol": "ICMP"}, ["ICMP 3/4", "ICMP 8/0"]),
        ({"protocol": "ICMP", "icmp": {"type": 3}}, ["ICMP 3/4"]),
        ({"protocol": "ICMP", "icmp": {"type": 3, "code": 1}}, []),
        ({"protocol": "ICMP", "notICMP": {"type": 3, "code": 4}}, ["ICMP 8/0"]),
        ({"notProtocol": "TCP"}, ["UDP 80", "ICMP 3/4", "ICMP 8/0", "protocol 47"]),
        ({"protocol": 47}, ["protocol 47"]),
        ({"protocol": "TCP", "destination": {"ports": [80]}}, ["TCP 80"]),
        ({"protocol": "TCP", "destination": {"ports": ["400:500", "web"]}}, ["TCP 80", "TCP 443"]),
        ({"protocol": "TCP", "destination": {"notPorts": ["80"]}}, ["TCP 443"]),
        ({"protocol": "UDP", "destination": {"ports": ["web"]}}, []),
        ({"ipVersion": 6}, []),
        ({"ipVersion": 4, "protocol": "UDP"}, ["UDP 80"]),
    ],
)
def test_which_traffic_a_rule_means(rule: Manifest, wanted: list[str]) -> None:
    traffics = ("TCP 80", "TCP 443", "UDP 80", "ICMP 3/4", "ICMP 8/0", "protocol 47")
    manifest = policy("p", {**ALLOW, **rule})
    assert [each for each in traffics if answer([manifest], traffic=each) == "allow"] == wanted


def network_set(kind: str, labels: dict[str, str], *nets: str, namespace: str = "") -> Manifest:
    meta = {"name": "s", "labels": labels, **({"namespace": namespace} if namespace else {})}
    return {
        "apiVersion": "projectcalico.org/v3",
        "kind": kind,
        "metadata": meta,
        "spec": {"nets": list(nets)},
    }


def test_network_sets_are_found_by_labels_and_mean_their_addresses() -> None:
    everywhere = network_set("GlobalNetworkSet", {"app": "office"}, "198.51.100.0/24")
    by_label = policy("p", {**ALLOW, "source": {"selector": "app == 'office'"}}, namespace="")
    assert [answer([everywhere, by_label], each) for each in (CLIENT, DB)] == ["allow", "deny"]
    in_x = network_set("NetworkSet", {"app": "office"}, "198.51.100.0/24", namespace="x")
    of_x = policy("p", {**ALLOW, "source": {"selector": "app == 'office'"}})
    assert answer([in_x, of_x]) == "allow"
    assert answer([everywhere, of_x]) == "deny", "a namespaced rule means what is in its namespace"
    outside_alone = {"selector": "app == 'office'", "namespaceSelector": "global()"}
    assert answer([everywhere, policy("p", {**ALLOW, "source": outside_alone})]) == "allow"
    assert answer([in_x, policy("p", {**ALLOW, "source": outside_alone})]) == "deny"


@pytest.mark.parametrize(
    "rule",
    [
        {"http": {"methods": ["GET"]}},
        {"source": {"domains": ["example.org"]}},
        {"destination": {"services": {"name": "web"}}},
        {"source": {"ports": [53]}, "protocol": "UDP"},
    ],
)
def test_what_is_not_judged_leaves_the_answer_unknown(rule: Manifest) -> None:
    traffic = "UDP 80" if "protocol" in rule else "TCP 80"
    assert answer([policy("p", {**ALLOW, **rule})], traffic=traffic) == "unknown"
    assert answer([policy("p", {**DENY, **rule})], traffic=traffic) == "deny", "denied either way"


def test_what_it_does_to_host_endpoints_is_named_and_pods_are_not_touched() -> None:
    for key, wanted in (("doNotTrack", "allow"), ("preDNAT", "allow"), ("applyOnForward", "deny")):
        manifest = policy("p", namespace="")
        manifest["spec"][key] = True
        policies = PolicySet.of([manifest], NAMESPACES.values())
        assert key in policies.remarks[0]
        assert "not judged" in policies.remarks[0]
        assert policies.flow(CLIENT, WEB, Traffic(6, 80)).answer.value == wanted


def test_which_service_accounts_have_a_label_cannot_be_told() -> None:
    assert answer([policy("p", namespace="", serviceAccountSelector="role == 'x'")]) == "unknown"
    assert answer([policy("p", namespace="", serviceAccountSelector="all()")]) == "deny"


def test_staged_policies_change_nothing() -> None:
    staged = {**policy("p"), "kind": "StagedNetworkPolicy"}
    assert answer([staged]) == "allow"


def test_icmpv6_is_a_protocol_of_its_own() -> None:
    manifest = policy("p", {**ALLOW, "protocol": "ICMPv6"})
    policies = PolicySet.of([manifest], NAMESPACES.values())
    six = outside("2001:db8::1")
    pod = replace(WEB, addresses=(*WEB.addresses, *outside("fd00::1").addresses))
    assert policies.flow(six, pod, Traffic(58, icmp=(2, 0), family=6)).answer.value == "allow"
    assert policies.flow(CLIENT, pod, Traffic(1, icmp=(3, 4))).answer.value == "deny"


@pytest.mark.parametrize(
    "spec",
    [
        {"selector": "app =="},
        {"order": "first"},
        {"types": ["Sideways"]},
        {"ingress": [{"action": "Shrug"}]},
        {"ingress": [{"action": "Allow", "protocol": "carrier pigeon"}]},
        {"ingress": [{"action": "Allow", "destination": {"ports": ["80:70"]}}]},
        {"ingress": [{"action": "Allow", "source": {"nets": ["here"]}}]},
        {"ingress": [{"action": "Allow", "icmp": {"type": 300}}]},
    ],
)
def test_one_that_cannot_be_read_leaves_it_unknown(spec: Manifest) -> None:
    assert answer([policy("p", **spec)]) == "unknown"
