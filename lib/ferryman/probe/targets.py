"""What is probed, and the largest MSS that it may answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ferryman.errors import InventoryError

if TYPE_CHECKING:
    from ferryman.model import Address, Service, VirtualService

ETHERNET_MTU = 1500

IP_HEADER = {4: 20, 6: 40}
"""Bytes of an IP header without options, by version."""

TCP_HEADER = 20
"""Bytes of a TCP header without options; timestamps take from the payload, not from the MSS."""


@dataclass(frozen=True, slots=True)
class Target:
    """One realserver, asked for one virtual service."""

    host: str
    virtual_service: VirtualService
    realserver_address: Address
    """Where the outer packet goes; of the same family as the VIP."""
    mss_limit: int
    """The largest MSS in bytes with which full-size packets fit the tunnel."""
    outer_source: Address | None = None
    """None: the one of ``[probe]``."""


def mss_limit(inner: Address, outer: Address, path_mtu: int = ETHERNET_MTU) -> int:
    """The largest MSS whose full-size segments fit ``path_mtu`` bytes once they are encapsulated.

    What is left of the path MTU after the outer header must hold the inner IP header, the TCP header and the
    segment. At 1500 bytes::

        IPv4 in IPv4   1500 - 20 - 20 - 20 = 1440
        IPv6 in IPv6   1500 - 40 - 40 - 20 = 1400
        IPv6 in IPv4   1500 - 20 - 40 - 20 = 1420
        IPv4 in IPv6   1500 - 40 - 20 - 20 = 1420
    """
    return path_mtu - IP_HEADER[outer.version] - IP_HEADER[inner.version] - TCP_HEADER


def probe_targets(service: Service, *, path_mtu: int = ETHERNET_MTU) -> list[Target]:
    """Every realserver for every TCP virtual service, by the realserver's address of the VIP's family.

    UDP virtual services give none: a SYN says nothing about them.

    Raises:
        InventoryError: A realserver has no address of a VIP's family; names all of them.
    """
    targets: list[Target] = []
    missing: list[str] = []
    for virtual in service.virtual_services:
        if virtual.protocol != "tcp":
            continue
        for realserver in service.realservers:
            address = realserver.address_for(virtual.vip)
            if address is None:
                family = f"IPv{virtual.vip.version}"
                missing.append(
                    f"{realserver.host}: has no {family} address, and {service} has the VIP {virtual.vip}; "
                    f"give it one in hosts.yaml"
                )
            else:
                targets.append(
                    Target(realserver.host, virtual, address, mss_limit(virtual.vip, address, path_mtu))
                )
    if missing:
        raise InventoryError(missing)
    return targets
