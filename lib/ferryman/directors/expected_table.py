"""A service's entries as catalog and inventory say they are to be: for directors without an IPVS table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.ipvs.table import Destination, Table, VirtualServer

if TYPE_CHECKING:
    from ferryman.model import Forwarding, Service, VirtualService


def expected_table(service: Service, forwarding: Forwarding) -> Table:
    """Every realserver with weight 1 and this forwarding, by the catalog's scheduler."""
    return tuple(_server(virtual, service, forwarding) for virtual in service.virtual_services)


def _server(virtual: VirtualService, service: Service, forwarding: Forwarding) -> VirtualServer:
    addresses = (realserver.address_for(virtual.vip) for realserver in service.realservers)
    destinations = tuple(
        Destination(address, virtual.port, forwarding, 1) for address in addresses if address is not None
    )
    return VirtualServer(
        virtual.protocol,
        virtual.vip,
        virtual.port,
        virtual.scheduler,
        virtual.scheduler_flags,
        destinations,
    ).sorted()
