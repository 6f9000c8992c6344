"""Header sizes, protocol numbers and what fits a tunnel: the one home of this arithmetic.

All sizes are in bytes. An encapsulated packet is an inner IP packet behind an outer IP header (RFC 2003, RFC
2473), so what is left of the path's MTU after that header must hold the whole inner packet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address

ETHERNET_MTU = 1500

IPV4_HEADER, IPV6_HEADER = 20, 40
IP_HEADER = {4: IPV4_HEADER, 6: IPV6_HEADER}
"""An IP header without options, by IP version (RFC 791, RFC 8200)."""
TCP_HEADER = 20
"""A TCP header without options; timestamps take from the payload, not from the MSS (RFC 6691)."""
UDP_HEADER = 8
"""A UDP header (RFC 768)."""
IPV6_MIN_MTU = 1280
"""What every link must take that carries IPv6 (RFC 8200)."""
ICMP_HEADER = 8
"""What stands before the quoted packet in an error of ICMP (RFC 792) and of ICMPv6 (RFC 4443)."""

IPIP, IP6IP6 = 4, 41
"""The protocol numbers of an encapsulated IPv4 and IPv6 packet (RFC 2003, RFC 2473)."""
ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58
"""Further IP protocol numbers (IANA's assigned internet protocol numbers)."""
TUNNEL_PROTOCOL = {4: IPIP, 6: IP6IP6}
"""The protocol number in the outer header where outer and inner packet are of the same IP version."""

DEFAULT_MSS = {4: 536, 6: 1220}
"""What a peer assumes when the SYN/ACK has no MSS option, by IP version (RFC 9293, 3.7.1)."""


def max_inner_packet(outer: int, path_mtu: int = ETHERNET_MTU) -> int:
    """The largest inner packet that fits ``path_mtu`` bytes behind an outer header of this IP version."""
    return path_mtu - IP_HEADER[outer]


def mss_for_mtu(version: int, mtu: int) -> int:
    """The MSS of a host whose device takes packets of ``mtu`` bytes, for this IP version (RFC 6691)."""
    return mtu - IP_HEADER[version] - TCP_HEADER


def udp_payload(version: int, mtu: int) -> int:
    """The largest UDP payload that fits ``mtu`` bytes without fragments, for this IP version."""
    return mtu - IP_HEADER[version] - UDP_HEADER


def mss_limit(
    inner: IPv4Address | IPv6Address, outer: IPv4Address | IPv6Address, path_mtu: int = ETHERNET_MTU
) -> int:
    """The largest MSS whose full-size segments fit ``path_mtu`` bytes once they are encapsulated.

    What is left of the path MTU after the outer header must hold the inner IP header, the TCP header and the
    segment. At 1500 bytes::

        IPv4 in IPv4   1500 - 20 - 20 - 20 = 1440
        IPv6 in IPv6   1500 - 40 - 40 - 20 = 1400
        IPv6 in IPv4   1500 - 20 - 40 - 20 = 1420
        IPv4 in IPv6   1500 - 40 - 20 - 20 = 1420
    """
    return mss_for_mtu(inner.version, max_inner_packet(outer.version, path_mtu))
