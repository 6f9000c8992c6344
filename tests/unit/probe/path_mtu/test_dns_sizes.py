"""DNS answers are told by the packets that they come in: whole, cut off, in fragments, or some of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest
from scapy.layers.dns import DNS
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment
from scapy.packet import Raw

from ferryman.errors import UsageError
from ferryman.probe.path_mtu import DnsQuestion, DnsVerdict, ask_dns
from ferryman.probe.path_mtu.dns import KINDS, padded_query, query
from unit.probe.path_mtu.path import Path, quoted
from unit.probe.path_mtu.path import fragments as in_fragments

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scapy.packet import Packet

    from ferryman.probe.path_mtu import DnsResult

SERVER = {4: ip_address("10.10.0.53"), 6: ip_address("fd10::53")}


@dataclass
class Server(Path):
    """A path to a DNS server whose answer is a function of the question's packet."""

    reply: Callable[[Packet, bytes], Sequence[Packet]] = field(default=lambda sent, question: [])
    tries: int = 0

    def _answers(self, sent: Packet) -> list[Packet]:
        return list(self.reply(sent, bytes(sent[UDP].payload)))


def message(question: bytes, size: int, *, flags: int = 0x8180) -> bytes:
    """An answer of this size: the question again, and nothing that means anything."""
    head = question[:2] + flags.to_bytes(2, "big") + question[4:-11]
    return head + bytes(max(0, size - len(head)))


def datagram(sent: Packet, answer: bytes, **changed: int) -> Packet:
    ports = {"sport": 53, "dport": sent[UDP].sport} | changed
    back = IP(src=sent.dst, dst=sent.src, id=77) if sent.version == 4 else IPv6(src=sent.dst, dst=sent.src)
    return back / UDP(**ports) / Raw(answer)


def fragments(packet: Packet) -> list[Packet]:
    """As a host with an MTU of 1280 makes them."""
    if packet.version == 4:
        return in_fragments(IP(bytes(packet)), 1256)
    whole = bytes(IPv6(bytes(packet)).payload)
    parts = [whole[at : at + 1232] for at in range(0, len(whole), 1232)]
    return [
        IPv6(src=packet.src, dst=packet.dst, nh=44)
        / IPv6ExtHdrFragment(nh=17, offset=number * 1232 // 8, m=number + 1 < len(parts), id=5)
        / Raw(part)
        for number, part in enumerate(parts)
    ]


def asked(server: Server, version: int = 4, kind: str = "TXT") -> DnsResult:
    (result,) = ask_dns([DnsQuestion("dns1", SERVER[version], "example.org", kind)], transport=server)
    assert server.closed
    return result


both = pytest.mark.parametrize("version", [4, 6])


@both
def test_an_answer_in_one_packet_is_whole_with_its_size(version: int) -> None:
    server = Server(reply=lambda sent, question: [datagram(sent, message(question, 900))])
    result = asked(server, version)
    assert (result.verdict, result.size, result.truncated, result.code) == (DnsVerdict.WHOLE, 900, False, 0)


def test_one_that_is_cut_off_and_has_a_code_says_so() -> None:
    server = Server(reply=lambda sent, question: [datagram(sent, message(question, 40, flags=0x8383))])
    result = asked(server)
    assert (result.verdict, result.truncated, result.code) == (DnsVerdict.WHOLE, True, 3)


@both
@pytest.mark.parametrize("order", [1, -1])
def test_one_in_fragments_is_known_whatever_their_order(version: int, order: int) -> None:
    def reply(sent: Packet, question: bytes) -> list[Packet]:
        return fragments(datagram(sent, message(question, 3000)))[::order]

    result = asked(Server(reply=reply), version)
    assert (result.verdict, result.size) == (DnsVerdict.FRAGMENTED, 3000)
    assert result.fragments == 3


@both
@pytest.mark.parametrize("lost", [0, 1, 2])
def test_one_of_whose_fragments_one_is_lost_is_told(version: int, lost: int) -> None:
    def reply(sent: Packet, question: bytes) -> list[Packet]:
        parts = fragments(datagram(sent, message(question, 3000)))
        return [part for number, part in enumerate(parts) if number != lost]

    result = asked(Server(reply=reply), version)
    assert (result.verdict, result.size, result.fragments) == (DnsVerdict.FRAGMENTS_LOST, None, 2)


def test_a_fragment_of_somebody_else_s_answer_loses_nothing() -> None:
    def reply(sent: Packet, question: bytes) -> list[Packet]:
        if not server.tries:
            server.tries += 1
            return fragments(datagram(sent, message(question, 3000)))[1:2]
        return [datagram(sent, message(question, 900))]

    server = Server(reply=reply)
    assert asked(server).verdict is DnsVerdict.WHOLE


def test_nothing_is_silence_after_three_questions() -> None:
    server = Server()
    assert asked(server).verdict is DnsVerdict.SILENT
    assert len(server.sent) == 3


def test_a_closed_port_is_refused_with_the_error() -> None:
    def reply(sent: Packet, question: bytes) -> list[Packet]:
        return [IP(src=sent.dst, dst=sent.src) / ICMP(type=3, code=3) / quoted(sent, 28)]

    result = asked(Server(reply=reply))
    assert (result.verdict, result.detail) == (
        DnsVerdict.REFUSED,
        "ICMP 3/3 from 10.10.0.53 (port unreachable)",
    )


@pytest.mark.parametrize(
    "forged",
    [
        lambda sent, question: datagram(sent, b"\0\0" + message(question, 900)[2:]),
        lambda sent, question: datagram(sent, message(question, 900), sport=5353),
        lambda sent, question: datagram(sent, message(question, 900), dport=sent[UDP].sport ^ 1),
        lambda sent, question: datagram(sent, message(question, 900).replace(b"example", b"another")),
        lambda sent, question: datagram(sent, message(question, 900)[:20]),
        lambda sent, question: datagram(sent, b""),
        lambda sent, question: (
            IP(src="10.66.6.6", dst=sent.src) / datagram(sent, message(question, 9)).payload
        ),
    ],
    ids=[
        "another id",
        "another port",
        "not our port",
        "another name",
        "cut off",
        "empty",
        "who",
    ],
)
def test_what_is_no_answer_to_the_question_does_not_count(
    forged: Callable[[Packet, bytes], Packet],
) -> None:
    server = Server(reply=lambda sent, question: [forged(sent, question)])
    assert asked(server).verdict is DnsVerdict.SILENT


def test_a_question_is_what_scapy_reads_as_one() -> None:
    for kind, number in KINDS.items():
        read = DNS(query("example.org.", kind, 4096, b"\x12\x34"))
        assert (read.id, read.qd[0].qname, read.qd[0].qtype) == (0x1234, b"example.org.", number)
        assert (read.ar[0].rclass, read.ar[0].z >> 15) == (4096, 1)
    assert DNS(query(".", "NS", 1232, b"\0\0")).qd[0].qname == b"."


@pytest.mark.parametrize("length", [32, 33, 500, 1472, 8972])
def test_a_padded_question_has_the_length_that_it_is_to_have(length: int) -> None:
    made = padded_query(length, b"\x12\x34\x56\x78")
    assert len(made) == length
    assert DNS(made).qd[0].qname == b"."


@pytest.mark.parametrize("name", ["a..b", "x" * 64, "exämple.org", ".".join(["abc"] * 80)])
def test_what_is_no_name_is_an_error_of_usage(name: str) -> None:
    with pytest.raises(UsageError, match="is no name of DNS"):
        query(name, "A", 512, b"\0\0")


def test_a_type_that_is_not_known_names_those_that_are() -> None:
    with pytest.raises(UsageError, match="'FOO' is no type of DNS records; expected one of A, NS"):
        query("example.org", "FOO", 512, b"\0\0")
