"""The check ``node-state``: what Kubernetes says of the realservers that are its nodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ferryman.kubernetes.cluster import ClusterUnreadableError, node_of
from ferryman.model import Finding, Kind, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from ferryman.inventory.schema import ClusterEntry
    from ferryman.kubernetes.client import ClusterClient
    from ferryman.kubernetes.cluster import Node
    from ferryman.kubernetes.objects import ClusterService
    from ferryman.model import Realserver, Service

    Connect = Callable[[ClusterEntry], ClusterClient]

CHECK = "node-state"
WANTED = "a node that is Ready, not cordoned, and evicts no pods"


@dataclass(frozen=True, slots=True)
class LocalService:
    """A Service with ``externalTrafficPolicy: Local`` that takes this service's traffic."""

    name: str
    """The Service as ``NAMESPACE/NAME``."""
    nodes: frozenset[str]
    """The nodes that answer for it."""


@dataclass(frozen=True, slots=True)
class ClusterState:
    """The state of a cluster, as far as this check wants it."""

    nodes: tuple[Node, ...]
    local: tuple[LocalService, ...] = ()


@dataclass(frozen=True, slots=True)
class NodeStates:
    """The findings about a service's nodes, and which of them are expected to be silent."""

    findings: tuple[Finding, ...]
    silent: frozenset[str] = frozenset()
    """Realservers that are right to leave a probe unanswered: the Service wants a pod on the very node, and
    there is none (``externalTrafficPolicy: Local``)."""


def node_states(service: Service, clusters: Mapping[str, ClusterEntry], connect: Connect) -> NodeStates:
    """What the clusters say of every realserver that is a node of one; each cluster is asked once.

    A cluster that the inventory names no API server for is skipped. One that it names but that could not be
    asked is unknown, for its nodes may be about to go away.
    """
    nodes: dict[str | None, list[Realserver]] = {}
    for realserver in service.realservers:
        if realserver.kind is Kind.KUBERNETES:
            nodes.setdefault(realserver.cluster, []).append(realserver)
    found = [_of_cluster(name, members, service, clusters, connect) for name, members in nodes.items()]
    return NodeStates(
        tuple(finding for states in found for finding in states.findings),
        frozenset(host for states in found for host in states.silent),
    )


def _of_cluster(
    name: str | None,
    members: list[Realserver],
    service: Service,
    clusters: Mapping[str, ClusterEntry],
    connect: Connect,
) -> NodeStates:
    if name is None:
        hosts = ", ".join(member.host for member in members)
        return _single(hosts, Verdict.SKIP, f"hosts.yaml names no cluster for {hosts}", "")
    entry = clusters.get(name)
    if entry is None or not entry.has_api_server:
        return _single(name, Verdict.SKIP, f"clusters.yaml names no API server for {name}", "")
    try:
        client = connect(entry)
        cluster = ClusterState(client.nodes(), tuple(_local(client.services(), service)))
    except ClusterUnreadableError as error:
        words = f"the API server could not be asked: {error}"
        return _single(name, Verdict.UNKNOWN, words, f"{_REMEDY} (clusters.yaml: {name})")
    silent = frozenset(member.host for member in members if _without_endpoint(member, cluster))
    return NodeStates(tuple(finding for member in members for finding in node_state(member, cluster)), silent)


def _local(found: Iterable[ClusterService], service: Service) -> Iterator[LocalService]:
    """The Services among these that take the service's traffic, and want a pod on the very node."""
    for each in found:
        if each.policy == "Local" and serves(each, service):
            yield LocalService(each.full_name, answering_nodes(each))


def serves(found: ClusterService, service: Service) -> bool:
    """Whether traffic of the service's VIP and port ends at this Service: by node port, or by its VIP."""
    return any(
        port.protocol == virtual.protocol.upper()
        and (port.node_port == virtual.port or (port.port == virtual.port and str(virtual.vip) in found.vips))
        for virtual in service.virtual_services
        for port in found.ports
    )


def answering_nodes(found: ClusterService) -> frozenset[str]:
    """The nodes with an endpoint that takes traffic: a ready one, or one that still serves while it ends.

    The latter counts only where no ready one is on the node (KEP-1669).
    """
    return frozenset(each.node for each in found.endpoints if each.node and each.answers)


_REMEDY = "see that kubectl get nodes,services,endpointslices -A works with this kubeconfig and context"


def _single(host: str, verdict: Verdict, seen: str, remedy: str) -> NodeStates:
    return NodeStates((Finding(CHECK, host, verdict, seen, WANTED, remedy),))


def node_state(realserver: Realserver, cluster: ClusterState) -> Iterator[Finding]:
    """A node that is pooled gets traffic whatever Kubernetes thinks of it, so it must be Ready.

    NotReady fails. A cordoned or tainted node still gets traffic and still must answer, but somebody means
    to take it away: a warning, as is a realserver that is no node of the cluster (domain: node state;
    kubernetes/kubernetes#75262 for ``externalTrafficPolicy: Local``).
    """
    node = node_of(cluster.nodes, realserver)
    if node is None:
        yield _warning(
            realserver,
            f"{realserver.cluster} has no node of this name, hostname or address",
            "take it out of the node files, or give the cluster that it belongs to in hosts.yaml",
        )
        return
    problems = [*_problems(realserver, node), *_silence(realserver, cluster)]
    yield from problems or [Finding(CHECK, realserver.host, Verdict.PASS, "Ready", WANTED)]


def _problems(realserver: Realserver, node: Node) -> Iterator[Finding]:
    if not node.ready:
        yield Finding(
            CHECK,
            realserver.host,
            Verdict.FAIL,
            f"NotReady, and still pooled: {node.not_ready}",
            WANTED,
            f"repair it, or set it inactive in the node files; kubectl describe node {node.name}",
        )
    if node.cordoned:
        yield _warning(
            realserver, "cordoned, and still pooled", f"ask who did and why; kubectl uncordon {node.name}"
        )
    if node.no_execute:
        yield _warning(
            realserver,
            f"taints that evict pods: {', '.join(node.no_execute)}",
            f"ask who did and why; kubectl describe node {node.name}",
        )


def _silence(realserver: Realserver, cluster: ClusterState) -> Iterator[Finding]:
    names = _without_endpoint(realserver, cluster)
    if names:
        yield _warning(
            realserver,
            f"no ready endpoint of {', '.join(names)} here, and externalTrafficPolicy is Local: what is sent"
            " to this node is dropped, so its probe is expected to be silent",
            "nothing, where health checks keep it out of the pool; else run a pod there, or set the policy to"
            " Cluster",
        )


def _without_endpoint(realserver: Realserver, cluster: ClusterState) -> list[str]:
    node = node_of(cluster.nodes, realserver)
    return [local.name for local in cluster.local if node is not None and node.name not in local.nodes]


def _warning(realserver: Realserver, seen: str, remedy: str) -> Finding:
    return Finding(CHECK, realserver.host, Verdict.WARN, seen, WANTED, remedy)
