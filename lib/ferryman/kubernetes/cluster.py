"""A Kubernetes cluster as values: its nodes, and the Services that want a pod on the very node."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ferryman.model import Realserver


class ClusterUnreadableError(Exception):
    """The API server could not be asked, or was not understood; the message says why."""


class ClusterRefusedError(Exception):
    """The API server did not do what it was asked to do; the message says why, and nothing was changed."""


class EvictionRefusedError(ClusterRefusedError):
    """A disruption budget does not allow the eviction of a pod, now or ever."""


@dataclass(frozen=True, slots=True)
class Node:
    """The state of a node, as the API server reports it."""

    name: str
    hostname: str = ""
    """Its label ``kubernetes.io/hostname``."""
    addresses: frozenset[str] = field(default_factory=frozenset)
    ready: bool = True
    not_ready: str = ""
    """Why it is not: the condition's reason and message."""
    cordoned: bool = False
    no_execute: tuple[str, ...] = ()
    """Taints that evict pods, as ``kubectl describe`` writes them."""


@dataclass(frozen=True, slots=True)
class LocalService:
    """A Service with ``externalTrafficPolicy: Local`` that takes this service's traffic."""

    name: str
    """The Service as ``NAMESPACE/NAME``."""
    nodes: frozenset[str]
    """The nodes that have an endpoint of it that is ready."""


@dataclass(frozen=True, slots=True)
class ClusterState:
    """The state of a cluster, as far as it was read: its nodes, and the Services that are local to them."""

    nodes: tuple[Node, ...]
    local: tuple[LocalService, ...] = ()

    def node_of(self, realserver: Realserver) -> Node | None:
        """The node that a realserver is: by name, else by hostname label, else by address."""
        own = {str(address) for address in (realserver.address, realserver.address6) if address is not None}
        for matches in (
            lambda node: node.name == realserver.host,
            lambda node: node.hostname == realserver.host,
            lambda node: bool(node.addresses & own),
        ):
            found = next(filter(matches, self.nodes), None)
            if found is not None:
                return found
        return None
