"""Segments of our own as scapy reads them, and what is made of those that lie, overlap or come too early."""

from __future__ import annotations

import random
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6

from ferryman.probe.classify import Flow
from ferryman.probe.dissect import Unreadable
from ferryman.probe.exchange.receiving import MOST_PIECES, Reassembly
from ferryman.probe.exchange.segments import ACK, FIN, PSH, SYN, Arrived, Encapsulation, Segment, read
from ferryman.probe.exchange.timer import CEILING_S, FLOOR_S, RetransmissionTimer
from ferryman.probe.exchange.transport import Frame
from unit.probe.exchange.wire import Tcp, tcp_packet

if TYPE_CHECKING:
    from ferryman.model import Address

FLOWS = {
    4: Flow(IPv4Address("10.30.0.2"), 20_001, IPv4Address("10.99.0.1"), 80),
    6: Flow(IPv6Address("fd30::2"), 20_001, IPv6Address("fd99::1"), 80),
}
OUTER: dict[int, tuple[Address, Address]] = {
    4: (IPv4Address("10.30.0.21"), IPv4Address("172.16.1.1")),
    6: (IPv6Address("fd30::21"), IPv6Address("100::1")),
}
ENDS = (IPv4Address("10.99.0.1").packed, IPv4Address("10.30.0.2").packed)


def frame(packet: bytes, segment_bytes: int = 0, *, is_checked: bool = False) -> Frame:
    return Frame(packet, 0, segment_bytes, is_checked)


def from_vip(payload: bytes = b"hello", flags: int = ACK, mss: int | None = None) -> bytes:
    return tcp_packet(*ENDS, Tcp(80, 20_001, 7, 9, flags, 512, mss, payload))


@pytest.mark.parametrize("inner", [4, 6])
@pytest.mark.parametrize("outer", [4, 6])
@pytest.mark.parametrize("payload", [b"", b"odd", b"even", bytes(1400)])
def test_a_packet_is_what_scapy_would_build(inner: int, outer: int, payload: bytes) -> None:
    encapsulation = Encapsulation(FLOWS[inner], *OUTER[outer])
    packet = encapsulation.packet(Segment(ACK | PSH, 2**32 - 1, 77, 14_600, payload))
    parsed = (IP if outer == 4 else IPv6)(packet)
    assert (parsed.src, parsed.dst) == (str(OUTER[outer][1]), str(OUTER[outer][0]))
    tcp = parsed[TCP]
    assert (tcp.seq, tcp.ack, tcp.flags, tcp.window, bytes(tcp.payload)) == (
        2**32 - 1,
        77,
        "PA",
        14_600,
        payload,
    )
    assert len(packet) == encapsulation.headers + len(payload)
    for layer in (parsed, parsed.payload):
        for name in ("chksum", "len", "plen"):
            if name in layer.fields:
                delattr(layer, name)
    del tcp.chksum
    assert bytes(parsed) == packet


def test_a_syn_carries_the_mss() -> None:
    packet = Encapsulation(FLOWS[4], *OUTER[4]).packet(Segment(SYN, 1, 0, 14_600, mss=1460))
    assert IP(packet)[TCP].options == [("MSS", 1460)]


def test_what_arrives_is_read_with_its_flow() -> None:
    arrived = read(frame(from_vip()))
    assert arrived == Arrived(FLOWS[4], Segment(ACK, 7, 9, 512, b"hello", None, 5))


def test_segments_that_the_kernel_has_joined_count_with_their_own_size() -> None:
    arrived = read(frame(from_vip(bytes(5000)), 1448))
    assert isinstance(arrived, Arrived)
    assert (len(arrived.segment.payload), arrived.segment.largest) == (5000, 1448)


def test_a_wrong_checksum_is_no_segment_unless_the_kernel_vouches_for_it() -> None:
    damaged = bytearray(from_vip())
    damaged[-1] ^= 1
    assert read(frame(bytes(damaged))) == Unreadable("a wrong TCP checksum")
    assert isinstance(read(frame(bytes(damaged), is_checked=True)), Arrived)


@pytest.mark.parametrize(
    ("at", "value", "why"),
    [
        (3, 200, "a packet that is shorter than it says"),
        (0, 0x4F, "an IP header whose lengths contradict each other"),
        (32, 0xF0, "a TCP header whose length contradicts the packet's"),
        (32, 0x40, "a TCP header whose length contradicts the packet's"),
    ],
)
def test_lengths_that_lie_are_found_before_anything_behind_them_is_read(
    at: int, value: int, why: str
) -> None:
    packet = bytearray(from_vip())
    packet[at] = value
    assert read(frame(bytes(packet), is_checked=True)) == Unreadable(why)


def test_options_that_lie_make_no_syn_ack() -> None:
    packet = bytearray(from_vip(b"", SYN | ACK, 1440))
    packet[41] = 200
    assert read(frame(bytes(packet), is_checked=True)) == Unreadable(
        "TCP options whose lengths contradict the header's"
    )


def test_what_is_cut_off_anywhere_never_raises() -> None:
    whole = from_vip(b"", SYN | ACK, 1440)
    for length in range(len(whole)):
        assert not isinstance(read(frame(whole[:length])), Arrived)


def test_padding_behind_the_packet_is_no_payload() -> None:
    arrived = read(frame(from_vip(b"") + bytes(6)))
    assert isinstance(arrived, Arrived)
    assert arrived.segment.payload == b""


def test_any_order_of_overlapping_pieces_gives_the_stream() -> None:
    stream = bytes(range(256)) * 8
    for seed in range(50):
        chance = random.Random(seed)
        received = Reassembly(4096)
        got = b""
        while not received.is_whole:
            begin = chance.randrange(len(stream))
            end = begin + chance.randrange(1, 300)
            received.accept(begin, stream[begin:end], fin=end >= len(stream))
            got += received.taken()
            assert all(
                before + len(piece) <= after
                for (before, piece), (after, _) in zip(received.ahead, received.ahead[1:], strict=False)
            )
        assert got == stream


def test_what_came_first_for_a_byte_stays() -> None:
    received = Reassembly(100)
    received.accept(2, b"CD")
    received.accept(0, b"abcdef")
    assert received.taken() == b"abCDef"


def test_only_so_many_pieces_are_kept_and_none_behind_the_window_or_the_end() -> None:
    received = Reassembly(1000)
    for offset in range(2, 2000, 2):
        received.accept(offset, b"x")
    assert len(received.ahead) == MOST_PIECES
    received = Reassembly(1000)
    received.accept(990, bytes(100))
    assert received.ahead == [(990, bytes(10))]
    received = Reassembly(1000)
    received.accept(5, b"", fin=True)
    received.accept(0, b"0123456789")
    assert (received.taken(), received.is_whole) == (b"01234", True)


def test_a_second_end_or_one_before_what_has_come_is_not_believed() -> None:
    received = Reassembly(1000)
    received.accept(10, b"later")
    received.accept(3, b"", fin=True)
    assert received.end is None
    received.accept(15, b"", fin=True)
    received.accept(400, b"", fin=True)
    assert received.end == 15


def test_the_timer_follows_the_round_trips_and_doubles_without_an_answer() -> None:
    timer = RetransmissionTimer(0.5)
    assert timer.after_s == 0.5
    timer.measured(0.1)
    assert timer.after_s == pytest.approx(0.3)  # RFC 6298, 2.2: R + 4 * R / 2
    timer.measured(0.1)
    assert timer.after_s == pytest.approx(0.25)
    timer.expired()
    assert timer.after_s == pytest.approx(0.5)
    for _ in range(20):
        timer.expired()
    assert timer.after_s == CEILING_S
    timer.progressed()
    timer.measured(0.0)
    for _ in range(50):
        timer.measured(0.0)
    assert timer.after_s == FLOOR_S


def test_a_fin_flag_is_read() -> None:
    arrived = read(frame(from_vip(b"", FIN | ACK)))
    assert isinstance(arrived, Arrived)
    assert arrived.segment.flags == FIN | ACK
