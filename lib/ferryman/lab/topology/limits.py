"""How much a lab holds: one emulated processor, some memory, and what its kernel and its programs know."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ferryman.lab.topology.values import Topology

KeyPath = tuple[str | int, ...]

SCHEDULERS = ("rr", "wrr", "lc", "wlc", "lblc", "lblcr", "sh", "mh", "dh", "fo", "ovf", "sed", "nq")
"""Those that both the lab's kernel and its keepalived have."""
FLAGS = ("sh-port", "sh-fallback", "mh-port", "mh-fallback")

MOST = {"directors": 8, "realservers": 40, "services": 40}
MOST_PODS = 40
MOST_DESTINATIONS = 240
"""Entries of one director's table; each costs a health check every three seconds."""


def too_many(counts: Mapping[str, int], pods: int) -> Iterator[tuple[KeyPath, str]]:
    """What there is more of than the lab holds, each with the key that it stands under."""
    for what, found in counts.items():
        if found > MOST[what]:
            yield (what,), _too_much(found, what, MOST[what])
    if pods > MOST_PODS:
        yield ("realservers",), _too_much(pods, "pods", MOST_PODS)


def too_busy(topology: Topology) -> Iterator[tuple[KeyPath, str]]:
    """The directors that have more to look after than the lab's processor has time for."""
    for director in topology.directors:
        services = topology.directed_by(director.name)
        found = sum(len(service.vips) * len(service.realservers) for service in services)
        if found > MOST_DESTINATIONS:
            yield ("services",), _too_much(found, f"destinations on {director.name}", MOST_DESTINATIONS)


def _too_much(found: int, what: str, most: int) -> str:
    return f"has {found} {what}, expected {most} at most: that is what a lab holds"
