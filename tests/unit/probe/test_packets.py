"""What leaves: packets that scapy itself reads back, with checksums that are right."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6

from ferryman.probe.packets import packet_pair

if TYPE_CHECKING:
    from scapy.packet import Packet

    from ferryman.model import Address
    from ferryman.probe.packets import PacketPair

US, VIP, SOURCE = IPv4Address("10.30.0.2"), IPv4Address("10.99.0.1"), IPv4Address("172.16.1.1")
US6, VIP6, SOURCE6 = IPv6Address("fd30::2"), IPv6Address("fd99::1"), IPv6Address("100::1")
REALSERVER, REALSERVER6 = IPv4Address("10.10.0.21"), IPv6Address("fd10::21")

IN_FOUR, IN_SIX = packet_pair(US, VIP, 80, SOURCE), packet_pair(US6, VIP6, 80, SOURCE6)
SIX_IN_FOUR, FOUR_IN_SIX = packet_pair(US6, VIP6, 80, SOURCE), packet_pair(US, VIP, 80, SOURCE6)
EVERY_KIND = [(IN_FOUR, 4), (IN_SIX, 6), (SIX_IN_FOUR, 4), (FOUR_IN_SIX, 6)]

addresses: dict[int, st.SearchStrategy[Address]] = {
    4: st.integers(0, 2**32 - 1).map(IPv4Address),
    6: st.integers(0, 2**128 - 1).map(IPv6Address),
}


def syn_in_four() -> IP:
    return IP(bytes(IN_FOUR.syn.filled(REALSERVER.packed, 40000, 2**32 - 1)))


def syn_in_six() -> IPv6:
    return IPv6(bytes(IN_SIX.syn.filled(REALSERVER6.packed, 40000, 7)))


def rebuilt(packet: Packet) -> bytes:
    """The same packet with every checksum and length worked out anew."""
    fresh = packet.copy()
    for layer in (IP, TCP):
        for number in range(1, 3):
            if found := fresh.getlayer(layer, number):
                found.chksum = None
    return bytes(fresh)


@given(st.data(), st.sampled_from(EVERY_KIND), st.integers(0, 2**16 - 1), st.integers(0, 2**32 - 1))
def test_whatever_is_filled_in_every_checksum_is_the_one_that_scapy_works_out(
    data: st.DataObject, kind: tuple[PacketPair, int], port: int, number: int
) -> None:
    templates, version = kind
    realserver = data.draw(addresses[version])
    for template in templates:
        sent = bytes(template.filled(realserver.packed, port, number))
        read = (IP if version == 4 else IPv6)(sent)
        assert rebuilt(read) == sent
        assert (ip_address(read.dst), read[TCP].sport, read[TCP].seq) == (realserver, port, number)


def test_filling_a_template_leaves_it_as_it_was() -> None:
    IN_FOUR.syn.filled(IPv4Address("10.10.0.99").packed, 1, 1)
    assert syn_in_four().dst == str(REALSERVER)


def test_an_ipv4_syn_travels_in_ipv4_with_protocol_4() -> None:
    outer = syn_in_four()
    assert (outer.src, outer.dst, outer.proto) == ("172.16.1.1", "10.10.0.21", 4)
    inner = outer.payload
    assert (inner.src, inner.dst, inner.proto) == ("10.30.0.2", "10.99.0.1", 6)


def test_an_ipv6_syn_travels_in_ipv6_with_next_header_41() -> None:
    outer = syn_in_six()
    assert (outer.src, outer.dst, outer.nh) == ("100::1", "fd10::21", 41)
    inner = outer.payload
    assert (inner.src, inner.dst, inner.nh) == ("fd30::2", "fd99::1", 6)


def test_an_ipv6_syn_travels_in_ipv4_with_protocol_41_and_the_other_way_round_with_4() -> None:
    six = IP(bytes(SIX_IN_FOUR.syn.filled(REALSERVER.packed, 40000, 7)))
    assert (six.proto, six.payload.dst) == (41, "fd99::1")
    four = IPv6(bytes(FOUR_IN_SIX.syn.filled(REALSERVER6.packed, 40000, 7)))
    assert (four.nh, four.payload.dst) == (4, "10.99.0.1")


def test_the_syn_has_its_numbers_and_the_mss_of_a_client_on_ethernet() -> None:
    for packet, mss in ((syn_in_four(), 1460), (syn_in_six(), 1440)):
        segment = packet[TCP]
        assert (segment.sport, segment.dport, str(segment.flags)) == (40000, 80, "S")
        assert segment.options == [("MSS", mss)]
    assert syn_in_four()[TCP].seq == 2**32 - 1


def test_the_rst_takes_the_same_way() -> None:
    outer = IP(bytes(IN_FOUR.rst.filled(REALSERVER.packed, 40000, 0)))
    assert (outer.src, outer.dst, outer.payload.dst) == ("172.16.1.1", "10.10.0.21", "10.99.0.1")
    assert (str(outer[TCP].flags), outer[TCP].seq) == ("R", 0)
