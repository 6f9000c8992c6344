"""A network that is made up: a virtual clock, and realservers behind a tunnel with a small TCP of their own.

No kernel is asked, because what is tested is what happens when packets are lost, late, doubled, or forged,
each exactly when a test says so. ``tests/lab/test_exchange.py`` does the same with the kernel's TCP.
"""

from __future__ import annotations

import heapq
import random
import struct
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from itertools import count
from typing import TYPE_CHECKING

from ferryman.config import ProbeConfig
from ferryman.encapsulation import mss_limit
from ferryman.model import VirtualService
from ferryman.probe import Target
from ferryman.probe.exchange import (
    ExchangeLimits,
    Exchanger,
    ExchangeRequest,
    ExchangeResult,
    ExchangeTarget,
)
from ferryman.probe.exchange.transport import Frame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ferryman.model import Address

FIN, SYN, RST, ACK = 1, 2, 4, 16
WAY_S = 0.001
EPOCH_NS = 1_700_000_000_000_000_000
CONTROL: dict[int, Address] = {4: IPv4Address("10.30.0.2"), 6: IPv6Address("fd30::2")}
VIP: dict[int, Address] = {4: IPv4Address("10.99.0.1"), 6: IPv6Address("fd99::1")}
WEB: dict[int, Address] = {4: IPv4Address("10.10.0.21"), 6: IPv6Address("fd10::21")}
SYNCHRONISED = ProbeConfig(timeout=0.3)


@dataclass
class Tcp:
    """A segment as the realserver sees it, or as it sends it."""

    source_port: int
    port: int
    sequence: int
    acknowledgement: int
    flags: int
    window: int
    mss: int | None
    payload: bytes


def parse(packet: bytes) -> tuple[bytes, bytes, Tcp]:
    """The inner addresses and the segment of an encapsulated packet; its checksums must be right."""
    outer = 20 if packet[0] >> 4 == 4 else 40
    assert packet[0] >> 4 == 6 or folded(packet[:20]) == 0
    inner = packet[outer:]
    if inner[0] >> 4 == 4:
        assert struct.unpack_from("!H", inner, 2)[0] == len(inner)
        source, destination, segment = inner[12:16], inner[16:20], inner[20:]
    else:
        assert struct.unpack_from("!H", inner, 4)[0] == len(inner) - 40
        source, destination, segment = inner[8:24], inner[24:40], inner[40:]
    assert folded(source + destination + struct.pack("!LHH", len(segment), 0, 6) + segment) == 0
    fields = struct.unpack_from("!HHIIBBH", segment)
    header = (fields[4] >> 4) * 4
    options = segment[20:header]
    mss = int.from_bytes(options[2:4], "big") if options[:2] == b"\x02\x04" else None
    ports_and_numbers, flags, window = fields[:4], fields[5], fields[6]
    return source, destination, Tcp(*ports_and_numbers, flags, window, mss, segment[header:])  # type: ignore[call-arg]


def folded(data: bytes) -> int:
    """The checksum of data that holds its own: 0 when it is right."""
    data += b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ip_packet(source: bytes, destination: bytes, protocol: int, payload: bytes) -> bytes:
    """A packet without encapsulation, as it comes straight from the realserver."""
    if len(source) == 16:
        return struct.pack("!IHBB", 6 << 28, len(payload), protocol, 60) + source + destination + payload
    header = (
        struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0, 60, protocol, 0) + source + destination
    )
    return header[:10] + struct.pack("!H", folded(header)) + header[12:] + payload


def tcp_packet(source: bytes, destination: bytes, segment: Tcp) -> bytes:
    options = struct.pack("!HH", 0x0204, segment.mss) if segment.mss is not None else b""
    numbers = segment.source_port, segment.port, segment.sequence % 2**32, segment.acknowledgement % 2**32
    fields = *numbers, (20 + len(options)) // 4 << 4, segment.flags, segment.window
    whole = struct.pack("!HHIIBBHHH", *fields, 0, 0) + options + segment.payload
    checksum = folded(source + destination + struct.pack("!LHH", len(whole), 0, 6) + whole)
    whole = whole[:16] + struct.pack("!H", checksum) + whole[18:]
    return ip_packet(source, destination, 6, whole)


def icmp_too_big(packet: bytes, mtu: int, reporter: bytes) -> bytes:
    """What a router says of an encapsulated packet that does not fit, to its outer source."""
    if packet[0] >> 4 == 4:
        body = struct.pack("!BBHHH", 3, 4, 0, 0, mtu) + packet[:80]
        return ip_packet(reporter, packet[12:16], 1, body)
    return ip_packet(reporter, packet[8:24], 58, struct.pack("!BBHI", 2, 0, 0, mtu) + packet[:120])


@dataclass
class Site:
    """What a realserver is like: what it says, and what becomes of packets on the way to it and back."""

    answer: Callable[[bytes], bytes | None] = lambda request: None
    """All that came so far, to all that is to be said so far; None: nothing yet."""
    each_connection: Callable[[], Callable[[bytes], bytes | None]] | None = None
    """Makes an ``answer`` for each connection, where it has to remember."""
    greeting: bytes = b""
    closes: bool = True
    """Whether it closes its side once it has said something, or heard a FIN."""
    mss: int | None = 1440
    window: int = 64240
    up: Callable[[bytes, Tcp], bool] = lambda packet, segment: True
    """Whether an encapsulated packet arrives."""
    down: Callable[[Tcp], list[float]] = lambda segment: [WAY_S]
    """The ways' lengths in seconds for each copy of a segment that arrives."""
    refuses: bool = False
    resets_at: int | None = None
    """After how many bytes of the answer it sends a RST."""
    window_at: Callable[[float], int] | None = None
    """Its window by the time since it was connected to."""
    forged: Callable[[Tcp], list[bytes]] = lambda segment: []
    """Further packets for each segment that it sends."""
    heard: list[tuple[float, Tcp]] = field(default_factory=list)
    """Every segment that reached it."""


class Peer:
    """The server's half of one connection: acknowledges, sends again what is not acknowledged, closes."""

    def __init__(self, wire: Wire, site: Site, ends: tuple[bytes, bytes], syn: Tcp) -> None:
        self.wire, self.site, self.ends = wire, site, ends
        self.answer = site.each_connection() if site.each_connection is not None else site.answer
        self.ports = syn.port, syn.source_port
        self.isn, self.irs = wire.random.getrandbits(32), syn.sequence
        self.began = wire.clock
        self.limit = min(syn.mss or 536, 1460)
        self.request, self.ahead = b"", dict[int, bytes]()
        self.finished = self.closing = self.established = self.dead = False
        self.stream, self.una, self.sent, self.rto = site.greeting, 0, 0, 0.2
        self.peer_window = syn.window
        self.fin_at: int | None = None

    def say(self, flags: int, offset: int, payload: bytes = b"", mss: int | None = None) -> None:
        wanted = self.irs + 1 + len(self.request) + self.finished
        window = self.window()
        segment = Tcp(*self.ports, self.isn + offset, wanted, flags, window, mss, payload)
        segment.sequence %= 2**32
        segment.acknowledgement %= 2**32
        self.wire.down(self.site, self.ends, segment)

    def window(self) -> int:
        at = self.site.window_at
        return at(self.wire.clock - self.began) if at is not None else self.site.window

    def greet(self) -> None:
        """Send the SYN/ACK, and again until it is acknowledged."""
        if not self.established and not self.dead:
            self.say(SYN | ACK, 0, mss=self.site.mss)
            self.wire.after(1.0, self.greet)

    def hear(self, segment: Tcp) -> None:
        if self.dead:
            return
        if segment.flags & RST:
            self.dead = True
            return
        if segment.flags & SYN:
            self.say(SYN | ACK, 0, mss=self.site.mss)
            return
        self.established = True
        acknowledged = (segment.acknowledgement - self.isn - 1) % 2**32
        if self.una < acknowledged <= self.sent + 1:
            self.una, self.rto = acknowledged, 0.2
        self.peer_window = segment.window
        offset = (segment.sequence - self.irs - 1 + 2**31) % 2**32 - 2**31
        keeps = self.window() > 0
        if segment.payload and keeps:
            self.ahead[offset] = max(self.ahead.get(offset, b""), segment.payload, key=len)
            self.put_together()
        if segment.flags & FIN and offset + len(segment.payload) == len(self.request):
            self.finished = True
        said = self.answer(self.request)
        if said is not None:
            self.stream = self.site.greeting + said
        if self.site.closes and (said is not None or self.finished):
            self.closing = True
        if segment.payload or segment.flags & FIN or offset < len(self.request):
            self.say(ACK, 1 + self.sent)
        self.push()

    def put_together(self) -> None:
        for offset in sorted(self.ahead):
            if offset <= len(self.request):
                piece = self.ahead.pop(offset)[len(self.request) - offset :]
                self.request += piece

    def push(self) -> None:
        """Send what the window takes, and the FIN behind the end."""
        at = self.site.resets_at
        while self.sent < len(self.stream) and self.sent - self.una < self.peer_window:
            if at is not None and self.sent >= at:
                self.say(RST | ACK, 1 + self.sent)
                self.dead = True
                return
            piece = self.stream[self.sent : self.sent + self.limit]
            self.say(ACK, 1 + self.sent, piece)
            self.sent += len(piece)
            self.watch()
        if self.closing and self.sent == len(self.stream):
            self.say(FIN | ACK, 1 + self.sent)
            self.sent += 1
            self.fin_at = len(self.stream)
            self.watch()

    def watch(self) -> None:
        until = self.sent
        self.wire.after(self.rto, lambda: self.again(until))

    def again(self, until: int) -> None:
        if self.dead or self.una >= until:
            return
        self.rto = min(3.0, self.rto * 2)
        piece = self.stream[self.una : self.una + self.limit]
        self.say(ACK | (0 if piece else FIN), 1 + self.una, piece)
        self.wire.after(self.rto, lambda: self.again(until))


class Wire:
    """The transport of an exchange, over which nothing passes but what a ``Site`` lets pass."""

    def __init__(self, sites: dict[Address, Site], *, mtu: int = 1500, seed: int = 1) -> None:
        self.sites, self.mtu = sites, mtu
        self.clock = 100.0
        self.random = random.Random(seed)
        self.sent: list[tuple[float, bytes]] = []
        self.send_errors: dict[int, OSError] = {}
        """By the length of a packet, from which on it cannot be sent."""
        self.closed = False
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._number = count()
        self._here: list[Frame] = []
        self._peers: dict[tuple[Address, bytes], Peer] = {}
        self._ports = count(20_000)

    def __call__(self, versions: Iterable[int]) -> Wire:
        return self

    def source_towards(self, address: str) -> Address:
        return CONTROL[6 if ":" in address else 4]

    def mtu_towards(self, address: str) -> int:
        return self.mtu

    def reserve(self, source: Address, count: int) -> list[int]:
        return [next(self._ports) for _ in range(count)]

    def listen(self, ports: Iterable[int], answers: int) -> None:
        self.listening = set(ports)

    def send(self, packet: bytes | bytearray, destination: str) -> None:
        packet = bytes(packet)
        for length, error in self.send_errors.items():
            if len(packet) >= length:
                raise error
        self.sent.append((self.clock, packet))
        address = next(each for each in self.sites if str(each) == destination)
        source, vip, segment = parse(packet)
        assert segment.source_port in self.listening
        site = self.sites[address]
        if site.up(packet, segment):
            self.after(WAY_S, lambda: self._deliver(address, site, (vip, source), segment))

    def frames(self, within_s: float) -> Sequence[Frame]:
        end = self.clock + (max(within_s, 1e-6) if within_s else 0.0)  # so small a wait must be one
        while not self._here and self._events and self._events[0][0] <= end:
            at, _, event = heapq.heappop(self._events)
            self.clock = max(self.clock, at)
            event()
        if not self._here:
            self.clock = end
        here, self._here = self._here, []
        return here

    def monotonic(self) -> float:
        return self.clock

    def now_ns(self) -> int:
        return EPOCH_NS + round(self.clock * 1e9)

    def close(self) -> None:
        self.closed = True

    def after(self, seconds: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.clock + seconds, next(self._number), event))

    def arrive(self, packet: bytes, after_s: float = WAY_S, segment_bytes: int = 0) -> None:
        def here() -> None:
            self._here.append(Frame(packet, self.now_ns(), segment_bytes))

        self.after(after_s, here)

    def down(self, site: Site, ends: tuple[bytes, bytes], segment: Tcp) -> None:
        for packet in site.forged(segment):
            self.arrive(packet)
        for way_s in site.down(segment):
            self.arrive(tcp_packet(*ends, segment), way_s)

    def segments(self) -> list[Tcp]:
        """Everything that was sent."""
        return [parse(packet)[2] for _, packet in self.sent]

    def _deliver(self, address: Address, site: Site, ends: tuple[bytes, bytes], segment: Tcp) -> None:
        site.heard.append((self.clock, segment))
        key = (address, ends[1] + segment.source_port.to_bytes(2, "big") + segment.port.to_bytes(2, "big"))
        if segment.flags & SYN and site.refuses:
            back = Tcp(
                segment.port, segment.source_port, 0, (segment.sequence + 1) % 2**32, RST | ACK, 0, None, b""
            )
            self.down(site, ends, back)
        elif segment.flags & SYN and key not in self._peers:
            self._peers[key] = Peer(self, site, ends, segment)
            self._peers[key].greet()
        elif key in self._peers:
            self._peers[key].hear(segment)


BODY = bytes(20_000)


def http(request: bytes, body: bytes = BODY) -> bytes | None:
    """A web server's answer, once the whole request is there."""
    head, end, rest = request.partition(b"\r\n\r\n")
    if not end:
        return None
    length = next((int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length:")), 0)
    return (
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body if len(rest) >= length else None
    )


def target(
    version: int = 4,
    realserver: Address | None = None,
    request: ExchangeRequest | None = None,
    path_mtu: int = 1500,
) -> ExchangeTarget:
    vip, outer = VIP[version], realserver or WEB[version]
    virtual = VirtualService("web", "default", "tcp", vip, 80, "wrr")
    limit = mss_limit(vip, outer, path_mtu)
    return ExchangeTarget(Target("web1", virtual, outer, limit), request or ExchangeRequest(path="/healthz"))


def exchanged(  # noqa: PLR0913  # a test names the few that it needs
    site: Site,
    *,
    version: int = 4,
    request: ExchangeRequest | None = None,
    limits: ExchangeLimits | None = None,
    seed: int = 1,
    mtu: int = 1500,
) -> tuple[ExchangeResult, Wire]:
    """One exchange with one realserver."""
    wire = Wire({WEB[version]: site}, seed=seed, mtu=mtu)
    [result] = Exchanger(SYNCHRONISED, limits, transport=wire).exchange([target(version, request=request)])
    return result, wire
