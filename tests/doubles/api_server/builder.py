"""What tests put into the double: objects as kubectl prints them in JSON, cut down to what is read."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from doubles.api_server.controllers import HASH, Controllers, owner_of, template_of
from doubles.api_server.store import Store

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from doubles.api_server.kinds import Manifest

NAMESPACE = "apps"
_VERSIONS = {"Deployment": "apps/v1", "StatefulSet": "apps/v1", "DaemonSet": "apps/v1"}


@dataclass
class Builder:
    """Makes objects; each is handed back, to be changed in place."""

    store: Store = field(default_factory=Store)

    @cached_property
    def controllers(self) -> Controllers:
        """What makes pods again."""
        return Controllers(self.store)

    def put(self, *manifests: Manifest) -> None:
        """Add objects of any kind, such as those of a file that ``kubectl apply`` takes."""
        for manifest in manifests:
            self.store.put(manifest)
        self.controllers.count()

    def node(self, name: str, **changes: object) -> Manifest:
        """Add a node that is well; ``changes`` replace keys of its spec."""
        return self._put(
            "v1",
            "Node",
            {"name": name, "labels": {"kubernetes.io/hostname": name}},
            spec={"podCIDR": "10.64.1.0/24", **changes},
            status={
                "addresses": [{"type": "Hostname", "address": name}],
                "conditions": [
                    {"type": "MemoryPressure", "status": "False"},
                    {"type": "Ready", "status": "True", "reason": "KubeletReady"},
                ],
            },
        )

    def namespace(self, name: str, **labels: str) -> Manifest:
        """Add a namespace, with the label that an API server gives it."""
        return self._put(
            "v1",
            "Namespace",
            {"name": name, "labels": {"kubernetes.io/metadata.name": name, **labels}},
            spec={},
            status={"phase": "Active"},
        )

    def config_map(self, name: str, data: Mapping[str, str], namespace: str = "kube-system") -> Manifest:
        """Add a ConfigMap."""
        return self._put("v1", "ConfigMap", {"name": name, "namespace": namespace}, data=dict(data))

    def service(self, name: str, policy: str, *ports: Manifest, **changes: object) -> Manifest:
        """Add a Service of the namespace ``apps``; of a ``selector`` an endpoint slice is made by itself."""
        spec = {"type": "NodePort", "externalTrafficPolicy": policy, "ports": list(ports), **changes}
        return self._put("v1", "Service", {"name": name, "namespace": NAMESPACE}, spec=spec, status={})

    def endpoints(self, service: str, *endpoints: Manifest, kind: str = "IPv4") -> Manifest:
        """Add an endpoint slice of a Service."""
        count = len(self.store.all("discovery.k8s.io/v1", "EndpointSlice"))
        return self._put(
            "discovery.k8s.io/v1",
            "EndpointSlice",
            {
                "name": f"{service}-{count}",
                "namespace": NAMESPACE,
                "labels": {"kubernetes.io/service-name": service},
            },
            addressType=kind,
            endpoints=list(endpoints) or None,
            ports=[],
        )

    def pod(  # noqa: PLR0913  # all that tests vary of a pod
        self,
        name: str,
        node: str,
        *,
        namespace: str = NAMESPACE,
        owner: Manifest | None = None,
        labels: Mapping[str, str] | None = None,
        addresses: Sequence[str] = (),
        phase: str = "Running",
        ready: bool = True,
        **spec: object,
    ) -> Manifest:
        """Add a pod; ``spec`` replaces keys of its spec."""
        given = list(addresses) or [self.controllers.address()]
        meta: Manifest = {"name": name, "namespace": namespace, "labels": dict(labels or {})}
        if owner is not None:
            meta["ownerReferences"] = [owner_of(owner)]
        return self._put(
            "v1",
            "Pod",
            meta,
            spec={
                "nodeName": node,
                "serviceAccountName": "default",
                "containers": [{"name": "main"}],
                **spec,
            },
            status={
                "phase": phase,
                "podIP": given[0],
                "podIPs": [{"ip": each} for each in given],
                "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
            },
        )

    def workload(
        self,
        kind: str,
        name: str,
        nodes: Sequence[str],
        *,
        namespace: str = NAMESPACE,
        labels: Mapping[str, str] | None = None,
        **spec: object,
    ) -> Manifest:
        """Add a Deployment, StatefulSet or DaemonSet with a pod on each of these nodes."""
        labels = {"app": name, **(labels or {})}
        made = self._put(
            _VERSIONS[kind],
            kind,
            {"name": name, "namespace": namespace, "labels": dict(labels)},
            spec={
                **({} if kind == "DaemonSet" else {"replicas": len(nodes)}),
                "selector": {"matchLabels": {"app": name}},
                "template": {
                    "metadata": {"labels": dict(labels)},
                    "spec": {"containers": [{"name": "main"}]},
                },
                **({"serviceName": name} if kind == "StatefulSet" else {}),
                **spec,
            },
            status={"observedGeneration": 1},
        )
        manager = self.controllers.replica_set(made) if kind == "Deployment" else made
        for index, node in enumerate(nodes):
            ending = str(index) if kind == "StatefulSet" else f"{index:05}"
            self.pod(
                f"{manager['metadata']['name']}-{ending}",
                node,
                namespace=namespace,
                owner=manager,
                labels={**labels, HASH: template_of(made)},
            )
        self.controllers.count()
        return made

    def budget(
        self,
        name: str,
        labels: Mapping[str, str],
        *,
        allowed: int = 0,
        min_available: int | None = None,
        namespace: str = NAMESPACE,
        **spec: object,
    ) -> Manifest:
        """Add a disruption budget: a fixed number that is allowed, or counted from ``min_available``."""
        least = {} if min_available is None else {"minAvailable": min_available}
        made = self._put(
            "policy/v1",
            "PodDisruptionBudget",
            {"name": name, "namespace": namespace},
            spec={"selector": {"matchLabels": dict(labels)}, **least, **spec},
            status={
                "disruptionsAllowed": allowed,
                "currentHealthy": 1,
                "desiredHealthy": 1,
                "expectedPods": 1,
            },
        )
        self.controllers.count()
        return made

    def calico(
        self,
        kind: str,
        name: str,
        spec: Manifest,
        *,
        namespace: str = "",
        version: str = "projectcalico.org/v3",
    ) -> Manifest:
        """Add an object of one of Calico's kinds: with the first one the cluster has them all."""
        meta = {"name": name, **({"namespace": namespace} if namespace else {})}
        return self._put(version, kind, meta, spec=spec)

    def _put(self, version: str, kind: str, meta: Manifest, **rest: object) -> Manifest:
        return self.store.put({"apiVersion": version, "kind": kind, "metadata": meta, **rest})
