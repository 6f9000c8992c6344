"""Calico's policies, tiers and network sets as values.

They are of ``crd.projectcalico.org/v1`` or ``projectcalico.org/v3``, which have the same form.

How selectors of a rule and of its policy's namespace work together follows Felix (``RuleAPIV2ToBackend`` of
libcalico-go): without a ``namespaceSelector`` a rule of a namespaced policy means that namespace alone, and
one of a global policy everything. What a rule has beyond the keys that are known here leaves it unjudged.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ferryman.kubernetes.policies import shape
from ferryman.kubernetes.policies.selector import NAMESPACE_LABEL, calico_selector
from ferryman.kubernetes.policies.shape import UnreadableManifestError
from ferryman.kubernetes.policies.values import (
    MAX_PORT,
    Action,
    Entity,
    NetworkSet,
    Policy,
    Ports,
    Rule,
    Tier,
    any_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ferryman.kubernetes.objects import Manifest
    from ferryman.kubernetes.policies.selector import Labels, Matches
    from ferryman.kubernetes.policies.values import Maybe, Peer, Who

NAMESPACE_PREFIX = "pcns."
"""What a namespace's labels begin with where a pod inherits them."""
SERVICE_ACCOUNT_LABEL = "projectcalico.org/serviceaccount"
DEFAULT_TIER = "default"
_ACTIONS = {"allow": Action.ALLOW, "deny": Action.DENY, "pass": Action.PASS, "log": Action.LOG}
_RULE = (
    *(
        "action",
        "metadata",
        "ipVersion",
        "protocol",
        "notProtocol",
        "icmp",
        "notICMP",
        "source",
        "destination",
    ),
)
_SIDE = (
    *("selector", "notSelector", "namespaceSelector", "serviceAccounts"),
    *("nets", "notNets", "ports", "notPorts"),
)
_SPEC = (
    *(
        "tier",
        "order",
        "selector",
        "namespaceSelector",
        "serviceAccountSelector",
        "types",
        "ingress",
        "egress",
    ),
    *("stagedAction", "performanceHints"),
)
OF_HOST_ENDPOINTS = ("doNotTrack", "preDNAT", "applyOnForward")
_NAMESPACE_SELECTOR_NOTHING = "global()"


def calico_labels(
    namespace: str, labels: Labels, namespace_labels: Labels, service_account: str
) -> Mapping[str, str]:
    """A pod's labels as Calico has them: its own, those of its namespace, and those that say where it is."""
    inherited = {f"{NAMESPACE_PREFIX}{key}": value for key, value in namespace_labels.items()}
    own = {NAMESPACE_LABEL: namespace, "projectcalico.org/orchestrator": "k8s"}
    if service_account:
        own[SERVICE_ACCOUNT_LABEL] = service_account
    return {**inherited, **labels, **own}


def plain_name(name: str, tier: str) -> str:
    """A policy's name without its tier: ``default.x`` and ``x`` are one policy (Calico stores the former)."""
    return name.removeprefix(f"{tier}.")


def calico_policy(manifest: Manifest) -> Policy:
    """The policy of a manifest.

    Raises:
        UnreadableManifestError: It is not as its kind has to be.
        UnreadableSelectorError: As above, of a selector.
    """
    meta = shape.mapping(manifest.get("metadata"), "metadata")
    spec = shape.mapping(manifest.get("spec"), "spec")
    kind = shape.text(manifest.get("kind"), "kind")
    is_global = "Global" in kind
    namespace = "" if is_global else shape.text(meta.get("namespace"), "metadata.namespace", "default")
    tier = shape.text(spec.get("tier"), "spec.tier", DEFAULT_TIER)
    order = spec.get("order")
    if order is not None and (isinstance(order, bool) or not isinstance(order, int | float)):
        raise UnreadableManifestError("spec.order: expected a number")
    types = _types(spec)
    host_endpoints = [key for key in OF_HOST_ENDPOINTS if spec.get(key)]
    remarks = [f"{key}: what it does to host endpoints is not judged" for key in host_endpoints]
    if strange := shape.unknown_keys(spec, (*_SPEC, *OF_HOST_ENDPOINTS)):
        remarks.append(strange)
    for_pods = not {"doNotTrack", "preDNAT"} & set(host_endpoints)
    return Policy(
        kind=f"Calico {kind}" if kind == "NetworkPolicy" else kind,
        namespace=namespace,
        name=plain_name(shape.text(meta.get("name"), "metadata.name"), tier),
        tier=tier,
        order=math.inf if order is None else float(order),
        selects=_selects(spec, namespace) if for_pods else _no_pod,
        ingress=_rules(spec, "ingress", namespace) if "Ingress" in types else None,
        egress=_rules(spec, "egress", namespace) if "Egress" in types else None,
        text=repr(spec),
        remarks=tuple(remarks),
    )


def _no_pod(pod: Peer) -> Maybe:
    del pod
    return False


def _types(spec: Manifest) -> set[str]:
    """What it is about: as it says, else what it has rules for, else what comes in."""
    given = shape.sequence(spec.get("types"), "spec.types")
    if strange := [each for each in given if each not in ("Ingress", "Egress")]:
        raise UnreadableManifestError(f"spec.types: expected Ingress or Egress, found {strange[0]!r}")
    if given:
        return set(given)
    if not spec.get("egress"):
        return {"Ingress"}
    return {"Ingress", "Egress"} if spec.get("ingress") else {"Egress"}


def _selects(spec: Manifest, namespace: str) -> _Selects:
    accounts = shape.text(spec.get("serviceAccountSelector"), "spec.serviceAccountSelector")
    namespaces = shape.text(spec.get("namespaceSelector"), "spec.namespaceSelector")
    return _Selects(
        calico_selector(shape.text(spec.get("selector"), "spec.selector")),
        calico_selector(namespaces) if namespaces and not namespace else None,
        namespace,
        _accounts_by_label(accounts) if accounts else None,
    )


class _Selects:
    """Which pods a policy is about."""

    def __init__(
        self, pods: Matches, namespaces: Matches | None, namespace: str, accounts: _Accounts | None
    ) -> None:
        self._pods, self._namespaces, self._namespace, self._accounts = pods, namespaces, namespace, accounts

    def __call__(self, pod: Peer) -> Maybe:
        """Whether it is about this pod."""
        if self._namespace and pod.namespace != self._namespace:
            return False
        if self._namespaces is not None and not self._namespaces(pod.namespace_labels):
            return False
        if not self._pods(pod.calico_labels):
            return False
        return True if self._accounts is None else self._accounts(pod)


def _accounts_by_label(selector: str) -> _Accounts:
    return _Accounts(None, calico_selector(selector), everything=selector.replace(" ", "") in ("", "all()"))


class _Accounts:
    """Service accounts by name or labels; of their labels only their name is known here."""

    def __init__(self, names: frozenset[str] | None, selector: Matches | None, *, everything: bool) -> None:
        self._names, self._selector, self._everything = names, selector, everything

    def __call__(self, pod: Peer) -> Maybe:
        if not pod.service_account:
            return None
        if self._names is not None and pod.service_account not in self._names:
            return False
        return True if self._selector is None or self._everything else None


def _rules(spec: Manifest, direction: str, namespace: str) -> tuple[Rule, ...]:
    given = shape.sequence(spec.get(direction), f"spec.{direction}")
    return tuple(
        _rule(shape.mapping(each, f"spec.{direction}[{count}]"), direction, count, namespace)
        for count, each in enumerate(given)
    )


def _rule(rule: Manifest, direction: str, count: int, namespace: str) -> Rule:
    where = f"spec.{direction}[{count}]"
    action = _ACTIONS.get(shape.text(rule.get("action"), f"{where}.action").lower())
    if action is None:
        raise UnreadableManifestError(f"{where}.action: expected Allow, Deny, Pass or Log")
    sides = [shape.mapping(rule.get(side), f"{where}.{side}") for side in ("source", "destination")]
    reasons = [shape.unknown_keys(rule, _RULE), *(shape.unknown_keys(side, _SIDE) for side in sides)]
    source, destination = sides
    if source.get("ports") or source.get("notPorts"):
        reasons.append("the source's ports are not judged")
    family = rule.get("ipVersion")
    ports = _ports(destination.get("ports"), f"{where}.destination.ports")
    protocol = _protocol(rule.get("protocol"), f"{where}.protocol")
    return Rule(
        action,
        f"{direction} rule {count + 1}",
        sources=(_entity(source, f"{where}.source", namespace),),
        destinations=(_entity(destination, f"{where}.destination", namespace),),
        protocol=protocol,
        not_protocol=_protocol(rule.get("notProtocol"), f"{where}.notProtocol"),
        ports=ports or None,
        not_ports=_ports(destination.get("notPorts"), f"{where}.destination.notPorts"),
        icmp=_icmp(rule.get("icmp"), f"{where}.icmp"),
        not_icmp=_icmp(rule.get("notICMP"), f"{where}.notICMP"),
        family=None if family is None else shape.number(family, f"{where}.ipVersion", 4, 6),
        unjudged="; ".join(filter(None, reasons)),
    )


def _protocol(value: Any, where: str) -> int | None:  # noqa: ANN401  # as in shape
    return None if value is None else shape.protocol_number(value, where)


def _icmp(value: Any, where: str) -> tuple[int | None, int | None] | None:  # noqa: ANN401  # as in shape
    if value is None:
        return None
    given = shape.mapping(value, where)
    kind, code = (
        None if given.get(key) is None else shape.number(given[key], f"{where}.{key}", 0, 255)
        for key in ("type", "code")
    )
    return kind, code


def _ports(value: Any, where: str) -> tuple[Ports, ...]:  # noqa: ANN401  # as in shape
    return tuple(_port(each, where) for each in shape.sequence(value, where))


def _port(value: Any, where: str) -> Ports:  # noqa: ANN401  # as in shape
    """A number, a range as ``LOW:HIGH``, or the name of a container's port."""
    if not isinstance(value, str):
        low = shape.port_number(value, where)
        return Ports(low, low)
    first, colon, last = value.partition(":")
    if all(each.isascii() and each.isdecimal() for each in (first, *((last,) if colon else ()))):
        low = shape.port_number(int(first[:6]), where)
        return Ports(low, shape.number(int(last[:6]), where, low, MAX_PORT) if colon else low)
    return Ports(name=value)


def _entity(side: Manifest, where: str, namespace: str) -> Entity:
    selector = shape.text(side.get("selector"), f"{where}.selector")
    not_selector = shape.text(side.get("notSelector"), f"{where}.notSelector")
    namespaces = shape.text(side.get("namespaceSelector"), f"{where}.namespaceSelector")
    accounts = _accounts(shape.mapping(side.get("serviceAccounts"), f"{where}.serviceAccounts"), where)
    means_pods = bool(selector or not_selector or accounts is not None)
    own_namespace = namespace if means_pods and not namespaces else ""
    chosen = bool(selector or namespaces or own_namespace or accounts is not None)
    nets = side.get("nets")
    return Entity(
        who=_who(selector, namespaces, own_namespace, accounts) if chosen else None,
        not_who=_who(not_selector, "", "", None) if not_selector else None,
        networks=shape.networks(nets, f"{where}.nets") or None,
        not_networks=shape.networks(side.get("notNets"), f"{where}.notNets"),
    )


def _accounts(given: Manifest, where: str) -> _Accounts | None:
    if not given:
        return None
    names = shape.sequence(given.get("names"), f"{where}.serviceAccounts.names")
    if not all(isinstance(name, str) for name in names):
        raise UnreadableManifestError(f"{where}.serviceAccounts.names: expected texts")
    selector = shape.text(given.get("selector"), f"{where}.serviceAccounts.selector")
    return _Accounts(
        frozenset(names) if names else None,
        calico_selector(selector) if selector else None,
        everything=selector.replace(" ", "") in ("", "all()"),
    )


def _who(selector: str, namespaces: str, own_namespace: str, accounts: _Accounts | None) -> Who:
    """Pods and network sets by their labels: as addresses, so a set means whoever has one of its own."""
    matches = calico_selector(selector)
    outside_alone = namespaces.strip() == _NAMESPACE_SELECTOR_NOTHING
    of_namespaces = calico_selector(namespaces) if namespaces and not outside_alone else None

    def fits(labels: Labels, namespace_labels: Labels) -> bool:
        if outside_alone and NAMESPACE_LABEL in labels:
            return False
        if of_namespaces is not None and not (NAMESPACE_LABEL in labels and of_namespaces(namespace_labels)):
            return False
        if of_namespaces is None and own_namespace and labels.get(NAMESPACE_LABEL) != own_namespace:
            return False
        return matches(labels)

    def by_itself(peer: Peer) -> Maybe:
        if peer.kind != "pod" or not fits(peer.calico_labels, peer.namespace_labels):
            return False
        return True if accounts is None else accounts(peer)

    def who(peer: Peer, subject: Peer, sets: tuple[NetworkSet, ...], family: int) -> Maybe:
        del subject
        found = by_itself(peer)
        if found or accounts is not None:
            return found
        chosen = (each for each in sets if fits(each.labels, _namespace_part(each.labels)))
        return any_of((found, *(peer.in_networks(each.networks, family) for each in chosen)))

    return who


def _namespace_part(labels: Labels) -> Labels:
    """The labels of the namespace that a network set is in."""
    inherited = (key for key in labels if key.startswith(NAMESPACE_PREFIX))
    return {key.removeprefix(NAMESPACE_PREFIX): labels[key] for key in inherited}


def network_set(manifest: Manifest, namespace_labels: Mapping[str, Labels]) -> NetworkSet:
    """A NetworkSet or GlobalNetworkSet; raises as ``calico_policy`` does."""
    meta = shape.mapping(manifest.get("metadata"), "metadata")
    labels = shape.texts(meta.get("labels"), "metadata.labels")
    spec = shape.mapping(manifest.get("spec"), "spec")
    name = shape.text(meta.get("name"), "metadata.name")
    if manifest.get("kind") == "NetworkSet":
        namespace = shape.text(meta.get("namespace"), "metadata.namespace", "default")
        labels = dict(calico_labels(namespace, labels, namespace_labels.get(namespace, {}), ""))
        name = f"{namespace}/{name}"
    return NetworkSet(name, labels, shape.networks(spec.get("nets"), "spec.nets"))


def tier(manifest: Manifest) -> Tier:
    """A Tier; raises as ``calico_policy`` does."""
    meta = shape.mapping(manifest.get("metadata"), "metadata")
    spec = shape.mapping(manifest.get("spec"), "spec")
    order = spec.get("order")
    if order is not None and (isinstance(order, bool) or not isinstance(order, int | float)):
        raise UnreadableManifestError("spec.order: expected a number")
    default = _ACTIONS.get(shape.text(spec.get("defaultAction"), "spec.defaultAction", "Deny").lower())
    if default not in (Action.DENY, Action.PASS):
        raise UnreadableManifestError("spec.defaultAction: expected Deny or Pass")
    return Tier(
        shape.text(meta.get("name"), "metadata.name"),
        math.inf if order is None else float(order),
        default,
    )
