"""Filter programs, run by the kernel over packets between two sockets of this process."""

from __future__ import annotations

import socket
from contextlib import closing
from ipaddress import IPv4Address, IPv6Address
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6DestUnreach, IPv6

from ferryman.probe.filters import answers_only, attach, ranges

if TYPE_CHECKING:
    from scapy.packet import Packet

FOUR = IP(src=str(IPv4Address("10.99.0.1")), dst="10.30.0.2")
SIX = IPv6(src=str(IPv6Address("fd99::1")), dst="fd30::2")
PORTS = (40000, 40001, 40002, 50000)


def taken(version: int, *packets: Packet, ports: tuple[int, ...] = PORTS) -> list[bool]:
    """Whether a socket with the filter receives each."""
    sender, receiver = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with closing(sender), closing(receiver):
        receiver.setblocking(False)
        attach(receiver, answers_only(version, ports))
        return [passes(sender, receiver, bytes(packet)) for packet in packets]


def passes(sender: socket.socket, receiver: socket.socket, packet: bytes) -> bool:
    sender.send(packet)
    try:
        return receiver.recv(2048) == packet
    except BlockingIOError:
        return False


@pytest.mark.parametrize(
    ("version", "header"), [(4, FOUR), (6, SIX), (4, IP(options=[b"\x07\x07\x04" + bytes(4)]))]
)
def test_tcp_passes_to_the_reserved_ports_alone(version: int, header: Packet) -> None:
    packets = [header / TCP(dport=port) for port in (39999, 40000, 40002, 40003, 50000, 50001)]
    assert taken(version, *packets) == [False, True, True, False, True, False]


def test_icmp_passes_and_nothing_else() -> None:
    assert taken(4, FOUR / ICMP(), FOUR / UDP(dport=40000)) == [True, False]
    assert taken(6, SIX / ICMPv6DestUnreach(), SIX / UDP(dport=40000)) == [True, False]


def test_the_first_and_the_last_port_can_be_matched() -> None:
    ends = [FOUR / TCP(dport=port) for port in (1, 2, 65534, 65535)]
    assert taken(4, *ends, ports=(1, 65535)) == [True, False, False, True]


def test_a_run_of_ports_costs_as_much_as_a_single_one() -> None:
    assert len(answers_only(4, range(40000, 40256))) == len(answers_only(4, [40000]))


@given(st.sets(st.integers(1, 65535), max_size=50))
def test_ranges_hold_all_ports_and_no_others_and_do_not_touch(ports: set[int]) -> None:
    found = ranges(ports)
    assert {port for low, high in found for port in range(low, high + 1)} == ports
    assert all(high + 1 < low for (_, high), (low, _) in pairwise(found))
