"""A Kubernetes cluster's nodes as values, and what can go wrong when a cluster is asked or told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ferryman.errors import DoubtError, VerifyError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ferryman.model import Realserver


class ClusterUnreadableError(DoubtError):
    """The API server could not be asked, or was not understood; the message says why.

    What it was told to do may have been done: read the state back before it is told again.
    """


class ClusterRefusedError(VerifyError):
    """The API server did not do what it was asked to do; the message says why, and nothing was changed."""


class EvictionRefusedError(ClusterRefusedError):
    """A disruption budget does not allow the eviction of a pod; nothing was changed."""

    def __init__(self, message: str, *, for_good: bool = False) -> None:
        self.for_good = for_good
        """Whether it never will: two budgets select the pod."""
        super().__init__(message)


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


def node_of(nodes: Iterable[Node], realserver: Realserver) -> Node | None:
    """The node that a realserver is: by name, else by hostname label, else by address."""
    own = {str(address) for address in (realserver.address, realserver.address6) if address is not None}
    nodes = tuple(nodes)
    for matches in (
        lambda node: node.name == realserver.host,
        lambda node: node.hostname == realserver.host,
        lambda node: bool(node.addresses & own),
    ):
        found = next(filter(matches, nodes), None)
        if found is not None:
            return found
    return None
