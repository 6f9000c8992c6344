"""What the steps of one run tell each other while one process makes it.

Nothing here outlives the process: whoever resumes the run or rolls it back begins with an empty memory. What
must survive that is in the journal, as the before of a change; each entry says here why it may be lost.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime

    from ferryman.cookbook.connection_drain import ConnectionDrain
    from ferryman.directors import DirectorStates, Table, Target
    from ferryman.inventory import Needed
    from ferryman.kubernetes import NodeStates
    from ferryman.kubernetes.client import ClusterClient
    from ferryman.kubernetes.mtu.seen import SeenPod
    from ferryman.kubernetes.mtu.view import ClusterView
    from ferryman.kubernetes.mtu.way import Way
    from ferryman.model import Address, Director, Service
    from ferryman.probe import Target as ProbeTarget

Key = tuple[str, str]
"""A director's host and a service's name."""


def key_of(director: Director, service: Service) -> Key:
    """What the memory keeps things of this service on this director under."""
    return director.host, service.name


WorkloadKey = tuple[str, str, str, str]
"""Cluster, namespace, kind and name of a workload."""
DestinationKey = tuple[str, str]
"""A realserver's host and the virtual service that it is asked for."""


def destination_of(target: ProbeTarget) -> DestinationKey:
    """What the memory keeps what a realserver did for a virtual service under, whatever the outer source."""
    return target.host, str(target.virtual_service)


@dataclass(frozen=True, slots=True)
class VerifiedTarget:
    """A change of a director that was read back and still stands."""

    target: Target
    seen_at: datetime
    """When it was last read so, in UTC."""


@dataclass(eq=False)
class Memory:
    """What this process knows of the run's work so far; empty at the start of every process."""

    needed: list[Needed] = field(default_factory=list)
    """The services that were asked for, in order. Never lost: building the plan fills it."""
    catalog_revision: str = ""
    """The commit with the catalog's change, where the catalog is in git: agents must apply it. Lost: the
    catalog's step finds it again when it is verified, which it is before each later change."""
    director_states: dict[str, DirectorStates] = field(default_factory=dict)
    """By service: its directors as they were read before the first change. Lost: probes are sent with the
    outer sources that the inventory names, without those that were observed beside them."""
    connection_drains: dict[Key, ConnectionDrain] = field(default_factory=dict)
    """The connections that existed when the destinations were edited. Lost: every connection that exists
    then counts as one from before, which keeps host routes for longer and breaks nothing."""
    own_connections: set[tuple[Address, int]] = field(default_factory=set)
    """Where this run's own requests came from: they are over, though a director may still list them. Lost:
    they count as clients' connections until the director forgets them, two minutes later."""
    others_before: dict[Key, Table] = field(default_factory=dict)
    """The entries of all other services right before this one's were edited. Lost: they are read again
    before the next edit, and what changed in between is not told."""
    edited: set[Key] = field(default_factory=set)
    """Whose destinations this process has edited, or begun to. Lost: a resumed run takes it that all are."""
    verified: dict[Key, VerifiedTarget] = field(default_factory=dict)
    """What is changed and was read back; the watch compares with it. Lost: each is read back again before
    the next change and at the end of the run, and watched from then on."""
    unanswered: dict[str, frozenset[DestinationKey]] = field(default_factory=dict)
    """By service: the realservers, with the virtual service each, whose latest probe was not accepted. Lost:
    exchanges are tried with all of them, and those fail too."""
    not_followed: set[Key] = field(default_factory=set)
    """Whose rollback was begun, while the director has not followed yet. Lost: the rollback that is asked
    for again begins with ``undo``, which finds out anew."""
    routes_kept: set[Key] = field(default_factory=set)
    """Where the service's host routes were kept for connections when they were to be removed. Lost: whoever
    looks again finds routes that nothing needs, and removes them by a rollback."""
    with_host_routes: set[Key] = field(default_factory=set)
    """Where the plan adds host routes and removes them again. Never lost: building the plan fills it."""
    realservers_not_restored: dict[str, str] = field(default_factory=dict)
    """By service: why its realservers could not be brought back in line. Lost: as ``not_followed``."""
    node_states: dict[str, NodeStates] = field(default_factory=dict)
    """By service: what its clusters say of its nodes. Lost: they are asked again."""
    clusters: dict[str, ClusterClient] = field(default_factory=dict)
    """By name: what was made to ask a cluster. Lost: it is made again."""
    small_pods: dict[str, SeenPod] = field(default_factory=dict)
    """By uid: pods that were seen not to be too large, which none becomes. Lost: their nodes are asked."""
    first_views: dict[str, ClusterView] = field(default_factory=dict)
    """By cluster: its pods and workloads as the plan was made of them. Lost: they are read again."""
    restart_ways: dict[WorkloadKey, Way] = field(default_factory=dict)
    """How each workload is to be restarted, as it was first found. Lost: it is found out again."""
    restarted: set[WorkloadKey] = field(default_factory=set)
    """Which workloads this process has begun to restart. Lost: nothing is soaked for those."""
    eased: dict[str, list[list[Any]]] = field(default_factory=dict)
    """By node: the pods whose MSS is to be lowered, as they were first found. Lost: they are looked for."""
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    """The watch, in a thread of its own, writes to ``verified`` too."""

    def refresh(self, key: Key, was: VerifiedTarget, now: VerifiedTarget) -> None:
        """Remember when a change was last read back, unless somebody has begun to change it meanwhile."""
        with self._lock:
            if self.verified.get(key) == was:
                self.verified[key] = now

    def forget(self, key: Key) -> None:
        """From now on nobody knows how this director is: it is about to be changed, or put back."""
        with self._lock:
            self.verified.pop(key, None)
