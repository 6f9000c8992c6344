"""A cluster's pods, workloads, budgets and nodes as they were read at one time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ferryman.kubernetes.client import ClusterClient
    from ferryman.kubernetes.cluster import Node
    from ferryman.kubernetes.objects import Budget, Pod, Workload


@dataclass(frozen=True, slots=True)
class ClusterView:
    """What a rollout wants to know of a cluster."""

    nodes: tuple[Node, ...]
    pods: tuple[Pod, ...]
    workloads: tuple[Workload, ...]
    budgets: tuple[Budget, ...]


def view_of(client: ClusterClient) -> ClusterView:
    """Read all of it; raises ``ClusterUnreadableError``."""
    return ClusterView(client.nodes(), client.pods(), client.workloads(), client.budgets())
