"""A NetworkPolicy of Kubernetes as a value.

Its rules only allow; a pod that any of them is about is closed, in that direction, to everything else. ICMP
cannot be named, so what is let through by protocol and port never is ICMP.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ferryman.kubernetes.policies import shape
from ferryman.kubernetes.policies.selector import label_selector
from ferryman.kubernetes.policies.shape import UnreadableManifestError
from ferryman.kubernetes.policies.values import MAX_PORT, TCP, WITH_PORTS, Action, Entity, Policy, Ports, Rule

if TYPE_CHECKING:
    from ferryman.kubernetes.objects import Manifest
    from ferryman.kubernetes.policies.selector import Matches
    from ferryman.kubernetes.policies.values import Maybe, NetworkSet, Peer, Who

ORDER = 1000.0
"""The order that Calico gives it, in the tier ``default``."""


def network_policy(manifest: Manifest, kind: str = "NetworkPolicy") -> Policy:
    """The policy of a manifest of ``networking.k8s.io/v1``.

    Raises:
        UnreadableManifestError: It is not as its kind has to be.
        UnreadableSelectorError: As above, of a selector.
    """
    meta = shape.mapping(manifest.get("metadata"), "metadata")
    namespace = shape.text(meta.get("namespace"), "metadata.namespace", "default")
    spec = shape.mapping(manifest.get("spec"), "spec")
    chosen = label_selector(shape.mapping(spec.get("podSelector"), "spec.podSelector"))
    types = _types(spec)
    remark = shape.unknown_keys(spec, ("podSelector", "policyTypes", "ingress", "egress", "stagedAction"))

    def selects(pod: Peer) -> Maybe:
        return pod.namespace == namespace and chosen(pod.labels)

    return Policy(
        kind=kind,
        namespace=namespace,
        name=shape.text(meta.get("name"), "metadata.name"),
        tier="default",
        order=ORDER,
        selects=selects,
        ingress=_rules(spec, "ingress", namespace) if "Ingress" in types else None,
        egress=_rules(spec, "egress", namespace) if "Egress" in types else None,
        text=repr(spec),
        remarks=(remark,) if remark else (),
    )


def _types(spec: Manifest) -> set[str]:
    """What it is about: as it says, else what comes in, and what goes out where it has rules for that."""
    given = shape.sequence(spec.get("policyTypes"), "spec.policyTypes")
    if strange := [each for each in given if each not in ("Ingress", "Egress")]:
        raise UnreadableManifestError(f"spec.policyTypes: expected Ingress or Egress, found {strange[0]!r}")
    if given:
        return set(given)
    return {"Ingress", "Egress"} if spec.get("egress") else {"Ingress"}


def _rules(spec: Manifest, direction: str, namespace: str) -> tuple[Rule, ...]:
    side = "from" if direction == "ingress" else "to"
    found: list[Rule] = []
    for count, each in enumerate(shape.sequence(spec.get(direction), f"spec.{direction}"), 1):
        where = f"spec.{direction}[{count - 1}]"
        rule = shape.mapping(each, where)
        reasons = [shape.unknown_keys(rule, (side, "ports"))]
        peers = _peers(rule.get(side), f"{where}.{side}", namespace, reasons)
        ports = tuple(
            port_of(port, f"{where}.ports", reasons)
            for port in shape.sequence(rule.get("ports"), f"{where}.ports")
        )
        found.append(
            Rule(
                Action.ALLOW,
                f"{direction} rule {count}",
                sources=peers if direction == "ingress" else (Entity(),),
                destinations=peers if direction == "egress" else (Entity(),),
                ports=ports or None,
                unjudged="; ".join(filter(None, reasons)),
            )
        )
    return tuple(found)


def _peers(value: Any, where: str, namespace: str, reasons: list[str]) -> tuple[Entity, ...]:  # noqa: ANN401  # as in shape
    given = shape.sequence(value, where)
    return tuple(_peer(shape.mapping(each, where), where, namespace, reasons) for each in given) or (
        Entity(),
    )


def _peer(peer: Manifest, where: str, namespace: str, reasons: list[str]) -> Entity:
    reasons.append(shape.unknown_keys(peer, ("podSelector", "namespaceSelector", "ipBlock")))
    if "ipBlock" in peer:
        block = shape.mapping(peer["ipBlock"], f"{where}.ipBlock")
        reasons.append(shape.unknown_keys(block, ("cidr", "except")))
        return Entity(
            networks=(shape.network(block.get("cidr"), f"{where}.ipBlock.cidr"),),
            not_networks=shape.networks(block.get("except"), f"{where}.ipBlock.except"),
        )
    if not {"podSelector", "namespaceSelector"} & set(peer):
        raise UnreadableManifestError(f"{where}: expected podSelector, namespaceSelector or ipBlock")
    namespaces = peer.get("namespaceSelector")
    return Entity(
        who=pods_of(
            label_selector(shape.mapping(peer.get("podSelector"), f"{where}.podSelector")),
            None if namespaces is None else label_selector(namespaces),
            namespace,
        )
    )


def pods_of(pods: Matches, namespaces: Matches | None, namespace: str = "") -> Who:
    """Pods by their labels, of namespaces by theirs, or of the one namespace."""

    def who(peer: Peer, subject: Peer, sets: tuple[NetworkSet, ...], family: int) -> Maybe:
        del subject, sets, family
        if peer.kind != "pod" or not pods(peer.labels):
            return False
        return peer.namespace == namespace if namespaces is None else namespaces(peer.namespace_labels)

    return who


def port_of(value: Any, where: str, reasons: list[str]) -> Ports:  # noqa: ANN401  # as in shape
    """An entry of ``ports``: TCP where it names no protocol, every port where it names none."""
    given = shape.mapping(value, where)
    reasons.append(shape.unknown_keys(given, ("protocol", "port", "endPort")))
    protocol = shape.protocol_number(given.get("protocol", TCP), f"{where}.protocol")
    if protocol not in WITH_PORTS:
        raise UnreadableManifestError(f"{where}.protocol: expected TCP, UDP or SCTP")
    port = given.get("port")
    if port is None:
        return Ports(0, MAX_PORT, protocol)
    if isinstance(port, str) and not (port.isascii() and port.isdecimal()):
        return Ports(protocol=protocol, name=port)
    low = shape.port_number(int(port[:6]) if isinstance(port, str) else port, f"{where}.port")
    high = given.get("endPort")
    return Ports(
        low, low if high is None else shape.number(high, f"{where}.endPort", low, MAX_PORT), protocol
    )
