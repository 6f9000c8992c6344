"""Packets that are not whole, or lie: none of them is an answer, none ends the probe, and each is counted."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP
from scapy.packet import Raw

from ferryman.model import ProbeVerdict
from ferryman.probe.classify import Flow, IcmpError, Syn, SynIndex, TcpAnswer, classify
from ferryman.probe.dissect import Unreadable, dissect
from ferryman.probe.fast_path import fast_judgement
from unit.probe.network import asked, probed, ready

US, VIP, REALSERVER, SOURCE = (
    IPv4Address(address) for address in ("10.30.0.2", "10.99.0.1", "10.10.0.21", "172.16.1.1")
)
US6, VIP6 = IPv6Address("fd30::2"), IPv6Address("fd99::1")
FLOW = Flow(US, 40000, VIP, 80)
OUT = Syn(0, FLOW, 1000, REALSERVER, SOURCE, 1440)
INDEX = SynIndex([OUT])
SYN_ACK, RST_ACK = 0x12, 0x14


def tcp(options: bytes = b"", *, words: int | None = None, flags: int = SYN_ACK) -> bytes:
    """A TCP header with these bytes of options, whatever they are, that acknowledges ``OUT``."""
    length = words if words is not None else 5 + len(options) // 4
    return struct.pack("!HHIIBBHHH", 80, 40000, 7, 1001, length << 4, flags, 64000, 0, 0) + options


def ip4(payload: bytes, *, protocol: int = 6, first: int = 0x45, length: int | None = None) -> bytes:
    total = 20 + len(payload) if length is None else length
    fields = (first, 0, total, 1, 0x4000, 64, protocol, 0, VIP.packed, US.packed)
    return struct.pack("!BBHHHBBH4s4s", *fields) + payload


def ip6(payload: bytes, *, following: int = 6, length: int | None = None) -> bytes:
    length = len(payload) if length is None else length
    return struct.pack("!IHBB16s16s", 6 << 28, length, following, 64, VIP6.packed, US6.packed) + payload


MSS = bytes.fromhex("020405a0")
FORGED = bytes.fromhex("1d03")
"""An option of RFC 5925 that says it is three bytes long, as none is, and is cut off after two."""
UNREADABLE = {
    "a forged option at the end": ip4(tcp(b"\1\1" + FORGED)),
    "an option of length 0": ip4(tcp(bytes.fromhex("03000101"))),
    "an option of length 1": ip4(tcp(bytes.fromhex("03010101"))),
    "an option that is longer than the header": ip4(tcp(bytes.fromhex("03ff0101"))),
    "an option without a length": ip4(tcp(bytes.fromhex("01010103"))),
    "an MSS that is cut off": ip4(tcp(bytes.fromhex("01010204"))),
    "a data offset below 5": ip4(tcp(MSS, words=4)),
    "a data offset of 0": ip4(tcp(MSS, words=0)),
    "a data offset over the end": ip4(tcp(MSS, words=15)),
    "half of a TCP header": ip4(tcp()[:10]),
    "no TCP header": ip4(b""),
    "an IP header of 4 words": ip4(tcp(MSS), first=0x44),
    "an IP header of 0 words": ip4(tcp(MSS), first=0x40),
    "an IP header over the end": ip4(tcp(MSS), first=0x4F)[:40],
    "a total length below the header": ip4(tcp(MSS), length=19),
    "a total length of 0": ip4(tcp(MSS), length=0),
    "a total length over the end": ip4(tcp(MSS), length=45),
    "a total length within the TCP header": ip4(tcp(MSS), length=43),
    "half of an IPv4 header": ip4(b"")[:19],
    "half of an IPv6 header": ip6(b"")[:39],
    "an IPv6 payload length over the end": ip6(tcp(MSS), length=25),
    "an IPv6 payload length of 0, as of a jumbogram": ip6(tcp(MSS), length=0),
    "an IPv6 payload length within the TCP header": ip6(tcp(MSS), length=20),
    "nothing": b"",
    "a VLAN tag": bytes.fromhex("81000064") + ip4(tcp(MSS)),
    "another IP version": bytes([0x95]) + ip4(tcp(MSS))[1:],
    "an ICMP error of 4 bytes": ip4(bytes([3, 3, 0, 0]), protocol=1),
    "an ICMP error that quotes nothing": ip4(bytes([3, 3, 0, 0, 0, 0, 0, 0]), protocol=1),
    "a quote that is half an IP header": ip4(bytes([3, 3]) + bytes(6) + ip4(b"")[:12], protocol=1),
    "a quote whose IP header has 4 words": ip4(
        bytes([3, 3]) + bytes(6) + ip4(tcp(MSS), first=0x44), protocol=1
    ),
    "a quoted IPv6 packet in what says IPv4": ip4(
        bytes([3, 3]) + bytes(6) + ip4(ip6(tcp(MSS)), protocol=4), protocol=1
    ),
}
NO_ANSWER = {
    "IPv6 with a hop-by-hop header": ip6(bytes.fromhex("0600000000000000") + tcp(MSS), following=0),
    "IPv6 with a header chain that loops": ip6(bytes.fromhex("3c00000000000000") * 9, following=60),
    "IPv6 with a fragment header": ip6(bytes.fromhex("0600000100000000") + tcp(MSS), following=44),
    "ICMP in IPv6": ip6(bytes([3, 3]) + bytes(6) + ip4(tcp(MSS)), following=1),
    "ICMPv6 in IPv4": ip4(bytes([1, 4]) + bytes(6) + ip4(tcp(MSS)), protocol=58),
    "UDP": ip4(bytes(8), protocol=17),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_is_not_whole_or_lies_is_unreadable(name: str) -> None:
    assert isinstance(dissect(UNREADABLE[name]), Unreadable)
    assert fast_judgement(UNREADABLE[name], INDEX) is None


@pytest.mark.parametrize("name", NO_ANSWER)
def test_what_is_neither_tcp_nor_an_icmp_error_is_no_answer(name: str) -> None:
    assert dissect(NO_ANSWER[name]) is None
    assert fast_judgement(NO_ANSWER[name], INDEX) is None


@pytest.mark.parametrize(
    ("options", "mss"),
    [
        (b"", None),
        (MSS, 1440),
        (bytes.fromhex("01010101") + MSS, 1440),
        (bytes.fromhex("1d040102020405a0"), 1440),
        (bytes.fromhex("1d030000"), None),
        (bytes.fromhex("1d0300") + MSS + b"\0", 1440),
        (bytes.fromhex("0000") + FORGED, None),
        (MSS + FORGED + b"\0\0", 1440),
    ],
    ids=[
        "none",
        "plain",
        "behind no-ops",
        "behind one that is unknown",
        "one of an odd length",
        "behind one of an odd length",
        "behind the end",
        "before a lie",
    ],
)
def test_options_are_read_as_far_as_the_mss(options: bytes, mss: int | None) -> None:
    assert dissect(ip4(tcp(options))) == TcpAnswer(FLOW, frozenset({"SYN", "ACK"}), 1001, mss)


def test_padding_behind_the_total_length_is_not_read() -> None:
    assert dissect(ip4(tcp(flags=RST_ACK), length=40) + b"\x1d\x03" * 6) == dissect(ip4(tcp(flags=RST_ACK)))


@given(st.binary(max_size=80), st.sampled_from([b"\x45", b"\x46", b"\x4f", b"\x60", b"\x40", b""]))
def test_no_bytes_raise(packet: bytes, first: bytes) -> None:
    dissect(first + packet)
    fast_judgement(first + packet, INDEX)


@given(st.binary(max_size=40), st.sampled_from([SYN_ACK, RST_ACK]), st.integers(0, 15), st.booleans())
def test_both_ways_of_reading_agree_on_any_options(options: bytes, flags: int, words: int, fit: bool) -> None:
    packet = ip4(tcp(options, flags=flags, words=5 + len(options) // 4 if fit else words))
    fast, read = fast_judgement(packet, INDEX), dissect(packet)
    if fast is not None:
        assert isinstance(read, TcpAnswer)
        assert [fast] == classify(read, INDEX)


def test_a_forged_answer_ends_no_probe_and_is_told_of() -> None:
    def forged(syn: IP) -> list[tuple[float, bytes]]:
        inner, segment = syn.payload, syn.payload.payload
        header = tcp(b"\1\1" + FORGED)
        ports = struct.pack("!HH", segment.dport, segment.sport)
        answered = ports + header[4:8] + struct.pack("!I", (segment.seq + 1) % 2**32) + header[12:]
        packet = bytes(IP(src=inner.dst, dst=inner.src, proto=6) / Raw(answered))
        return [(0.001, packet)]

    [result], _ = probed(*asked(forged))

    assert result.verdict is ProbeVerdict.SILENT
    assert "3 with TCP options whose lengths contradict the header's: see who sends them" in result.detail


def test_a_true_answer_among_forged_ones_counts() -> None:
    def both(syn: IP) -> list[tuple[float, bytes]]:
        return [(0.0005, UNREADABLE["a forged option at the end"]), *ready(syn)]

    [result], _ = probed(*asked(both))

    assert result.verdict is ProbeVerdict.ACCEPTED


def test_an_icmp_error_without_the_sequence_number_of_the_syn_is_no_verdict() -> None:
    """Whoever knows the addresses can send it: a run must not be rolled back for that."""
    outer = IP(src=str(SOURCE), dst=str(REALSERVER), proto=4)
    short = bytes(IP(src=str(REALSERVER), dst=str(US)) / ICMP(type=3, code=2) / Raw(bytes(outer) + bytes(8)))
    whole = IP(src=str(US), dst=str(VIP)) / TCP(sport=40000, dport=80, seq=999)
    wrong = bytes(IP(src=str(REALSERVER), dst=str(US)) / ICMP(type=3, code=2) / Raw(bytes(outer / whole)))

    for packet in (short, wrong):
        found = dissect(packet)
        assert isinstance(found, IcmpError)
        assert [each.verdict for each in classify(found, INDEX)] in ([], [None])
