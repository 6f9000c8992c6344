"""Why a director's entries for a service must not be changed as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.ipvs.table import Table, VirtualServer, key_of
from ferryman.model import Address, Forwarding, Service, host_port

if TYPE_CHECKING:
    from collections.abc import Iterator


def blockers(table: Table, service: Service) -> list[str]:
    """Every reason not to change these entries, in words; empty when they may be changed."""
    known = {server.key for server in table}
    missing = [
        f"{virtual} is not in its IPVS table; is the director that directors.yaml names for class"
        f" {service.lvs_class} the right one, and is it set up? ipvsadm -Ln shows what it has"
        for virtual in service.virtual_services
        if key_of(virtual) not in known
    ]
    return missing + [
        reason
        for server in table
        for reason in (*membership_diff(server, service), *_methods_against(server))
    ]


def membership(table: Table, service: Service) -> list[str]:
    """What the destinations of a table and the inventory's realservers do not agree on, a line for each."""
    return [line for server in table for line in membership_diff(server, service)]


def membership_diff(server: VirtualServer, service: Service) -> Iterator[str]:
    """What the table's destinations and the inventory's realservers do not agree on."""
    wanted = expected(server.vip, server.port, service)
    seen = {destination.key for destination in server.destinations}
    for key in sorted(wanted.keys() - seen):
        yield (
            f"{server}: {wanted[key]} ({key}) is not among its destinations; wait until health checks take it"
            " back, or set it inactive in the node files"
        )
    for key in sorted(seen - wanted.keys()):
        yield f"{server}: destination {key} is no realserver of {service.name} in the inventory; add it there"


def expected(vip: Address, port: int, service: Service) -> dict[str, str]:
    """``address:port`` of each destination that the inventory asks for, with the realserver's name."""
    addresses = ((realserver.address_for(vip), realserver.host) for realserver in service.realservers)
    return {host_port(address, port): host for address, host in addresses if address is not None}


def _methods_against(server: VirtualServer) -> Iterator[str]:
    for destination in server.destinations:
        if destination.forwarding is Forwarding.MASQUERADE:
            yield f"{server}: {destination.key} is masqueraded; only direct routing and IPIP are changed"
        if destination.tunnel:
            yield f"{server}: {destination.key} has another tunnel than IPIP: {' '.join(destination.tunnel)}"
