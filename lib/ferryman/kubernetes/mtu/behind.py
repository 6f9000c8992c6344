"""Which pods a service of the catalog reaches through its Kubernetes nodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ferryman.kubernetes.cluster import node_of
from ferryman.kubernetes.nodes import serves

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ferryman.kubernetes.cluster import Node
    from ferryman.kubernetes.objects import ClusterService, Endpoint
    from ferryman.model import Realserver, Service


@dataclass(frozen=True, slots=True)
class Behind:
    """A Service of a cluster that takes the traffic, and its pods that may answer, by full name."""

    service: ClusterService
    pods: frozenset[str]


def pods_behind(
    service: Service, members: Sequence[Realserver], nodes: Sequence[Node], found: Iterable[ClusterService]
) -> list[Behind]:
    """The Services that take its traffic at these nodes, with the pods that may answer.

    With the policy ``Local`` those on the very nodes, with ``Cluster`` those on any node.
    """
    own = {node.name for member in members if (node := node_of(nodes, member)) is not None}
    return [
        Behind(each, frozenset(endpoint.pod for endpoint in _answering(each, own) if endpoint.pod))
        for each in sorted(found, key=lambda each: each.full_name)
        if serves(each, service)
    ]


def _answering(found: ClusterService, own: set[str]) -> list[Endpoint]:
    """The endpoints that take traffic: ready ones, and those that still serve while they end (KEP-1669)."""
    return [
        each for each in found.endpoints if each.answers and (found.policy == "Cluster" or each.node in own)
    ]
