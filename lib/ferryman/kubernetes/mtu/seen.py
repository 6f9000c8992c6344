"""Pods as the API server has them, each with its network as its node has it; they meet by their addresses."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from ferryman.realservers.facts import Unknown
from ferryman.realservers.facts.pods import NodePods

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import datetime

    from ferryman.kubernetes.cluster import Node
    from ferryman.kubernetes.objects import Pod
    from ferryman.realservers.facts.pods import PodNetwork

SHOWN = 5
"""Pods that a finding names."""
BACK = (timedelta(days=30), timedelta(days=7), timedelta(days=1), timedelta(hours=1))
"""How far back it is told how many pods were too large then."""


@dataclass(frozen=True, slots=True)
class SeenPod:
    """A pod, and its network on its node."""

    pod: Pod
    network: PodNetwork | None
    unknown: str = ""
    """Why its network is not known."""

    @property
    def mtu(self) -> int | None:
        """The MTU of the pod's own end, in bytes."""
        return self.network.end.mtu if self.network is not None else None

    def is_large(self, limit: int) -> bool:
        """Whether its MTU is known, and larger than this."""
        return self.mtu is not None and self.mtu > limit

    @property
    def host_end_is_larger(self) -> bool:
        """Whether its node's end takes more than its own: a fault whatever the limit is."""
        network = self.network
        return network is not None and network.host_end is not None and network.host_end.mtu > network.end.mtu


def hosts_of(nodes: Iterable[Node], known: Collection[str]) -> dict[str, str]:
    """The host by which each node is reached over SSH, as far as the inventory knows it.

    A node's name comes from the API server; no host is connected to that the inventory does not name.
    """
    found = {}
    for node in nodes:
        names = (node.name, node.hostname)
        host = next((name for name in names if name in known), None)
        if host is not None:
            found[node.name] = host
    return found


def seen_pods(
    pods: Iterable[Pod], hosts: Mapping[str, str], readings: Mapping[str, NodePods | Exception]
) -> tuple[SeenPod, ...]:
    """Each pod that has a network of its own, with that network; ``readings`` are by host."""
    return tuple(_seen(pod, hosts, readings) for pod in pods if not pod.host_network and pod.node)


def _seen(pod: Pod, hosts: Mapping[str, str], readings: Mapping[str, NodePods | Exception]) -> SeenPod:
    host = hosts.get(pod.node)
    if host is None:
        return SeenPod(pod, None, f"the inventory has no host {pod.node}")
    reading = readings.get(host)
    if not isinstance(reading, NodePods):
        return SeenPod(pod, None, f"{reading or f'{host} was not asked'}")
    if isinstance(reading.pods, Unknown):
        return SeenPod(pod, None, f"{host}: {reading.pods.reason}")
    network = reading.network_of(set(pod.addresses))
    if network is None:
        return SeenPod(pod, None, f"{host}: no network namespace that has a name has its addresses")
    return SeenPod(pod, network)


def age(since: datetime, now: datetime) -> str:
    """How long ago that was, in its largest unit.

    >>> from datetime import UTC, datetime, timedelta
    >>> age(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC) + timedelta(hours=50))
    '2 d'
    """
    minutes = max(0, int((now - since).total_seconds() // 60))
    for size, unit in ((1440, "d"), (60, "h")):
        if minutes >= size:
            return f"{minutes // size} {unit}"
    return f"{minutes} min"


def described(seen: SeenPod, now: datetime, *, node: bool = False) -> str:
    """A pod as findings name it."""
    pod = seen.pod
    parts = [
        f"{seen.mtu} bytes" if seen.mtu is not None else "MTU not known",
        str(pod.owner) if pod.owner is not None else "no owner",
        *([f"on {pod.node}"] if node else []),
        f"{age(pod.created, now)} old",
        *(["terminating"] if pod.terminating else []),
    ]
    return f"{pod.full_name} ({', '.join(parts)})"


def listed(pods: Sequence[SeenPod], now: datetime, *, node: bool = False) -> str:
    """The first of these pods by name, and how many more there are."""
    ordered = sorted(pods, key=lambda seen: (seen.pod.full_name, seen.pod.uid))
    more = f" and {len(ordered) - SHOWN} more" if len(ordered) > SHOWN else ""
    return ", ".join(described(seen, now, node=node) for seen in ordered[:SHOWN]) + more


def shrinkage(pods: Iterable[SeenPod], limit: int, now: datetime) -> list[tuple[timedelta, int]]:
    """How many pods were too large so long ago, the longest first, as the ages of those that are small tell.

    A pod that its owner makes again takes the place of another one. So each pod that is small, and younger
    than that, stands for one that was there then and may have been too large; none of them is counted from
    before the first small one, for then nobody had begun.
    """
    known = [seen for seen in pods if seen.mtu is not None and seen.pod.owner is not None]
    large = sum(seen.is_large(limit) for seen in known)
    made = [now - seen.pod.created for seen in known if not seen.is_large(limit)]
    return [(back, large + sum(each < back for each in made)) for back in BACK]


def by_owner(pods: Iterable[SeenPod]) -> dict[tuple[str, str], list[SeenPod]]:
    """The pods by namespace and owner, sorted; those without an owner stand for themselves."""
    groups: dict[tuple[str, str], list[SeenPod]] = {}
    for seen in pods:
        owner = str(seen.pod.owner) if seen.pod.owner is not None else f"Pod/{seen.pod.name}"
        groups.setdefault((seen.pod.namespace, owner), []).append(seen)
    return dict(sorted(groups.items()))


def unknown_reasons(pods: Iterable[SeenPod]) -> list[tuple[str, int]]:
    """Why pods' networks are not known, the most frequent reason first."""
    return sorted(
        Counter(seen.unknown for seen in pods if seen.unknown).items(), key=lambda pair: (-pair[1], pair[0])
    )
