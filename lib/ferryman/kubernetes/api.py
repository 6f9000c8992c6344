"""Asks an API server, through lightkube; where it is, and as whom it is asked, ``kubeconfig.py`` reads.

At most three kinds of objects are listed: nodes, Services, and the endpoint slices of those Services that
matter. Whoever the kubeconfig names needs ``list`` on them, cluster-wide.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from ferryman.kubernetes.cluster import ClusterState, ClusterUnreadableError, LocalService, Node
from ferryman.redaction import HIDDEN, redacted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lightkube import Client
    from lightkube.models.core_v1 import NodeCondition
    from lightkube.resources.core_v1 import Node as ApiNode
    from lightkube.resources.core_v1 import Service as ApiService
    from lightkube.resources.discovery_v1 import EndpointSlice

    from ferryman.inventory.schema import ClusterEntry
    from ferryman.model import Service

HOSTNAME_LABEL = "kubernetes.io/hostname"
SERVICE_LABEL = "kubernetes.io/service-name"
_SHOWN = 600
"""Characters of what went wrong."""


def read_cluster(entry: ClusterEntry, service: Service) -> ClusterState:
    """Read what the cluster says of its nodes, and of the Services behind this service's addresses.

    Raises:
        ClusterUnreadableError: The API server could not be asked, or its answer is not understood.
    """
    from lightkube import Client, KubeConfig  # noqa: PLC0415  # 0.3 s, for those with an API server alone
    from lightkube.config.models import Cluster, User  # noqa: PLC0415  # as above

    from ferryman.kubernetes.kubeconfig import access_of  # noqa: PLC0415  # as above
    from ferryman.kubernetes.login import logged_in  # noqa: PLC0415  # as above
    from ferryman.kubernetes.transport import Transport  # noqa: PLC0415  # as above

    secrets: tuple[str, ...] = ()
    try:
        access = access_of(entry.kubeconfig, entry.context, entry.api)
        secrets = access.secrets
        access = logged_in(access)
        secrets = access.secrets
        config = KubeConfig.from_one(cluster=Cluster(server=access.server), user=User())
        with Client(config, transport=Transport(access), trust_env=False) as client:
            return _read(client, service)
    except ClusterUnreadableError as error:
        raise ClusterUnreadableError(_without(secrets, str(error))) from None
    except Exception as error:  # noqa: BLE001  # of many libraries; whatever it was, nothing was seen
        words = " ".join(str(error).split()) or "no reason given"
        words = _without(secrets, redacted(words))
        raise ClusterUnreadableError(f"{type(error).__name__}: {words}") from None


def _without(secrets: tuple[str, ...], text: str) -> str:
    """The text without what the kubeconfig keeps secret: servers quote what they were sent."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _read(client: Client, service: Service) -> ClusterState:
    from lightkube.resources.core_v1 import Node as ApiNode  # noqa: PLC0415  # as above
    from lightkube.resources.core_v1 import Service as ApiService  # noqa: PLC0415  # as above

    nodes = tuple(_node(node) for node in client.list(ApiNode))
    local = (found for found in client.list(ApiService, namespace="*") if _is_local(found))
    serving = [found for found in local if _serves(found, service)]
    return ClusterState(nodes, tuple(_local(client, found) for found in serving))


def _node(node: ApiNode) -> Node:
    meta, spec, status = node.metadata, node.spec, node.status
    conditions = status.conditions if status else None
    ready = next((condition for condition in conditions or () if condition.type == "Ready"), None)
    taints = (spec.taints if spec else None) or []
    return Node(
        name=(meta.name if meta else None) or "",
        hostname=((meta.labels if meta else None) or {}).get(HOSTNAME_LABEL, ""),
        addresses=frozenset(_plain(entry.address) for entry in (status.addresses if status else None) or ()),
        ready=ready is not None and ready.status == "True",
        not_ready=_why(ready),
        cordoned=bool(spec and spec.unschedulable),
        no_execute=tuple(
            f"{taint.key}={taint.value}" if taint.value else taint.key
            for taint in taints
            if taint.effect == "NoExecute"
        ),
    )


def _why(ready: NodeCondition | None) -> str:
    if ready is None:
        return "it has no condition Ready"
    return ": ".join(word for word in (ready.reason, ready.message) if word) or f"Ready is {ready.status}"


def _plain(address: str) -> str:
    """An address as ``ipaddress`` writes it, so that two spellings of one IPv6 address meet; names stay."""
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return address


def _is_local(api_service: ApiService) -> bool:
    return api_service.spec is not None and api_service.spec.externalTrafficPolicy == "Local"


def _serves(api_service: ApiService, service: Service) -> bool:
    """Whether traffic of the service's VIP and port ends at this Service: by node port, or by its VIP."""
    spec = api_service.spec
    assert spec is not None, "asked of Services with a spec alone"
    balancer = api_service.status.loadBalancer if api_service.status else None
    given = [entry.ip for entry in (balancer.ingress if balancer else None) or ()]
    vips = {
        _plain(address) for address in (*(spec.externalIPs or ()), *given, spec.loadBalancerIP) if address
    }
    ports = [(port.protocol or "TCP", port.port, port.nodePort) for port in spec.ports or ()]
    return any(
        protocol == virtual.protocol.upper()
        and (node_port == virtual.port or (port == virtual.port and str(virtual.vip) in vips))
        for virtual in service.virtual_services
        for protocol, port, node_port in ports
    )


def _local(client: Client, api_service: ApiService) -> LocalService:
    from lightkube.resources.discovery_v1 import EndpointSlice  # noqa: PLC0415  # as above

    meta = api_service.metadata
    assert meta is not None, "the API server names what it lists"
    assert meta.name is not None
    slices = client.list(EndpointSlice, namespace=meta.namespace, labels={SERVICE_LABEL: meta.name})
    return LocalService(f"{meta.namespace}/{meta.name}", frozenset(_nodes_of(slices)))


def _nodes_of(slices: Iterable[EndpointSlice]) -> Iterator[str]:
    """The nodes of endpoints that are ready; one that does not say is (``EndpointConditions``)."""
    for endpoint_slice in slices:
        for endpoint in endpoint_slice.endpoints or ():
            ready = endpoint.conditions is None or endpoint.conditions.ready is not False
            if ready and endpoint.nodeName:
                yield endpoint.nodeName
