"""Asks an API server, through lightkube: TLS client certificates, tokens and exec plugins are its business.

At most three kinds of objects are listed: nodes, Services, and the endpoint slices of those Services that
matter. Whoever the kubeconfig names needs ``list`` on them, cluster-wide.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from ferryman.kubernetes.cluster import ClusterSeen, LocalService, Node, NotLookedAtError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lightkube import Client, SingleConfig
    from lightkube.config.models import UserExec
    from lightkube.models.core_v1 import NodeCondition
    from lightkube.resources.core_v1 import Node as ApiNode
    from lightkube.resources.core_v1 import Service as ApiService
    from lightkube.resources.discovery_v1 import EndpointSlice

    from ferryman.inventory.schema import ClusterEntry
    from ferryman.model import Service

HOSTNAME_LABEL = "kubernetes.io/hostname"
SERVICE_LABEL = "kubernetes.io/service-name"
PLUGIN_S = 30.0
"""Seconds that a kubeconfig's login plugin has; it may want a browser, and nobody is there."""
_EXEC = "client.authentication.k8s.io"


def look(entry: ClusterEntry, service: Service) -> ClusterSeen:
    """What the cluster says of its nodes, and of the Services behind this service's addresses.

    Raises:
        NotLookedAtError: The API server could not be asked, or what it said is not understood.
    """
    from lightkube import Client  # noqa: PLC0415  # 0.3 s, for those with an API server alone

    try:
        with Client(_config(entry)) as client:
            return _look(client, service)
    except Exception as error:  # of many libraries; whatever it was, nothing was seen
        words = " ".join(str(error).split()) or "no reason given"
        raise NotLookedAtError(f"{type(error).__name__}: {words}") from error


def _config(entry: ClusterEntry) -> SingleConfig:
    """The kubeconfig's context, with ``api`` as its server where given; without a kubeconfig, no login."""
    from lightkube import KubeConfig  # noqa: PLC0415  # as above
    from lightkube.config.models import User  # noqa: PLC0415  # as above

    known = (
        KubeConfig.from_file(entry.kubeconfig)
        if entry.kubeconfig
        else KubeConfig.from_server(entry.api or "")
    )
    config = known.get(entry.context)
    assert config is not None, "without a context, get raises"
    config = config._replace(user=config.user or User())
    if entry.api:
        config.cluster.server = entry.api
    if config.user and config.user.exec:
        _tame(config.user.exec)
    return config


def _tame(plugin: UserExec) -> None:
    """Make a login plugin end, though it asks somebody something."""
    plugin.command, plugin.args = "timeout", [f"{PLUGIN_S}", plugin.command, *(plugin.args or ())]
    if plugin.apiVersion == f"{_EXEC}/v1":
        # A token looks the same in both versions; lightkube knows the older name alone.
        plugin.apiVersion = f"{_EXEC}/v1beta1"


def _look(client: Client, service: Service) -> ClusterSeen:
    from lightkube.resources.core_v1 import Node as ApiNode  # noqa: PLC0415  # as above
    from lightkube.resources.core_v1 import Service as ApiService  # noqa: PLC0415  # as above

    nodes = tuple(_node(one) for one in client.list(ApiNode))
    ours = [one for one in client.list(ApiService, namespace="*") if _is_local(one) and _serves(one, service)]
    return ClusterSeen(nodes, tuple(_local(client, node) for node in ours))


def _node(one: ApiNode) -> Node:
    meta, spec, status = one.metadata, one.spec, one.status
    conditions = status.conditions if status else None
    ready = next((each for each in conditions or () if each.type == "Ready"), None)
    taints = (spec.taints if spec else None) or []
    return Node(
        name=(meta.name if meta else None) or "",
        hostname=((meta.labels if meta else None) or {}).get(HOSTNAME_LABEL, ""),
        addresses=frozenset(_plain(each.address) for each in (status.addresses if status else None) or ()),
        ready=ready is not None and ready.status == "True",
        not_ready=_why(ready),
        cordoned=bool(spec and spec.unschedulable),
        no_execute=tuple(
            f"{each.key}={each.value}" if each.value else each.key
            for each in taints
            if each.effect == "NoExecute"
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


def _is_local(one: ApiService) -> bool:
    return one.spec is not None and one.spec.externalTrafficPolicy == "Local"


def _serves(one: ApiService, service: Service) -> bool:
    """Whether traffic of the service's VIP and port ends at this Service: by node port, or by its VIP."""
    spec = one.spec
    assert spec is not None, "asked of Services with a spec alone"
    balancer = one.status.loadBalancer if one.status else None
    given = [each.ip for each in (balancer.ingress if balancer else None) or ()]
    vips = {_plain(each) for each in (*(spec.externalIPs or ()), *given, spec.loadBalancerIP) if each}
    ports = [(each.protocol or "TCP", each.port, each.nodePort) for each in spec.ports or ()]
    return any(
        protocol == virtual.protocol.upper()
        and (node_port == virtual.port or (port == virtual.port and str(virtual.vip) in vips))
        for virtual in service.virtual_services
        for protocol, port, node_port in ports
    )


def _local(client: Client, one: ApiService) -> LocalService:
    from lightkube.resources.discovery_v1 import EndpointSlice  # noqa: PLC0415  # as above

    meta = one.metadata
    assert meta is not None, "the API server names what it lists"
    assert meta.name is not None
    slices = client.list(EndpointSlice, namespace=meta.namespace, labels={SERVICE_LABEL: meta.name})
    return LocalService(f"{meta.namespace}/{meta.name}", frozenset(_nodes_of(slices)))


def _nodes_of(slices: Iterable[EndpointSlice]) -> Iterator[str]:
    """The nodes of endpoints that are ready; one that does not say is (``EndpointConditions``)."""
    for each in slices:
        for endpoint in each.endpoints or ():
            ready = endpoint.conditions is None or endpoint.conditions.ready is not False
            if ready and endpoint.nodeName:
                yield endpoint.nodeName
