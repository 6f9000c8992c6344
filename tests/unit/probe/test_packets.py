"""What leaves: packets that scapy itself reads back, with checksums that are right."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6

from ferryman.probe.answers import Flow, Syn
from ferryman.probe.packets import encapsulated_rst, encapsulated_syn

if TYPE_CHECKING:
    from collections.abc import Callable

    from scapy.packet import Packet

FLOW = Flow(IPv4Address("10.30.0.2"), 40000, IPv4Address("10.99.0.1"), 80)
FLOW6 = Flow(IPv6Address("fd30::2"), 40000, IPv6Address("fd99::1"), 80)
SYN = Syn(0, 0, FLOW, 2**32 - 1, IPv4Address("10.10.0.21"), IPv4Address("172.16.1.1"), 1440)
SYN6 = Syn(0, 0, FLOW6, 7, IPv6Address("fd10::21"), IPv6Address("100::1"), 1400)


def rebuilt(packet: Packet) -> bytes:
    """The same packet with every checksum and length worked out anew."""
    fresh = packet.copy()
    for layer in (IP, TCP):
        for number in range(1, 3):
            if found := fresh.getlayer(layer, number):
                found.chksum = None
    return bytes(fresh)


@pytest.mark.parametrize("build", [encapsulated_syn, encapsulated_rst])
def test_the_checksums_of_both_headers_and_of_tcp_are_right(build: Callable[[Syn], bytes]) -> None:
    for syn, header in ((SYN, IP), (SYN6, IPv6)):
        sent = build(syn)
        assert rebuilt(header(sent)) == sent


def test_an_ipv4_syn_travels_in_ipv4_with_protocol_4() -> None:
    outer = IP(encapsulated_syn(SYN))
    assert (outer.src, outer.dst, outer.proto) == ("172.16.1.1", "10.10.0.21", 4)
    inner = outer.payload
    assert (inner.src, inner.dst, inner.proto) == ("10.30.0.2", "10.99.0.1", 6)


def test_an_ipv6_syn_travels_in_ipv6_with_next_header_41() -> None:
    outer = IPv6(encapsulated_syn(SYN6))
    assert (outer.src, outer.dst, outer.nh) == ("100::1", "fd10::21", 41)
    inner = outer.payload
    assert (inner.src, inner.dst, inner.nh) == ("fd30::2", "fd99::1", 6)


def test_the_syn_has_its_numbers_and_the_mss_of_a_client_on_ethernet() -> None:
    for packet, mss in ((IP(encapsulated_syn(SYN)), 1460), (IPv6(encapsulated_syn(SYN6)), 1440)):
        segment = packet[TCP]
        assert (segment.sport, segment.dport, str(segment.flags)) == (40000, 80, "S")
        assert segment.options == [("MSS", mss)]
    assert IP(encapsulated_syn(SYN))[TCP].seq == 2**32 - 1


def test_the_rst_takes_the_same_way_with_the_number_that_the_realserver_waits_for() -> None:
    outer = IP(encapsulated_rst(SYN))
    assert (outer.src, outer.dst, outer.payload.dst) == ("172.16.1.1", "10.10.0.21", "10.99.0.1")
    assert (str(outer[TCP].flags), outer[TCP].seq) == ("R", 0)  # one beyond the last number is 0
