"""A cluster's pods with their MTU, as the steps about it read them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ferryman.encapsulation import ETHERNET_MTU
from ferryman.errors import DoubtError, RefusedError
from ferryman.hosts.verbs.pods import ReadPodNetworks
from ferryman.kubernetes.mtu.seen import hosts_of, seen_pods
from ferryman.kubernetes.mtu.sizes import pod_limit
from ferryman.kubernetes.mtu.stages import rollout_of
from ferryman.kubernetes.mtu.view import ClusterView, view_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from ferryman.cookbook.context import Ferry
    from ferryman.kubernetes.client import ClusterClient
    from ferryman.kubernetes.cluster import Node
    from ferryman.kubernetes.mtu.seen import SeenPod
    from ferryman.kubernetes.mtu.stages import Rollout
    from ferryman.kubernetes.objects import Pod
    from ferryman.realservers.facts.pods import NodePods


@dataclass(frozen=True)
class ClusterPods:
    """A cluster, its pods, and the nodes that say what the pods' MTU is."""

    ferry: Ferry
    cluster: str

    @property
    def client(self) -> ClusterClient:
        """The API server."""
        return self.ferry.cluster(self.cluster)

    @property
    def limit(self) -> int:
        """The MTU that no pod may exceed: ``pod_mtu``, else what the path MTU leaves."""
        entry = self.ferry.inventory.cluster(self.cluster)
        return pod_limit(entry.pod_mtu, entry.path_mtu or ETHERNET_MTU)

    @property
    def rollout(self) -> Rollout:
        """Its stages."""
        return rollout_of(self.ferry.inventory.cluster(self.cluster))

    @property
    def now(self) -> datetime:
        """The time of day, for ages."""
        return self.ferry.clock.now()

    def first_view(self) -> ClusterView:
        """The cluster as this process read it first.

        Raises:
            RefusedError: It could not be read.
        """
        views = self.ferry.memory.first_views
        if self.cluster not in views:
            try:
                views[self.cluster] = view_of(self.client)
            except DoubtError as error:
                raise RefusedError(f"{self.cluster}: {error}; nothing was changed") from error
        return views[self.cluster]

    def hosts(self) -> dict[str, str]:
        """The host of each node, as far as the inventory knows it."""
        return hosts_of(self.first_view().nodes, self.ferry.inventory.hosts)

    def readings(self, hosts: Iterable[str]) -> Mapping[str, NodePods | Exception]:
        """What each of these hosts says of its pods' networks, or why it could not be asked."""
        asked = {host: ReadPodNetworks() for host in sorted(set(hosts))}
        return self.ferry.hosts.read_all(asked) if asked else {}

    def seen(self, pods: Iterable[Pod]) -> tuple[SeenPod, ...]:
        """Each of these pods with its network; nodes are asked only for those not known to be small.

        A pod does not get another MTU as long as it lives.
        """
        small, limit = self.ferry.memory.small_pods, self.limit
        found: list[Pod] = []
        asked: list[Pod] = []
        for pod in pods:
            (found if pod.uid in small else asked).append(pod)
        nodes = self.first_view().nodes if asked else ()
        if any(pod.node and pod.node not in {node.name for node in nodes} for pod in asked):
            nodes = self.client.nodes()
        fresh = self.seen_at(asked, nodes)
        small |= {each.pod.uid: each for each in fresh if each.mtu is not None and each.mtu <= limit}
        return (*(replace(small[pod.uid], pod=pod) for pod in found), *fresh)

    def seen_at(self, pods: Iterable[Pod], nodes: Iterable[Node]) -> tuple[SeenPod, ...]:
        """Each of these pods with its network, all of their nodes asked now, side by side."""
        wanted, hosts = list(pods), hosts_of(nodes, self.ferry.inventory.hosts)
        names = {pod.node for pod in wanted if not pod.host_network}
        return seen_pods(wanted, hosts, self.readings(hosts[name] for name in names if name in hosts))
