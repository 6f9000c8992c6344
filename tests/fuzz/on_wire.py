"""What comes from the network: packets, etcd's answers, HTTP answers, the cluster's objects."""

from __future__ import annotations

import json
import socket
import struct
import threading
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ferryman.errors import JournalError
from ferryman.probe.classify import SynIndex, classify
from ferryman.probe.dissect import Unreadable, dissect
from ferryman.probe.exchange.connection import Connection
from ferryman.probe.exchange.http_answer import HttpAnswer
from ferryman.probe.exchange.segments import ACK, SYN, Segment, read
from ferryman.probe.exchange.tls import TlsError, TlsLayer
from ferryman.probe.exchange.transport import Frame
from ferryman.probe.fast_path import fast_judgement
from ferryman.probe.path_mtu import DnsQuestion, ask_dns
from ferryman.probe.path_mtu.answers import Error as PathError
from ferryman.probe.path_mtu.answers import piece_of
from ferryman.probe.path_mtu.answers import read as read_path_answer
from ferryman.probe.path_mtu.dns import query
from ferryman.state.etcd.client import EtcdClient
from ferryman.traffic.http_request import Request, exchange
from fuzz.target import Target
from unit.probe.test_classify import OUT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ferryman.model import Address

CASES = Path(__file__).parents[1] / "unit" / "probe" / "cases"


def _packets() -> tuple[str, ...]:
    """Recorded answers, with a character for each byte."""
    found = [json.loads(case.read_text()) for case in sorted(CASES.glob("*.json"))]
    return tuple(bytes.fromhex(case["packet"]).decode("latin-1") for case in found)


def _packet(text: str) -> object:
    packet, index = text.encode("latin-1", "replace"), SynIndex(OUT.values())
    fast, answer = fast_judgement(packet, index), dissect(packet)
    slow = [] if answer is None or isinstance(answer, Unreadable) else classify(answer, index)
    assert fast is None or [(each.syn, each.verdict) for each in slow] == [(fast.syn, fast.verdict)]
    return slow


def _frame(text: str) -> object:
    packet = text.encode("latin-1", "replace")
    damaged, vouched = read(Frame(packet, 0)), read(Frame(packet, 0, 1448, is_checked=True))
    assert damaged == vouched or isinstance(damaged, Unreadable) or len(packet) > 1448
    return vouched


def _path_answer(text: str) -> object:
    packet = text.encode("latin-1", "replace")
    answer, piece = read_path_answer(packet), piece_of(packet)
    assert answer is None or piece is not None
    if isinstance(answer, PathError):
        assert len(answer.quote) == 8 or not answer.is_too_big
        str(answer)
    return answer


def _dns_answer(text: str) -> object:
    """The datagrams and fragments that come for a question, each behind its length."""
    data, packets, at = text.encode("latin-1", "replace")[:20_000], [], 0
    while at + 2 <= len(data):
        length = int.from_bytes(data[at : at + 2], "big") % 2048
        packets.append(data[at + 2 : at + 2 + length])
        at += 2 + length
    question = DnsQuestion("dns1", ip_address("10.10.0.53"), "example.org")
    (result,) = ask_dns([question], transport=Arriving(packets))
    return result


class Arriving:
    """A network that has everything at once, on which half a minute passes when nothing comes any more."""

    def __init__(self, packets: list[bytes]) -> None:
        self._packets = packets
        self._clock = 0.0

    def __call__(self, versions: object) -> Arriving:
        return self

    def source_towards(self, address: str) -> Address:
        return ip_address("10.30.0.2")

    def mtus_towards(self, address: str) -> tuple[int, int]:
        return 1500, 1500

    def reserve(self, source: Address, count: int) -> list[int]:
        return [20_000] * count

    def listen(self, ports: object, answers: int) -> None:
        pass

    def send(self, packet: bytes | bytearray, destination: str) -> None:
        ident = bytes(packet[28:30])
        self._packets = [each.replace(b"\x12\x34", ident) for each in self._packets]

    def receive(self, within_s: float) -> list[tuple[bytes, int]]:
        arrived, self._packets = self._packets, []
        self._clock += 0.0 if arrived else 30.0
        return [(packet, 0) for packet in arrived]

    def monotonic(self) -> float:
        return self._clock

    def close(self) -> None:
        pass


def _dns_seeds() -> tuple[str, ...]:
    """An answer in one packet, and one in fragments."""
    asked = query("example.org", "TXT", 4096, b"\x12\x34")
    answer = asked[:2] + b"\x81\x80" + asked[4:-11] + bytes(60)
    datagram = b"\x00\x35\x4e\x20" + (8 + len(answer)).to_bytes(2, "big") + bytes(2) + answer
    ends = ip_address("10.10.0.53").packed + ip_address("10.30.0.2").packed

    def packet(payload: bytes, place: int) -> str:
        total = (20 + len(payload)).to_bytes(2, "big")
        whole = b"\x45\0" + total + b"\0\5" + place.to_bytes(2, "big") + b"\x40\x11\0\0" + ends + payload
        return (len(whole).to_bytes(2, "big") + whole).decode("latin-1")

    return packet(datagram, 0), packet(datagram[:64], 0x2000) + packet(datagram[64:], 8)


RECORD = struct.Struct("!BHhhB")
"""Flags, window, and how far sequence number and acknowledgement are from the right ones; length of data."""


def _segments(text: str) -> object:
    """What comes for a connection that sends, and is asked for its timer between two segments."""
    connection = Connection(4, 1460, 1440, 0.3)
    connection.open(0.0)
    first = connection.outgoing[0].sequence
    connection.arrive(Segment(SYN | ACK, 7, (first + 1) % 2**32, 5000, mss=1440), 0.0, 0.0)
    connection.write(bytes(10_000), 0.0)
    records = text.encode("latin-1", "replace")[: 200 * RECORD.size]
    for number, at in enumerate(range(0, len(records) - RECORD.size + 1, RECORD.size)):
        flags, window, ahead, acknowledged, length = RECORD.unpack_from(records, at)
        sequence = (8 + connection.received.next + ahead) % 2**32
        acknowledgement = (first + connection.sending.acknowledged + acknowledged) % 2**32
        segment = Segment(flags, sequence, acknowledgement, window, bytes(length), None, length)
        connection.arrive(segment, float(number), float(number))
        expires = connection.expires_at
        if expires is not None and expires <= number:
            connection.expired(float(number))
        connection.acknowledge()
        assert len(connection.outgoing) < 100  # a segment does not make many
        connection.outgoing.clear()
        assert connection.sending.acknowledged <= connection.sending.highest <= connection.sending.end
    return connection.received.taken()


def _http_answer(text: str) -> object:
    data = text.encode("latin-1", "replace")
    whole, pieces = HttpAnswer("GET"), HttpAnswer("GET")
    whole.feed(data)
    for at in range(0, len(data), 700):
        pieces.feed(data[at : at + 700])
    for answer in (whole, pieces):
        answer.end()
    assert (whole.status, whole.line) == (pieces.status, pieces.line)
    return whole.problem


def _tls(text: str) -> object:
    layer = TlsLayer(None)
    layer.handshake()
    layer.came(text.encode("latin-1", "replace"))
    layer.handshake()
    return layer.to_send()


class Answering:
    """A gateway of a cluster that answers everything with one JSON text."""

    where = "etcd://127.0.0.1:2379/ferryman"

    def __init__(self, answer: Any) -> None:  # noqa: ANN401  # JSON
        self._answer = answer

    def post(self, path: str, request: Mapping[str, Any], within_s: float) -> dict[str, Any]:
        return self._answer  # type: ignore[no-any-return]  # anything, on purpose

    def close(self) -> None:
        pass


ASKED: tuple[Callable[[EtcdClient], object], ...] = (
    lambda client: client.get("a"),
    lambda client: client.listed("a/"),
    lambda client: client.commit([], []),
    lambda client: client.grant(60),
    lambda client: client.keep_alive(1),
    lambda client: client.revoke(1),
)
"""All that the store asks a cluster."""


def _etcd(text: str) -> object:
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):
        return None  # the gateway's own business
    for ask in ASKED:
        try:
            ask(EtcdClient(Answering(answer), lambda: 1.0))
        except JournalError:
            continue
    return None


class HttpServer:
    """Sends every connection the same bytes, on an address of its own, and closes it."""

    def __init__(self) -> None:
        self.answer = b""
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._listening.accept()
            with connection:
                try:
                    connection.recv(4096)
                    connection.sendall(self.answer)
                except OSError:
                    continue


class HttpTarget:
    """Asks the server, which begins when it is first needed."""

    server: HttpServer | None = None

    def __call__(self, text: str) -> object:
        self.server = self.server or HttpServer()
        self.server.answer = text.encode("latin-1", "replace")
        return exchange(
            Request(ip_address("127.0.0.1"), self.server.port, tls=False, path="/", timeout_s=0.5)
        )


HEADER = '{"header":{"cluster_id":"1","member_id":"2","revision":"7","raft_term":"3"}'
ETCD = (
    f'{HEADER},"kvs":[{{"key":"YQ==","create_revision":"3","mod_revision":"4","version":"1","value":"e30="}}]}}',
    f'{HEADER},"succeeded":true}}',
    f'{HEADER},"ID":"7","TTL":"60"}}',
    f'{{"result":{HEADER},"ID":"7","TTL":"60"}}}}',
)
SEGMENTS = (
    "\x10\x13\x88\x00\x00\x02\x00\x10" * 5,
    "\x10\x00\x00\x00\x00\x00\x00\x00\x10\x13\x88\x01\x00\x05\x00\x40\x11\x13\x88\x00\x00\x05\x00\x40",
)
TLS = (
    "\x15\x03\x03\x00\x02\x02\x28",
    "\x16\x03\x03\x00\x2a\x02\x00\x00\x26\x03\x03" + "\x00" * 32 + "\x00\x13\x01\x00",
)
HTTP = (
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nServer: a\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
)
HTTP_WORDS = (
    "HTTP/1.1",
    "HTTP/9.9 abc",
    "100 Continue\r\n\r\n",
    "Content-Length: -1",
    "Content-Length: 99999999999",
    "\r\n\r\n",
)

TARGETS: tuple[Target, ...] = (
    Target("packet", _packet, _packets(), ("\x1d\x03", "\x02\x04", "\x45\x00", "\x60", "\xff" * 8)),
    Target("exchange-packet", _frame, _packets(), ("\x1d\x03", "\x02\x04", "\x45\x00", "\x60", "\xff" * 8)),
    Target("path-answer", _path_answer, _packets(), ("\x03\x04", "\x02\x00", "\x45\x00", "\x60", "\x2c")),
    Target("dns-answer", _dns_answer, _dns_seeds(), ("\x45\x00", "\x20\x00", "\x00\x35", "\x12\x34"), 2),
    Target("exchange-segments", _segments, SEGMENTS, ("\x04", "\x11", "\x00\x00", "\x7f\xff")),
    Target("exchange-answer", _http_answer, HTTP, HTTP_WORDS),
    Target("exchange-tls", _tls, TLS, ("\x16\x03\x03", "\x15\x03\x03\x00\x02\x02\x28"), 1, TlsError),
    Target("etcd-answer", _etcd, ETCD, ("null", "[]", "{}", "true", '"x"', '"header":', "1e400", "-1")),
    Target("http-answer", HttpTarget(), HTTP, HTTP_WORDS),
)
