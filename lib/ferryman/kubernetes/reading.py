"""What an API server's objects say, as values: of nodes, pods, Services, workloads and budgets."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from ferryman.kubernetes.cluster import ClusterUnreadableError, Node
from ferryman.kubernetes.objects import (
    Budget,
    ClusterService,
    Endpoint,
    Namespace,
    Owner,
    Pod,
    ServicePort,
    Workload,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from lightkube.models.core_v1 import Container, NodeCondition, PodCondition
    from lightkube.models.core_v1 import Pod as ApiPod
    from lightkube.models.discovery_v1 import Endpoint as ApiEndpoint
    from lightkube.models.meta_v1 import ObjectMeta
    from lightkube.resources.apps_v1 import DaemonSet, Deployment, StatefulSet
    from lightkube.resources.core_v1 import Namespace as ApiNamespace
    from lightkube.resources.core_v1 import Node as ApiNode
    from lightkube.resources.core_v1 import Service as ApiService
    from lightkube.resources.discovery_v1 import EndpointSlice
    from lightkube.resources.policy_v1 import PodDisruptionBudget

    from ferryman.kubernetes.objects import Manifest
    from ferryman.model import Address

HOSTNAME_LABEL = "kubernetes.io/hostname"
SERVICE_LABEL = "kubernetes.io/service-name"
RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
"""An annotation that repeats the whole object, as somebody once wrote it."""
DEEPEST = 40
"""Values within values that an object has at most; a tape, which keeps it, takes not many more."""
FullName = tuple[str, str]
"""Namespace and name."""


def named(meta: ObjectMeta | None) -> FullName:
    """Namespace and name of an object; it has them wherever it is listed.

    Raises:
        ClusterUnreadableError: It has no name.
    """
    if meta is None or not meta.name:
        raise ClusterUnreadableError("an object of its lists has no name")
    return meta.namespace or "", meta.name


def controller(meta: ObjectMeta | None) -> tuple[str, Owner] | None:
    """The uid of what manages the object, and what it is."""
    owners = (meta.ownerReferences if meta else None) or ()
    found = next((each for each in owners if each.controller), None)
    return None if found is None else (found.uid, Owner(found.kind, found.name))


def node(found: ApiNode) -> Node:
    """A node."""
    _, name = named(found.metadata)
    spec, status = found.spec, found.status
    ready = _condition(status.conditions if status else None, "Ready")
    return Node(
        name=name,
        hostname=_labels(found.metadata).get(HOSTNAME_LABEL, ""),
        addresses=frozenset(plain(entry.address) for entry in (status.addresses if status else None) or ()),
        ready=ready is not None and ready.status == "True",
        not_ready=_why(ready),
        cordoned=bool(spec and spec.unschedulable),
        no_execute=tuple(
            f"{taint.key}={taint.value}" if taint.value else taint.key
            for taint in (spec.taints if spec else None) or ()
            if taint.effect == "NoExecute"
        ),
    )


def _why(ready: NodeCondition | None) -> str:
    if ready is None:
        return "it has no condition Ready"
    return ": ".join(word for word in (ready.reason, ready.message) if word) or f"Ready is {ready.status}"


def _condition(conditions: Iterable[Any] | None, kind: str) -> Any:  # noqa: ANN401  # a node's or a pod's
    return next((condition for condition in conditions or () if condition.type == kind), None)


def plain(address: str) -> str:
    """An address as ``ipaddress`` writes it, so that two spellings of one IPv6 address meet; names stay."""
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return address


def pod(found: ApiPod) -> Pod:
    """A pod, with what manages it itself."""
    meta, spec, status = found.metadata, found.spec, found.status
    namespace, name = named(meta)
    if meta is None or not meta.uid or meta.creationTimestamp is None:
        raise ClusterUnreadableError(f"the pod {namespace}/{name} has no uid, or no time of its creation")
    ready: PodCondition | None = _condition(status.conditions if status else None, "Ready")
    manager = controller(meta)
    return Pod(
        namespace=namespace,
        name=name,
        uid=meta.uid,
        node=(spec.nodeName if spec else None) or "",
        addresses=tuple(_address(each, f"the pod {namespace}/{name}") for each in _pod_addresses(found)),
        labels=_labels(meta),
        created=meta.creationTimestamp,
        owner=None if manager is None else manager[1],
        ready=ready is not None and ready.status == "True",
        terminating=meta.deletionTimestamp is not None,
        host_network=bool(spec and spec.hostNetwork),
        phase=(status.phase if status else None) or "",
        annotations=_annotations(meta),
        ports={} if spec is None else dict(_named_ports(_serving_containers(found))),
        service_account=(spec.serviceAccountName if spec else None) or "",
    )


def _pod_addresses(found: ApiPod) -> list[str]:
    status = found.status
    if status is None:
        return []
    return [each.ip for each in status.podIPs or () if each.ip] or ([status.podIP] if status.podIP else [])


def _serving_containers(found: ApiPod) -> Iterator[Container]:
    """Those that run as long as the pod does: a container that restarts for ever is a sidecar."""
    assert found.spec is not None, "asked of pods with a spec alone"
    yield from found.spec.containers
    yield from (each for each in found.spec.initContainers or () if each.restartPolicy == "Always")


def _named_ports(containers: Iterable[Container]) -> Iterator[tuple[str, tuple[str, int]]]:
    for container in containers:
        for port in container.ports or ():
            if port.name:
                yield port.name, (port.protocol or "TCP", port.containerPort)


def _address(text: str, whose: str) -> Address:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        raise ClusterUnreadableError(f"{whose} has an address that is none: {text[:60]!r}") from None


def _labels(meta: ObjectMeta | None) -> Mapping[str, str]:
    return (meta.labels if meta else None) or {}


def _annotations(meta: ObjectMeta | None) -> Mapping[str, str]:
    found = (meta.annotations if meta else None) or {}
    return {key: value for key, value in found.items() if key != _APPLIED}


def takes_outside_traffic(found: ApiService) -> bool:
    """Whether anything but the cluster's own pods can reach a Service."""
    named(found.metadata)
    spec = found.spec
    return spec is not None and (spec.type in ("NodePort", "LoadBalancer") or bool(spec.externalIPs))


def service(found: ApiService, endpoints: Mapping[FullName, tuple[Endpoint, ...]]) -> ClusterService:
    """A Service, with its endpoints out of all."""
    namespace, name = named(found.metadata)
    spec, status = found.spec, found.status
    assert spec is not None, "asked of Services with a spec alone"
    balancer = status.loadBalancer if status else None
    given = (entry.ip for entry in (balancer.ingress if balancer else None) or ())
    return ClusterService(
        namespace=namespace,
        name=name,
        policy="Local" if spec.externalTrafficPolicy == "Local" else "Cluster",
        ports=tuple(
            ServicePort(port.protocol or "TCP", port.port, port.nodePort, port.name or "")
            for port in spec.ports or ()
        ),
        vips=frozenset(
            plain(each) for each in (*(spec.externalIPs or ()), *given, spec.loadBalancerIP) if each
        ),
        endpoints=endpoints.get((namespace, name), ()),
        health_check_port=spec.healthCheckNodePort or None,
        selector=spec.selector or {},
    )


def endpoints_of(
    slices: Iterable[tuple[FullName, tuple[Endpoint, ...]]],
) -> dict[FullName, tuple[Endpoint, ...]]:
    """The endpoints of each Service. One that moves from slice to slice may be in both for a moment."""
    found: dict[FullName, dict[Endpoint, None]] = {}
    for service_name, endpoints in slices:
        found.setdefault(service_name, {}).update(dict.fromkeys(endpoints))
    return {service_name: tuple(endpoints) for service_name, endpoints in found.items()}


def endpoint_slice(found: EndpointSlice) -> tuple[FullName, tuple[Endpoint, ...]]:
    """Whose endpoints a slice has, and which; those of the type FQDN have no address."""
    namespace, name = named(found.metadata)
    of_service = namespace, _labels(found.metadata).get(SERVICE_LABEL, "")
    if found.addressType not in ("IPv4", "IPv6"):
        return of_service, ()
    whose = f"the endpoint slice {namespace}/{name}"
    return of_service, tuple(
        _endpoint(each, _address(address, whose), namespace)
        for each in found.endpoints or ()
        for address in each.addresses
    )


def _endpoint(found: ApiEndpoint, address: Address, namespace: str) -> Endpoint:
    """Whatever does not say whether it is ready is, and then it serves unless it says otherwise."""
    conditions, target = found.conditions, found.targetRef
    ready = conditions is None or conditions.ready is not False
    serving = ready if conditions is None or conditions.serving is None else conditions.serving
    is_pod = target is not None and target.kind == "Pod" and bool(target.name)
    return Endpoint(
        address=address,
        node=found.nodeName or "",
        pod=f"{target.namespace or namespace}/{target.name}" if target is not None and is_pod else "",
        ready=ready,
        serving=serving,
        terminating=bool(conditions and conditions.terminating),
    )


def budget(found: PodDisruptionBudget) -> Budget:
    """A disruption budget; one without a selector selects nothing, which no selector can say."""
    namespace, name = named(found.metadata)
    spec, status = found.spec, found.status
    selector = spec.selector.to_dict() if spec and spec.selector is not None else NOTHING
    return Budget(
        namespace=namespace,
        name=name,
        selector=selector,
        disruptions_allowed=(status.disruptionsAllowed if status else None) or 0,
        unhealthy=(spec.unhealthyPodEvictionPolicy if spec else None) or "IfHealthyBudget",
    )


NOTHING: Manifest = {"matchExpressions": [{"key": "ferryman/nothing", "operator": "In", "values": []}]}
"""A selector that no pod meets."""


def namespace(found: ApiNamespace) -> Namespace:
    """A namespace."""
    return Namespace(named(found.metadata)[1], _labels(found.metadata), _annotations(found.metadata))


def workload(found: Deployment | StatefulSet | DaemonSet) -> Workload:
    """A Deployment, StatefulSet or DaemonSet; what its status does not say is none yet."""
    meta, status = found.metadata, found.status
    spec: Any = found.spec  # of three kinds
    namespace_, name = named(meta)
    if meta is None or spec is None or not meta.uid or not meta.resourceVersion:
        raise ClusterUnreadableError(f"{namespace_}/{name} has no spec, no uid or no resource version")
    kind = type(found).__name__
    strategy = getattr(spec, "strategy" if kind == "Deployment" else "updateStrategy", None)
    rolling = getattr(strategy, "rollingUpdate", None)
    replicas, ready, updated = _counts(kind, spec, status)
    template = getattr(spec.template, "metadata", None)
    return Workload(
        kind=kind,
        namespace=namespace_,
        name=name,
        uid=meta.uid,
        resource_version=meta.resourceVersion,
        replicas=replicas,
        ready=ready,
        updated=updated,
        strategy=getattr(strategy, "type", None) or "RollingUpdate",
        max_unavailable=_share(rolling, "maxUnavailable"),
        max_surge=_share(rolling, "maxSurge"),
        paused=bool(getattr(spec, "paused", None)),
        generation=meta.generation or 0,
        observed_generation=(status.observedGeneration if status else None) or 0,
        restarted_at=_annotations(template).get(RESTARTED_AT, ""),
        partition=getattr(rolling, "partition", None) or 0,
    )


def _counts(kind: str, spec: Any, status: Any) -> tuple[int, int, int]:  # noqa: ANN401  # of three kinds
    """How many pods it should have, how many are ready, how many are of its newest template."""
    if kind == "DaemonSet":
        names = ("desiredNumberScheduled", "numberReady", "updatedNumberScheduled")
        wanted, ready, updated = (getattr(status, each, None) or 0 for each in names)
        return wanted, ready, updated
    wanted = 1 if spec.replicas is None else spec.replicas
    ready, updated = (getattr(status, each, None) or 0 for each in ("readyReplicas", "updatedReplicas"))
    return wanted, ready, updated


def _share(rolling: object, name: str) -> str:
    value = getattr(rolling, name, None)
    return "" if value is None else str(value)


def manifest(found: Mapping[str, Any], api_version: str, kind: str) -> Manifest:
    """An object as kubectl prints it: with its kind, and without what only its writers want."""
    if _is_deep(found, DEEPEST):
        raise ClusterUnreadableError(f"an object of the kind {kind} is nested more than {DEEPEST} deep")
    made = {"apiVersion": api_version, "kind": kind, **found}
    meta = made.get("metadata")
    if not isinstance(meta, dict) or not isinstance(meta.get("name"), str):
        raise ClusterUnreadableError(f"an object of the kind {kind} has no name")
    meta = {key: value for key, value in meta.items() if key != "managedFields"}
    annotations = meta.get("annotations")
    if isinstance(annotations, dict) and _APPLIED in annotations:
        meta["annotations"] = {key: value for key, value in annotations.items() if key != _APPLIED}
    return {**made, "metadata": meta}


def _is_deep(value: object, levels: int) -> bool:
    """Whether it is nested deeper than that."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels < 0 or any(_is_deep(each, levels - 1) for each in inner)
