"""Packets by scapy: the templates that probes are made from. What arrives is read by ``dissect.py``.

Every field that scapy would otherwise look up, such as a source address, is given: building a packet asks the
machine nothing.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, NamedTuple

from scapy.config import conf

from ferryman import encapsulation
from ferryman.probe.templates import Template

# Else what is imported next asks the kernel for every route, which takes a third of its time.
conf.route_autoload = conf.route6_autoload = False
from scapy.layers.inet import IP, TCP  # noqa: E402
from scapy.layers.inet6 import IPv6  # noqa: E402

if TYPE_CHECKING:
    from ferryman.model import Address

OUR_MSS = {version: encapsulation.mss_for_mtu(version, encapsulation.ETHERNET_MTU) for version in (4, 6)}
"""The MSS of a client on Ethernet, by IP version."""

WINDOW = 64240

NO_REALSERVER: dict[int, Address] = {4: IPv4Address(0), 6: IPv6Address(0)}
"""Stands in a template for the realserver, by IP version."""


class PacketPair(NamedTuple):
    """The two packets that a flow takes: what opens it, and what closes it again."""

    syn: Template
    rst: Template
    """It takes the SYN's way, because what is half open is at one realserver.

    The kernel here resets the unexpected SYN/ACK too, but that RST goes to the VIP's director, which knows no
    such connection.
    """


def packet_pair(source: Address, vip: Address, port: int, outer_source: Address) -> PacketPair:
    """Templates for the flows from one address to one VIP and port, through one outer source."""
    inner, outer = _header(source, vip), _header(outer_source, NO_REALSERVER[outer_source.version])
    syn = TCP(sport=0, dport=port, flags="S", window=WINDOW, options=[("MSS", OUR_MSS[vip.version])])
    rst = TCP(sport=0, dport=port, flags="R", window=0)
    return PacketPair(*(Template(bytes(outer / inner / segment)) for segment in (syn, rst)))


def _header(source: Address, destination: Address) -> IP | IPv6:
    """An IP header; scapy sets its protocol by what it is joined to, the kernel its identification."""
    if isinstance(destination, IPv4Address):
        return IP(src=str(source), dst=str(destination), flags="DF", id=0)
    return IPv6(src=str(source), dst=str(destination))
