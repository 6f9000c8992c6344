"""A cluster's API server on a tape: each thing that it is asked or told is a call, recorded or answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ferryman.errors import DryRunError
from ferryman.kubernetes.connection import where_of
from ferryman.tape.keys import CallKey

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ferryman.inventory.schema import ClusterEntry
    from ferryman.kubernetes.client import ClusterClient
    from ferryman.kubernetes.cluster import Node
    from ferryman.kubernetes.objects import Budget, ClusterService, Manifest, Namespace, Pod, Workload

T = TypeVar("T")


class Through(Protocol):
    """Makes a call and keeps it, or answers in its place."""

    def __call__(self, key: CallKey, call: Callable[[ClusterClient], T]) -> T:
        """What came of the call."""


class TapedCluster:
    """A cluster's client, each call of which goes through a tape; see ``ClusterClient``."""

    def __init__(self, entry: ClusterEntry, through: Through, *, dry_run: bool) -> None:
        self._where = where_of(entry)
        self._through = through
        self._dry_run = dry_run

    def nodes(self) -> tuple[Node, ...]:
        """All nodes."""
        return self._read("nodes", lambda client: client.nodes())

    def pods(self, *, node: str | None = None, namespace: str | None = None) -> tuple[Pod, ...]:
        """The pods that have not ended."""
        given = {"node": node, "namespace": namespace}
        named = {key: value for key, value in given.items() if value is not None}
        return self._read("pods", lambda client: client.pods(node=node, namespace=namespace), **named)

    def pod(self, namespace: str, name: str) -> Pod | None:
        """The pod of this name."""
        return self._read("pod", lambda client: client.pod(namespace, name), namespace=namespace, name=name)

    def services(self) -> tuple[ClusterService, ...]:
        """All Services that take traffic from outside."""
        return self._read("services", lambda client: client.services())

    def workloads(self) -> tuple[Workload, ...]:
        """All Deployments, StatefulSets and DaemonSets."""
        return self._read("workloads", lambda client: client.workloads())

    def workload(self, kind: str, namespace: str, name: str) -> Workload | None:
        """One of them."""
        return self._read(
            "workload",
            lambda client: client.workload(kind, namespace, name),
            kind=kind,
            namespace=namespace,
            name=name,
        )

    def budgets(self) -> tuple[Budget, ...]:
        """All disruption budgets."""
        return self._read("budgets", lambda client: client.budgets())

    def namespaces(self) -> tuple[Namespace, ...]:
        """All namespaces."""
        return self._read("namespaces", lambda client: client.namespaces())

    def policies(self) -> tuple[Manifest, ...]:
        """All policies."""
        return self._read("policies", lambda client: client.policies())

    def felix_configurations(self) -> tuple[Manifest, ...]:
        """Calico's FelixConfigurations."""
        return self._read("felix-configurations", lambda client: client.felix_configurations())

    def config_map(self, namespace: str, name: str) -> Mapping[str, str] | None:
        """The data of a ConfigMap."""
        return self._read(
            "config-map", lambda client: client.config_map(namespace, name), namespace=namespace, name=name
        )

    def evict(self, pod: Pod) -> None:
        """Evict this very pod."""
        given = {"namespace": pod.namespace, "name": pod.name, "uid": pod.uid}
        self._write("evict", lambda client: client.evict(pod), given)

    def restart(self, workload: Workload, stamp: str) -> None:
        """Have a workload replace its pods."""
        given = {
            "kind": workload.kind,
            "namespace": workload.namespace,
            "name": workload.name,
            "resource_version": workload.resource_version,
            "stamp": stamp,
        }
        self._write("restart", lambda client: client.restart(workload, stamp), given)

    def _read(self, verb: str, call: Callable[[ClusterClient], T], **given: str) -> T:
        return self._through(CallKey("cluster", "", verb, {"cluster": self._where, **given}), call)

    def _write(self, verb: str, call: Callable[[ClusterClient], None], given: Mapping[str, Any]) -> None:
        key = CallKey("cluster", "", verb, {"cluster": self._where, **given}, writes=True)
        if self._dry_run:
            raise DryRunError(f"cluster {self._where}: a dry run tried to {key}; nothing was done")
        self._through(key, call)
