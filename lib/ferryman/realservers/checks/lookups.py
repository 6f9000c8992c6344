"""Which routes a realserver is asked for: back to each outer source, and from each VIP to clients."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.realservers.checks.decapsulation import tunnels
from ferryman.realservers.checks.firewall import UNNAMED_SOURCES, outer_sources
from ferryman.realservers.facts.routing import Lookup

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ferryman.model import Realserver, Service

SOMEBODY = {version: sources[-1] for version, sources in UNNAMED_SOURCES.items()}
"""A client in the Internet, by IP version; nothing is sent to it."""


def lookups_for(service: Service, realserver: Realserver, more: Iterable[Lookup] = ()) -> tuple[Lookup, ...]:
    """The questions of every check about this realserver, and what else is wanted, each once."""
    return tuple(dict.fromkeys([*_back_to_directors(service, realserver), *_to_clients(service), *more]))


def _back_to_directors(service: Service, realserver: Realserver) -> Iterator[Lookup]:
    """IPv4 alone: IPv6 has no reverse path filter in the kernel."""
    for tunnel in tunnels(service):
        if tunnel.version == 4 and realserver.address is not None:  # noqa: PLR2004  # IPv4
            for source in outer_sources(service, tunnel, realserver):
                if source is not None and source.version == tunnel.version:
                    yield Lookup(source, realserver.address)


def _to_clients(service: Service) -> Iterator[Lookup]:
    for virtual in service.virtual_services:
        yield Lookup(SOMEBODY[virtual.vip.version], virtual.vip)
