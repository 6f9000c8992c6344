"""What can be asked of a cluster, and the few things that can be done to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ferryman.kubernetes.cluster import Node
    from ferryman.kubernetes.objects import Budget, ClusterService, Manifest, Namespace, Pod, Workload


class ClusterClient(Protocol):
    """A cluster's API server.

    Everything that reads raises ClusterUnreadableError where it could not be asked or is not understood.
    """

    def nodes(self) -> tuple[Node, ...]:
        """All nodes."""

    def pods(self, *, node: str | None = None, namespace: str | None = None) -> tuple[Pod, ...]:
        """The pods that have not ended, with their topmost owner; of a node or a namespace alone if named."""

    def pod(self, namespace: str, name: str) -> Pod | None:
        """The pod of this name as it is now; None where there is none."""

    def services(self) -> tuple[ClusterService, ...]:
        """All Services that take traffic from outside, with their endpoints."""

    def workloads(self) -> tuple[Workload, ...]:
        """All Deployments, StatefulSets and DaemonSets."""

    def workload(self, kind: str, namespace: str, name: str) -> Workload | None:
        """One of them as it is now; None where there is none."""

    def budgets(self) -> tuple[Budget, ...]:
        """All disruption budgets."""

    def namespaces(self) -> tuple[Namespace, ...]:
        """All namespaces."""

    def policies(self) -> tuple[Manifest, ...]:
        """All NetworkPolicies, administrators' policies, and Calico's, with staged ones, tiers, network sets.

        They are as they are in the cluster; of kinds that it does not have there are none.
        """

    def felix_configurations(self) -> tuple[Manifest, ...]:
        """Calico's FelixConfigurations; none where the cluster does not have the kind."""

    def config_map(self, namespace: str, name: str) -> Mapping[str, str] | None:
        """The data of a ConfigMap; None where there is none."""

    def evict(self, pod: Pod) -> None:
        """Evict this very pod, by its uid, as its budgets allow; a pod that is gone is no error.

        Raises:
            EvictionRefusedError: A disruption budget does not allow it now (429), or two budgets select it
                (500), which never succeeds.
            ClusterRefusedError: The API server does not allow it; nothing was done.
            ClusterUnreadableError: It is unknown whether it was done.
        """

    def restart(self, workload: Workload, stamp: str) -> None:
        """Have a workload replace its pods by its own strategy, as ``kubectl rollout restart`` does.

        ``stamp`` is what its template's annotation ``kubectl.kubernetes.io/restartedAt`` says then.

        Raises:
            ClusterRefusedError: The API server does not allow it, or the workload is another one by now (its
                resource version has changed); nothing was done.
            ClusterUnreadableError: It is unknown whether it was done.
        """
