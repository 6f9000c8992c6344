"""AdminNetworkPolicy and BaselineAdminNetworkPolicy (``policy.networking.k8s.io/v1alpha1``) as values.

They stand before and after the NetworkPolicies: what neither decides is not closed by them. ``sameLabels``
and ``notSameLabels`` are of an early form of the API.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ferryman.kubernetes.policies import shape
from ferryman.kubernetes.policies.of_kubernetes import pods_of
from ferryman.kubernetes.policies.selector import label_selector
from ferryman.kubernetes.policies.shape import UnreadableManifestError
from ferryman.kubernetes.policies.values import Action, Entity, Policy, Ports, Rule, Tier

if TYPE_CHECKING:
    from ferryman.kubernetes.objects import Manifest
    from ferryman.kubernetes.policies.selector import Matches
    from ferryman.kubernetes.policies.values import Maybe, NetworkSet, Peer, Who

ADMIN_TIER = Tier("kube-admin", 1_000.0, Action.PASS)
BASELINE_TIER = Tier("kube-baseline", 10_000_000.0, Action.PASS)
"""Where Calico puts them."""
_ACTIONS = {"Allow": Action.ALLOW, "Deny": Action.DENY, "Pass": Action.PASS}
_LAST_PRIORITY = 1000


def admin_policy(manifest: Manifest) -> Policy:
    """The policy of a manifest.

    Raises:
        UnreadableManifestError: It is not as its kind has to be.
        UnreadableSelectorError: As above, of a selector.
    """
    meta = shape.mapping(manifest.get("metadata"), "metadata")
    spec = shape.mapping(manifest.get("spec"), "spec")
    kind = shape.text(manifest.get("kind"), "kind")
    is_baseline = kind.startswith("Baseline")
    priority = 0 if is_baseline else shape.number(spec.get("priority"), "spec.priority", 0, _LAST_PRIORITY)
    remark = shape.unknown_keys(spec, ("priority", "subject", "ingress", "egress"))
    chosen = _pods(shape.mapping(spec.get("subject"), "spec.subject"), "spec.subject")

    def selects(pod: Peer) -> Maybe:
        return chosen(pod, pod, (), 4)

    return Policy(
        kind=kind,
        namespace="",
        name=shape.text(meta.get("name"), "metadata.name"),
        tier=(BASELINE_TIER if is_baseline else ADMIN_TIER).name,
        order=float(priority),
        selects=selects,
        ingress=_rules(spec, "ingress", "from") or None,
        egress=_rules(spec, "egress", "to") or None,
        text=repr(spec),
        remarks=(remark,) if remark else (),
    )


def _pods(given: Manifest, where: str) -> Who:
    """Pods of chosen namespaces: all of them, or those that a selector finds."""
    if strange := shape.unknown_keys(given, ("namespaces", "pods")):
        raise UnreadableManifestError(f"{where}: {strange}")
    if "namespaces" in given:
        return _of_namespaces(given["namespaces"], f"{where}.namespaces", label_selector({}))
    pods = shape.mapping(given.get("pods"), f"{where}.pods")
    selector = label_selector(shape.mapping(pods.get("podSelector"), f"{where}.pods.podSelector"))
    if "namespaces" in pods:
        return _of_namespaces(pods["namespaces"], f"{where}.pods.namespaces", selector)
    return pods_of(selector, label_selector(pods.get("namespaceSelector")))


def _of_namespaces(value: Any, where: str, pods: Matches) -> Who:  # noqa: ANN401  # as in shape
    given = shape.mapping(value, where)
    for key in ("sameLabels", "notSameLabels"):
        if key in given:
            keys = tuple(shape.text(each, where) for each in shape.sequence(given[key], where))
            return _alike(pods, keys, alike=key == "sameLabels")
    return pods_of(pods, label_selector(given.get("namespaceSelector", given)))


def _alike(pods: Matches, keys: tuple[str, ...], *, alike: bool) -> Who:
    """Pods of namespaces that have the same values of these labels as the subject's own, or other ones."""

    def who(peer: Peer, subject: Peer, sets: tuple[NetworkSet, ...], family: int) -> Maybe:
        del sets, family
        own, others = subject.namespace_labels, peer.namespace_labels
        if (
            peer.kind != "pod"
            or not pods(peer.labels)
            or not all(key in own and key in others for key in keys)
        ):
            return False
        return alike == all(own[key] == others[key] for key in keys)

    return who


def _rules(spec: Manifest, direction: str, side: str) -> tuple[Rule, ...]:
    found: list[Rule] = []
    for count, each in enumerate(shape.sequence(spec.get(direction), f"spec.{direction}"), 1):
        where = f"spec.{direction}[{count - 1}]"
        rule = shape.mapping(each, where)
        reasons = [shape.unknown_keys(rule, ("action", "name", side, "ports"))]
        action = _ACTIONS.get(shape.text(rule.get("action"), f"{where}.action"))
        if action is None:
            raise UnreadableManifestError(f"{where}.action: expected Allow, Deny or Pass")
        peers = tuple(
            _peer(shape.mapping(peer, f"{where}.{side}"), f"{where}.{side}", reasons)
            for peer in shape.sequence(rule.get(side), f"{where}.{side}")
        )
        ports = tuple(
            _port(shape.mapping(port, f"{where}.ports"), f"{where}.ports")
            for port in shape.sequence(rule.get("ports"), f"{where}.ports")
        )
        found.append(
            Rule(
                action,
                f"{direction} rule {count}",
                sources=peers if direction == "ingress" else (Entity(),),
                destinations=peers if direction == "egress" else (Entity(),),
                ports=ports or None,
                unjudged="; ".join(filter(None, reasons)),
            )
        )
    return tuple(found)


def _peer(given: Manifest, where: str, reasons: list[str]) -> Entity:
    if "networks" in given:
        return Entity(networks=shape.networks(given["networks"], f"{where}.networks"))
    if strange := shape.unknown_keys(given, ("namespaces", "pods")):
        reasons.append(strange)
        return Entity()
    return Entity(who=_pods(given, where))


def _port(given: Manifest, where: str) -> Ports:
    if "namedPort" in given:
        return Ports(name=shape.text(given["namedPort"], f"{where}.namedPort"))
    if "portRange" in given:
        span = shape.mapping(given["portRange"], f"{where}.portRange")
        low = shape.port_number(span.get("start"), f"{where}.start")
        high = shape.port_number(span.get("end"), f"{where}.end")
        return Ports(low, high, shape.protocol_number(span.get("protocol", "TCP"), f"{where}.protocol"))
    single = shape.mapping(given.get("portNumber"), f"{where}.portNumber")
    low = shape.port_number(single.get("port"), f"{where}.port")
    return Ports(low, low, shape.protocol_number(single.get("protocol", "TCP"), f"{where}.protocol"))
