"""Policies as rules of nft, as Calico and kube-router write them: a chain for each pod and policy.

It is written from the specifications alone and shares no line with what it judges: a mark says what the chain
of a policy decided, addresses stand for whoever selectors choose, and a selector of Calico's becomes Python.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

Manifest = dict[str, Any]

ALLOWED, PASSED = 1, 2
"""What a policy's chain leaves as the packet's mark."""
DEFAULT_TIER = ("default", 1_000_000.0, "Deny")
NAMED = {"web": ("tcp", 80)}
"""Each pod of the generated sets has this port."""
MARKER = 254


@dataclass(frozen=True)
class Rules:
    """The rules of a cluster's policies."""

    namespaces: list[Manifest]
    pods: list[Manifest]
    policies: list[Manifest]

    def text(self) -> str:
        """For ``nft -f -``; what was there before goes."""
        chains, ends = [], []
        for pod in self.pods:
            address = pod["status"]["podIP"]
            for direction, word in (("Egress", "saddr"), ("Ingress", "daddr")):
                rules = self._of_pod(pod, direction)
                if rules is None:
                    continue
                name = f"{direction.lower()}_{pod['metadata']['namespace']}_{pod['metadata']['name']}"
                name = name.replace("-", "_")
                chains.append(_chain(name, rules))
                ends.append(f"ip {word} {address} jump {name}")
        for count, policy in enumerate(self.policies):
            if policy["kind"] == "Tier":
                continue
            chains += [
                _chain(f"policy_{count}_{direction}", self._of_policy(policy, direction))
                for direction in self._types(policy)
            ]
        forward = [
            "type filter hook forward priority 0; policy accept;",
            f"ip protocol {MARKER} accept",
            "ct state established,related accept",
            *ends,
        ]
        body = "\n".join([*reversed(chains), _chain("forward", forward)])
        return f"table ip policies\ndelete table ip policies\ntable ip policies {{\n{body}\n}}\n"

    def _tiers(self) -> list[tuple[str, float, str]]:
        found = [
            (each["metadata"]["name"], each["spec"]["order"], each["spec"]["defaultAction"])
            for each in self.policies
            if each["kind"] == "Tier"
        ]
        return sorted([*found, DEFAULT_TIER], key=lambda each: each[1])

    def _of_pod(self, pod: Manifest, direction: str) -> list[str] | None:
        """Tier by tier: the policies about the pod, and what becomes of what none of them decides."""
        lines: list[str] = []
        for tier, _, end in self._tiers():
            about = sorted(
                (_order(policy), count)
                for count, policy in enumerate(self.policies)
                if policy["kind"] != "Tier"
                and policy["spec"].get("tier", "default") == tier
                and direction in self._types(policy)
                and self._selects(policy, pod)
            )
            if not about:
                continue
            lines.append("meta mark set 0")
            for _, count in about:
                lines.append(f"meta mark 0 jump policy_{count}_{direction}")
                lines.append(f"meta mark {ALLOWED} return")
            if end == "Deny":
                lines.append("meta mark 0 drop")
        return lines or None

    def _types(self, policy: Manifest) -> list[str]:
        spec = policy["spec"]
        given = spec.get("types") or spec.get("policyTypes")
        if given:
            return list(given)
        assert "podSelector" in spec, "the generated ones of Calico say it"
        return ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]

    def _selects(self, policy: Manifest, pod: Manifest) -> bool:
        spec, meta = policy["spec"], pod["metadata"]
        if policy["kind"] != "GlobalNetworkPolicy" and policy["metadata"]["namespace"] != meta["namespace"]:
            return False
        if "podSelector" in spec:
            return chosen(spec["podSelector"], meta["labels"])
        return expression(spec["selector"], meta["labels"]) and expression(
            spec.get("namespaceSelector", "all()"), self._labels_of(meta["namespace"])
        )

    def _labels_of(self, namespace: str) -> dict[str, str]:
        return next(
            each["metadata"]["labels"] for each in self.namespaces if each["metadata"]["name"] == namespace
        )

    def _of_policy(self, policy: Manifest, direction: str) -> list[str]:
        rules = policy["spec"].get(direction.lower()) or []
        if "podSelector" in policy["spec"]:
            return [line for rule in rules for line in self._kubernetes(policy, rule, direction)]
        return [line for rule in rules for line in self._calico(policy, rule)]

    def _kubernetes(self, policy: Manifest, rule: Manifest, direction: str) -> list[str]:
        word, side = ("saddr", "from") if direction == "Ingress" else ("daddr", "to")
        peers = [self._peer(policy, each, word) for each in rule.get(side) or []] or [""]
        ports = [self._port(each) for each in rule.get("ports") or []] or [""]
        return [f"{peer} {port} meta mark set {ALLOWED} return" for peer in peers for port in ports]

    def _peer(self, policy: Manifest, peer: Manifest, word: str) -> str:
        if "ipBlock" in peer:
            block = peer["ipBlock"]
            but = "".join(f" ip {word} != {each}" for each in block.get("except", []))
            return f"ip {word} {block['cidr']}{but}"
        own = policy["metadata"]["namespace"]
        found = [
            pod["status"]["podIP"]
            for pod in self.pods
            if chosen(peer.get("podSelector") or {}, pod["metadata"]["labels"])
            and (
                chosen(peer["namespaceSelector"], self._labels_of(pod["metadata"]["namespace"]))
                if "namespaceSelector" in peer
                else pod["metadata"]["namespace"] == own
            )
        ]
        return _addresses(word, found)

    def _port(self, port: Manifest) -> str:
        protocol = port.get("protocol", "TCP").lower()
        number = port.get("port")
        if number is None:
            return f"ip protocol {protocol}"
        if isinstance(number, str):
            of_name, number = NAMED[number]
            every = _addresses("daddr", [pod["status"]["podIP"] for pod in self.pods])
            return f"{every} {protocol} dport {number}" if of_name == protocol else NEVER
        return (
            f"{protocol} dport {number}-{port['endPort']}"
            if "endPort" in port
            else f"{protocol} dport {number}"
        )

    def _calico(self, policy: Manifest, rule: Manifest) -> list[str]:
        own = policy["metadata"].get("namespace")
        parts = [
            self._entity(rule.get("source") or {}, "saddr", own),
            self._entity(rule.get("destination") or {}, "daddr", own),
            *_packet(rule),
        ]
        match = " ".join(part for part in parts if part)
        end = {
            "Allow": f"meta mark set {ALLOWED} return",
            "Deny": "drop",
            "Pass": f"meta mark set {PASSED} return",
        }[rule["action"]]
        ports = (rule.get("destination") or {}).get("ports") or [None]
        protocol = str(rule.get("protocol", "")).lower()
        return [
            f"{match} {protocol} dport {str(port).replace(':', '-')} {end}"
            if port is not None
            else f"{match} {end}"
            for port in ports
        ]

    def _entity(self, entity: Manifest, word: str, own: str | None) -> str:
        if "nets" in entity:
            return f"ip {word} {{ {', '.join(entity['nets'])} }}"
        if not {"selector", "namespaceSelector"} & set(entity):
            return ""
        found = [
            pod["status"]["podIP"]
            for pod in self.pods
            if expression(entity.get("selector", "all()"), pod["metadata"]["labels"])
            and (
                expression(entity["namespaceSelector"], self._labels_of(pod["metadata"]["namespace"]))
                if "namespaceSelector" in entity
                else own in (None, pod["metadata"]["namespace"])
            )
        ]
        return _addresses(word, found)


NEVER = "ip saddr 255.255.255.255"
"""Nobody's packet."""


def _packet(rule: Manifest) -> list[str]:
    parts = []
    protocol = str(rule.get("protocol", "")).lower()
    if protocol:
        parts.append(f"ip protocol {protocol}")
    if "notProtocol" in rule:
        parts.append(f"ip protocol != {rule['notProtocol'].lower()}")
    if "icmp" in rule:
        parts.append(f"icmp type {rule['icmp']['type']}")
        if "code" in rule["icmp"]:
            parts.append(f"icmp code {rule['icmp']['code']}")
    parts += [f"{protocol} dport != {port}" for port in (rule.get("destination") or {}).get("notPorts", [])]
    return parts


def _order(policy: Manifest) -> tuple[float, str]:
    """A policy of Kubernetes' has the order 1000; they allow alone, so that theirs does not matter."""
    return policy["spec"].get("order", 1000), policy["metadata"]["name"]


def _addresses(word: str, found: list[str]) -> str:
    return f"ip {word} {{ {', '.join(found)} }}" if found else NEVER


def _chain(name: str, lines: list[str]) -> str:
    return f"chain {name} {{\n" + "\n".join(lines) + "\n}"


def chosen(selector: Manifest, labels: dict[str, str]) -> bool:
    """What a LabelSelector says."""
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    for each in selector.get("matchExpressions") or []:
        key, values = each["key"], each.get("values", [])
        holds = {
            "In": labels.get(key) in values,
            "NotIn": labels.get(key) not in values,
            "Exists": key in labels,
            "DoesNotExist": key not in labels,
        }
        if not holds[each["operator"]]:
            return False
    return True


def expression(text: str, labels: dict[str, str]) -> bool:
    """What an expression of Calico's says, of the forms that are generated."""
    for pattern, python in (
        (r"all\(\)", "True"),
        (r"has\((\w+)\)", r"('\1' in labels)"),
        (r"(\w+) not in \{([^}]*)\}", r"labels.get('\1') not @ (\2,)"),
        (r"(\w+) in \{([^}]*)\}", r"labels.get('\1') @ (\2,)"),
        (r"@", "in"),
        (r"(\w+) (==|!=) ", r"labels.get('\1') \2 "),
        (r"!(?!=)", "not "),
        (r"&&", "and"),
        (r"\|\|", "or"),
    ):
        text = re.sub(pattern, python, text)
    return bool(eval(text, {"labels": labels}))  # a text of this repository's own generator
