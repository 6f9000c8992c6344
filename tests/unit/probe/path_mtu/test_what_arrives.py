"""What arrives is read by hand: damaged, cut off or lying, it is no answer, and it raises nothing."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoReply, ICMPv6PacketTooBig, IPv6, IPv6ExtHdrFragment
from scapy.packet import Raw

from ferryman.probe.path_mtu.answers import Error, Reply, piece_of, read

US, THEM, ROUTER = "10.30.0.2", "10.10.0.21", "10.30.0.1"
SENT = bytes(
    IP(src=US, dst=THEM, flags="DF") / TCP(sport=40000, dport=443, seq=7, flags="S") / Raw(bytes(900))
)
TOO_BIG = bytes(IP(src=ROUTER, dst=US) / ICMP(type=3, code=4, nexthopmtu=1460) / Raw(SENT[:28]))
SENT6 = bytes(IPv6(src="fd30::2", dst="fd10::21") / UDP(sport=40000, dport=33434) / Raw(bytes(900)))
TOO_BIG6 = bytes(IPv6(src="fd30::1", dst="fd30::2") / ICMPv6PacketTooBig(mtu=1400) / Raw(SENT6))


def test_an_error_names_the_size_that_fits_who_says_so_and_the_packet() -> None:
    error = read(TOO_BIG)
    assert isinstance(error, Error)
    assert (error.is_too_big, error.mtu, error.reporter) == (True, 1460, IPv4Address(ROUTER))
    assert (error.source, error.destination) == (IPv4Address(US), IPv4Address(THEM))
    assert (error.protocol, error.quote) == (6, SENT[20:28])
    assert not error.is_from_the_host
    six = read(TOO_BIG6)
    assert isinstance(six, Error)
    assert (six.is_too_big, six.mtu, six.quote) == (True, 1400, SENT6[40:48])


def test_a_host_s_own_error_is_an_answer_and_a_router_s_is_none() -> None:
    for reporter, is_answer in ((THEM, True), (ROUTER, False)):
        error = read(bytes(IP(src=reporter, dst=US) / ICMP(type=3, code=3) / Raw(SENT[:28])))
        assert isinstance(error, Error)
        assert error.is_from_the_host is is_answer


def test_the_first_fragment_of_an_echo_reply_is_an_answer_and_the_later_ones_are_none() -> None:
    reply = ICMPv6EchoReply(id=1, seq=2, data=bytes(600))
    whole = bytes(IPv6(src="fd10::21", dst="fd30::2") / reply)
    first = IPv6(src="fd10::21", dst="fd30::2") / IPv6ExtHdrFragment(nh=58, m=1, id=9) / Raw(whole[40:400])
    later = (
        IPv6(src="fd10::21", dst="fd30::2") / IPv6ExtHdrFragment(nh=58, offset=45, id=9) / Raw(whole[400:])
    )
    assert read(bytes(first)) == Reply(ip_address("fd10::21"), 58, b"\0\1\0\2", "echo reply")
    assert read(bytes(later)) is None
    assert read(whole) == read(bytes(first))


def test_what_does_not_fit_the_buffer_counts_by_its_beginning() -> None:
    reply = bytes(IP(src=THEM, dst=US) / ICMP(type=0, id=1, seq=2) / Raw(bytes(8000)))
    assert read(reply[:2048]) == Reply(IPv4Address(THEM), 1, b"\0\1\0\2", "echo reply")


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"\x45",
        TOO_BIG[:19],
        TOO_BIG[:27],
        TOO_BIG[:40],
        TOO_BIG[:55],
        TOO_BIG6[:39],
        b"\x40" + TOO_BIG[1:],
        b"\x4f" + TOO_BIG[1:],
        b"\x95" + TOO_BIG[1:],
        bytes(IP(src=ROUTER, dst=US) / ICMP(type=3, code=4) / Raw(SENT6[:48])),
        bytes(IP(src=ROUTER, dst=US) / ICMP(type=8, id=1, seq=2)),
        bytes(IP(src=ROUTER, dst=US, frag=5) / Raw(TOO_BIG[20:])),
        bytes(IP(src=THEM, dst=US) / TCP(sport=443, dport=40000))[:39],
        bytes(IP(src=THEM, dst=US, proto=47) / Raw(bytes(40))),
        bytes(IPv6(src="fd10::21", dst="fd30::2", nh=44) / Raw(b"\x3a\0\0")),
    ],
    ids=lambda packet: packet[:3].hex() + f"-{len(packet)}",
)
def test_what_is_not_whole_or_contradicts_itself_is_nothing(packet: bytes) -> None:
    assert read(packet) is None


@given(st.binary(max_size=120))
def test_any_bytes_are_read_without_an_error(packet: bytes) -> None:
    for version in (b"\x45", b"\x60", b""):
        read(version + packet)
        piece_of(version + packet)


@given(st.integers(0, len(TOO_BIG) - 1), st.integers(0, 255), st.sampled_from([TOO_BIG, TOO_BIG6]))
def test_one_wrong_byte_raises_nothing(place: int, value: int, packet: bytes) -> None:
    read(packet[:place] + bytes([value]) + packet[place + 1 :])
