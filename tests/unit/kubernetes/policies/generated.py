"""Policy sets by a seed: pods of three namespaces, and policies of Kubernetes and Calico about them.

They are what ``network-config-analyzer`` and the lab's rules can both judge: no tier but the default one (the
former knows none), no network that a pod's address is in (it matches none against pods), no ``Exists`` in a
``podSelector`` beside a ``namespaceSelector`` (it looks for such a label in the policy's namespace alone), no
two policies of Calico's with the same order, and no rule that mixes networks and selectors.
"""

from __future__ import annotations

import random
from typing import Any

from unit.kubernetes.policies.kubernetes_pods import pod_of

Manifest = dict[str, Any]

NAMESPACES = ("x", "y", "z")
APPS = ("a", "b")
TIERS = ("front", "back")
PORTS = (80, 81, 443, 5353)
BLOCKS = ("198.51.100.0/24", "198.51.100.64/26", "203.0.113.0/24")
OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")
EXCEPT = {"198.51.100.0/24": "198.51.100.128/25", "203.0.113.0/24": "203.0.113.0/28"}


def cluster(seed: int) -> tuple[list[Manifest], list[Manifest]]:
    """Namespaces and pods as manifests."""
    chance = random.Random(seed)
    namespaces = [
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": name, "labels": {"ns": name, "team": chance.choice(("red", "blue"))}},
        }
        for name in NAMESPACES
    ]
    pods = []
    for place, namespace in enumerate(NAMESPACES):
        for count, app in enumerate(APPS):
            labels = {"app": app, "tier": chance.choice(TIERS)}
            pods.append(pod_of(namespace, f"{app}-{count}", labels, f"10.0.{place}.{count + 1}"))
    return namespaces, pods


def policies(seed: int, *, calico: bool) -> list[Manifest]:
    """Between one and five policies; of Calico's kinds too where it is asked for."""
    chance = random.Random(seed * 2 + 1)
    made: list[Manifest] = []
    for count in range(chance.randint(1, 5)):
        if calico and chance.random() < 0.7:
            made.append(_calico(chance, count))
        else:
            made.append(_kubernetes(chance, count))
    return made


def _labels(chance: random.Random) -> dict[str, str]:
    return chance.choice(
        (
            {},
            {"app": chance.choice(APPS)},
            {"tier": chance.choice(TIERS)},
            {"app": chance.choice(APPS), "tier": chance.choice(TIERS)},
        )
    )


def _selector(chance: random.Random, operators: tuple[str, ...] = OPERATORS) -> Manifest:
    if chance.random() < 0.7:
        labels = _labels(chance)
        return {"matchLabels": labels} if labels else {}
    operator = chance.choice(operators)
    expression: Manifest = {"key": chance.choice(("app", "tier")), "operator": operator}
    if operator in ("In", "NotIn"):
        expression["values"] = list(APPS[:1]) if expression["key"] == "app" else list(TIERS[:1])
    return {"matchExpressions": [expression]}


def _namespaces(chance: random.Random) -> Manifest:
    return chance.choice(
        (
            {},
            {"matchLabels": {"ns": chance.choice(NAMESPACES)}},
            {"matchLabels": {"team": "red"}},
            {"matchExpressions": [{"key": "ns", "operator": "NotIn", "values": [chance.choice(NAMESPACES)]}]},
        )
    )


def _kubernetes(chance: random.Random, count: int) -> Manifest:
    spec: Manifest = {"podSelector": _selector(chance)}
    types = chance.choice((["Ingress"], ["Egress"], ["Ingress", "Egress"], None))
    if types is not None:
        spec["policyTypes"] = types
    for direction, side in (("ingress", "from"), ("egress", "to")):
        if types is not None and direction.capitalize() not in types:
            continue
        if chance.random() < 0.75:
            spec[direction] = [_kubernetes_rule(chance, side) for _ in range(chance.randint(1, 2))]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": f"p{count}", "namespace": chance.choice(NAMESPACES)},
        "spec": spec,
    }


def _kubernetes_rule(chance: random.Random, side: str) -> Manifest:
    rule: Manifest = {}
    if chance.random() < 0.8:
        rule[side] = [_kubernetes_peer(chance) for _ in range(chance.randint(1, 2))]
    if chance.random() < 0.7:
        rule["ports"] = [_kubernetes_port(chance) for _ in range(chance.randint(1, 2))]
    return rule


def _kubernetes_peer(chance: random.Random) -> Manifest:
    kind = chance.randrange(4)
    if kind == 0:
        return {"podSelector": _selector(chance)}
    if kind == 1:
        return {"namespaceSelector": _namespaces(chance)}
    if kind == 2:
        return {"podSelector": _selector(chance, OPERATORS[:2]), "namespaceSelector": _namespaces(chance)}
    block: Manifest = {"cidr": chance.choice(BLOCKS)}
    if block["cidr"] in EXCEPT and chance.random() < 0.5:
        block["except"] = [EXCEPT[block["cidr"]]]
    return {"ipBlock": block}


def _kubernetes_port(chance: random.Random) -> Manifest:
    protocol = chance.choice(("TCP", "UDP"))
    kind = chance.randrange(4)
    if kind == 0:
        return {"protocol": protocol}
    if kind == 1:
        return {"protocol": protocol, "port": 80, "endPort": 100}
    if kind == 2:
        return {"protocol": "TCP", "port": "web"}
    return {"protocol": protocol, "port": chance.choice(PORTS)}


def _expression(chance: random.Random) -> str:
    app, tier = chance.choice(APPS), chance.choice(TIERS)
    return chance.choice(
        (
            "all()",
            f"app == '{app}'",
            f"app != '{app}'",
            f"tier == '{tier}' && app == '{app}'",
            f"tier == '{tier}' || app == '{app}'",
            f"!(app == '{app}')",
            "has(app)",
            f"app in {{'{app}'}}",
            f"app not in {{'{app}'}}",
        )
    )


def _namespace_expression(chance: random.Random) -> str:
    name = chance.choice(NAMESPACES)
    return chance.choice((f"ns == '{name}'", "team == 'red'", f"ns in {{'x', '{name}'}}", f"ns != '{name}'"))


def _calico(chance: random.Random, count: int) -> Manifest:
    is_global = chance.random() < 0.5
    spec: Manifest = {"order": 100 * count + 1 if chance.random() < 0.5 else 2000 + count}
    spec["selector"] = _expression(chance)
    if is_global and chance.random() < 0.5:
        spec["namespaceSelector"] = _namespace_expression(chance)
    types = chance.choice((["Ingress"], ["Egress"], ["Ingress", "Egress"]))
    for direction in ("ingress", "egress"):
        if direction.capitalize() in types and chance.random() < 0.85:
            spec[direction] = [_calico_rule(chance, direction) for _ in range(chance.randint(1, 3))]
    spec["types"] = types
    meta: Manifest = {"name": f"c{count}"}
    if not is_global:
        meta["namespace"] = chance.choice(NAMESPACES)
    return {
        "apiVersion": "projectcalico.org/v3",
        "kind": "GlobalNetworkPolicy" if is_global else "NetworkPolicy",
        "metadata": meta,
        "spec": spec,
    }


def _calico_rule(chance: random.Random, direction: str) -> Manifest:
    rule: Manifest = {"action": chance.choice(("Allow", "Allow", "Deny", "Pass"))}
    destination: Manifest = {}
    other = chance.choice(
        (
            {"selector": _expression(chance)},
            {"namespaceSelector": _namespace_expression(chance)},
            {"selector": _expression(chance), "namespaceSelector": _namespace_expression(chance)},
            {"nets": [chance.choice(BLOCKS)]},
            {},
        )
    )
    match chance.randrange(6):
        case 0:
            rule["protocol"] = chance.choice(("TCP", "UDP", "ICMP"))
        case 1:
            rule["notProtocol"] = chance.choice(("TCP", "UDP"))
        case 2:
            rule["protocol"] = "ICMP"
            rule["icmp"] = {"type": chance.choice((3, 8)), **({"code": 4} if chance.random() < 0.3 else {})}
        case 3:
            rule["protocol"] = chance.choice(("TCP", "UDP"))
            destination["ports"] = [chance.choice((80, "80:100", 443))]
        case 4:
            rule["protocol"] = "TCP"
            destination["notPorts"] = [chance.choice((80, 443))]
    if direction == "ingress":
        rule["source"], rule["destination"] = other, destination
    else:
        rule["destination"] = {**other, **destination}
    return {key: value for key, value in rule.items() if value != {}}
