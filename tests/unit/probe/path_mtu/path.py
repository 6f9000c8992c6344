"""A path that is made up: links in a row, routers that say what fits or do not, and a host at its end.

It has a clock that moves when somebody waits. Real ones, of a kernel, are in tests/lab/test_path_mtu.py.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from ipaddress import IPv4Address, ip_address
from typing import TYPE_CHECKING

from scapy.layers.inet import ICMP, IP, TCP, UDP, fragment
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6PacketTooBig,
    IPv6,
)
from scapy.packet import Packet, Raw

from ferryman.probe.path_mtu import PathMtuTarget, measure_paths

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ferryman.model import Address
    from ferryman.probe.path_mtu import PathMtuResult
    from ferryman.probe.sockets import Arrival

OWN = {4: IPv4Address("10.30.0.2"), 6: ip_address("fd30::2")}
HOST = {4: IPv4Address("10.10.0.21"), 6: ip_address("fd10::21")}
ROUTER = {4: "10.30.0.{}", 6: "fd30::{}"}
WAY_S = 0.002
QUOTED_BY_ROUTERS = 28


@dataclass
class Link:
    """A link, and the router before it."""

    mtu: int
    says: bool = True
    """Whether the router sends ICMP errors."""
    says_mtu: int | None = None
    """What it says that fits; None: the truth."""
    rate: float | None = None
    """ICMP errors a second, after as many as ``burst`` at once; None: as many as there are."""
    burst: int = 6
    tokens: float = 6.0
    filled_at: float = 0.0

    def may_say(self, now: float) -> bool:
        if self.rate is None:
            return self.says
        self.tokens = min(self.burst, self.tokens + (now - self.filled_at) * self.rate)
        self.filled_at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return self.says


@dataclass
class Path:
    """The network of one test, as a transport."""

    links: list[Link] = field(default_factory=lambda: [Link(1500)])
    answers: frozenset[str] = frozenset({"icmp", "tcp", "udp"})
    opened: bool = False
    """Whether the TCP port is open."""
    loss: float = 0.0
    """The part of all packets that is lost, each way."""
    interface: int = 1500
    forge: Callable[[Packet], Iterable[Packet]] = lambda sent: ()
    """What somebody sends when a packet of ours passes, by what he can guess."""
    stops_after: int | None = None
    """After how many answers the host says nothing more."""
    udp_rate: Link | None = None
    """The limit of the host's own ICMP errors."""
    clock: float = 0.0
    sent: list[Packet] = field(default_factory=list)
    coming: list[tuple[float, bytes]] = field(default_factory=list)
    listening: set[int] = field(default_factory=set)
    closed: bool = False
    next_port: int = 20_000
    dice: random.Random = field(default_factory=lambda: random.Random(7))

    def __call__(self, versions: Iterable[int]) -> Path:
        return self

    def source_towards(self, address: str) -> Address:
        return OWN[ip_address(address).version]

    def mtus_towards(self, address: str) -> tuple[int, int]:
        return self.interface, self.interface

    def reserve(self, source: Address, count: int) -> list[int]:
        self.next_port += count
        return list(range(self.next_port - count, self.next_port))

    def listen(self, ports: Iterable[int], answers: int) -> None:
        self.listening = set(ports)

    def monotonic(self) -> float:
        return self.clock

    def close(self) -> None:
        self.closed = True

    def send(self, packet: bytes | bytearray, destination: str) -> None:
        read = read_of(bytes(packet))
        assert read.dst == destination
        assert len(packet) <= self.interface, "no larger packet leaves here"
        self.sent.append(read)
        for forged in self.forge(read):
            self._deliver(forged)
        if self._is_lost():
            return
        for number, link in enumerate(self.links):
            if len(packet) > link.mtu:
                if link.may_say(self.clock) and not self._is_lost():
                    told = link.mtu if link.says_mtu is None else link.says_mtu
                    self._deliver(too_big(read, number, told))
                return
        for answer in self._answers(read):
            if not self._is_lost():
                self._deliver(answer)

    def receive(self, within_s: float) -> Sequence[Arrival]:
        end = self.clock + max(0.0, within_s)
        first = min((at for at, _ in self.coming), default=end)
        self.clock = max(self.clock, min(end, first))
        arrived = [packet for at, packet in self.coming if at <= self.clock]
        self.coming = [(at, packet) for at, packet in self.coming if at > self.clock]
        return [(packet, 0) for packet in arrived]

    def _answers(self, sent: Packet) -> list[Packet]:
        if self.stops_after is not None:
            self.stops_after -= 1
            if self.stops_after < 0:
                return []
        return answers_of(self, sent)

    def _is_lost(self) -> bool:
        return self.dice.random() < self.loss

    def _deliver(self, packet: Packet) -> None:
        self.coming.append((self.clock + WAY_S, bytes(packet)))


def read_of(packet: bytes) -> Packet:
    return IP(packet) if packet[0] >> 4 == 4 else IPv6(packet)


def quoted(sent: Packet, length: int) -> Raw:
    """The beginning of a packet, as errors have it."""
    return Raw(bytes(sent)[:length])


def too_big(sent: Packet, router: int, mtu: int) -> Packet:
    """The error of a router about a packet."""
    reporter = ROUTER[sent.version].format(100 + router)
    if sent.version == 4:
        error = ICMP(type=3, code=4, nexthopmtu=mtu)
        return IP(src=reporter, dst=sent.src) / error / quoted(sent, QUOTED_BY_ROUTERS)
    return IPv6(src=reporter, dst=sent.src) / ICMPv6PacketTooBig(mtu=mtu) / quoted(sent, 1232)


def answers_of(path: Path, sent: Packet) -> list[Packet]:
    back = IP(src=sent.dst, dst=sent.src) if sent.version == 4 else IPv6(src=sent.dst, dst=sent.src)
    if TCP in sent and "tcp" in path.answers:
        length = 0 if path.opened else len(sent[TCP].payload)
        flags = "SA" if path.opened else "RA"
        ports = {"sport": sent[TCP].dport, "dport": sent[TCP].sport}
        return [back / TCP(flags=flags, ack=(sent[TCP].seq + 1 + length) % 2**32, **ports)]
    if UDP in sent and "udp" in path.answers:
        if path.udp_rate is not None and not path.udp_rate.may_say(path.clock):
            return []
        error = ICMP(type=3, code=3) if sent.version == 4 else ICMPv6DestUnreach(code=4)
        return [back / error / quoted(sent, 28 if sent.version == 4 else 1232)]
    if "icmp" in path.answers and ICMP in sent:
        whole = back / ICMP(type=0, id=sent[ICMP].id, seq=sent[ICMP].seq) / sent[ICMP].payload
        return fragments(whole, 1400) if len(whole) > 1400 else [whole]
    if "icmp" in path.answers and ICMPv6EchoRequest in sent:
        asked = sent[ICMPv6EchoRequest]
        return [back / ICMPv6EchoReply(id=asked.id, seq=asked.seq, data=asked.data)]
    return []


def fragments(packet: Packet, size: int) -> list[Packet]:
    """An IPv4 packet in fragments with payloads of this size."""
    return list(fragment(packet, fragsize=size))  # type: ignore[no-untyped-call]  # scapy's


def target(protocol: str = "icmp", version: int = 4) -> PathMtuTarget:
    port = {"icmp": None, "tcp": 443, "udp": 33434}[protocol]
    return PathMtuTarget("web1", HOST[version], protocol, port)


def measured(path: Path, *targets: PathMtuTarget) -> list[PathMtuResult]:
    results = measure_paths(list(targets), transport=path)
    assert path.closed
    return results
