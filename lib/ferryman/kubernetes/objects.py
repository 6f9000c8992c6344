"""What is read of a cluster, as values: pods, what owns them, what guards them, and who may talk to them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from ferryman.model import Address

Manifest = dict[str, Any]
"""An object as plain data, as ``kubectl get -o json`` prints it: of kinds that are judged by their text."""


@dataclass(frozen=True, slots=True)
class Owner:
    """What makes a pod again when it is gone: the topmost controller, so a Deployment and no ReplicaSet."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod as the API server reports it; its own MTU nobody but its node knows."""

    namespace: str
    name: str
    uid: str
    """Differs when a pod of the same name was made again."""
    node: str
    """Empty while it has none."""
    addresses: tuple[Address, ...]
    labels: Mapping[str, str]
    created: datetime
    owner: Owner | None = None
    """None: nothing makes it again."""
    ready: bool = True
    terminating: bool = False
    host_network: bool = False
    """Whether it uses its node's own network, so that no MTU is the pod's."""
    phase: str = "Running"
    annotations: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    """Its containers' named ports: protocol (such as ``TCP``) and number."""
    service_account: str = ""

    @property
    def full_name(self) -> str:
        """The pod as ``NAMESPACE/NAME``."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A pod, or an address without one, that takes a Service's traffic."""

    address: Address
    node: str
    pod: str
    """As ``NAMESPACE/NAME``; empty for an address without a pod."""
    ready: bool = True
    serving: bool = True
    terminating: bool = False
    """A terminating endpoint that still serves takes traffic where no ready one is (KEP-1669)."""

    @property
    def answers(self) -> bool:
        """Whether it takes traffic: it is ready, or still serves while it ends."""
        return self.ready or (self.serving and self.terminating)


@dataclass(frozen=True, slots=True)
class ServicePort:
    """A port of a Service."""

    protocol: str
    """In capitals, such as ``TCP``."""
    port: int
    node_port: int | None
    name: str = ""


@dataclass(frozen=True, slots=True)
class ClusterService:
    """A Service with its endpoints."""

    namespace: str
    name: str
    policy: Literal["Cluster", "Local"]
    """Its ``externalTrafficPolicy``: whether another node's pod may answer."""
    ports: tuple[ServicePort, ...]
    vips: frozenset[str] = frozenset()
    """Its external and load balancer addresses."""
    endpoints: tuple[Endpoint, ...] = ()
    health_check_port: int | None = None
    """``healthCheckNodePort``, which tells load balancers whether the node has an endpoint."""
    selector: Mapping[str, str] = field(default_factory=dict)

    @property
    def full_name(self) -> str:
        """The Service as ``NAMESPACE/NAME``."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Budget:
    """A PodDisruptionBudget: how many of its pods may be evicted now."""

    namespace: str
    name: str
    selector: Manifest
    """Its LabelSelector; an empty one selects every pod of the namespace (policy/v1)."""
    disruptions_allowed: int
    unhealthy: str = "IfHealthyBudget"
    """Its ``unhealthyPodEvictionPolicy``."""


@dataclass(frozen=True, slots=True)
class Workload:
    """A Deployment, StatefulSet or DaemonSet, and how it replaces its pods."""

    kind: str
    namespace: str
    name: str
    uid: str
    resource_version: str
    replicas: int
    """How many pods it should have; of a DaemonSet, on how many nodes."""
    ready: int
    updated: int
    """How many pods are of its newest template."""
    strategy: str
    """``RollingUpdate``, ``Recreate`` or ``OnDelete``."""
    max_unavailable: str = ""
    """Of a RollingUpdate: a number, or a share such as ``25%``."""
    max_surge: str = ""
    paused: bool = False
    generation: int = 0
    observed_generation: int = 0
    restarted_at: str = ""
    """The annotation ``kubectl.kubernetes.io/restartedAt`` of its template."""
    partition: int = 0
    """Of a StatefulSet's RollingUpdate: pods of a lower ordinal are not replaced."""

    @property
    def owner(self) -> Owner:
        """As its pods name it."""
        return Owner(self.kind, self.name)


@dataclass(frozen=True, slots=True)
class Namespace:
    """A namespace, as selectors see it."""

    name: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str] = field(default_factory=dict)
