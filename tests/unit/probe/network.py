"""A network that is made up: a clock that moves when somebody waits, and realservers that are functions."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from ipaddress import IPv4Address, ip_address
from typing import TYPE_CHECKING

from scapy.layers.inet import ICMP, IP, TCP
from scapy.packet import Raw

from ferryman.config import ProbeConfig
from ferryman.model import ProbeResult, VirtualService
from ferryman.probe import Prober, Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ferryman.model import Address
    from ferryman.probe.sockets import Arrival

CONTROL = IPv4Address("10.30.0.2")
WEB = VirtualService("web", "default", "tcp", IPv4Address("10.99.0.1"), 80, "wrr")
PROBE = ProbeConfig(timeout=1.0, tries=3, backoff=1, samples=1, rate=1000)
SAMPLED = PROBE.model_copy(update={"samples": 4, "rate": 20_000})
WAY_MS = 2.0
EPOCH_NS = 1_700_000_000_000_000_000

Replies = list[tuple[float, bytes]]
"""Seconds from now, and the packet."""


@dataclass
class Network:
    """A network whose far end is a function for each realserver: from the SYN to its replies."""

    realservers: dict[Address, Callable[[IP], Replies]]
    routes: Callable[[Address], Address] = lambda address: CONTROL
    clock: float = 0.0
    sent: list[tuple[float, IP]] = field(default_factory=list)
    coming: list[tuple[float, bytes]] = field(default_factory=list)
    send_errors: deque[int] = field(default_factory=deque)
    next_port: int = 40000
    listening: set[int] | None = None
    dropped: int = 0
    send_takes: float = 0.0
    closed: bool = False

    def __call__(self, versions: Iterable[int]) -> Network:
        return self

    def source_towards(self, address: str) -> Address:
        return self.routes(ip_address(address))

    def reserve(self, source: Address, count: int) -> list[int]:
        self.next_port += count
        return list(range(self.next_port - count, self.next_port))

    def listen(self, ports: Iterable[int], answers: int) -> None:
        del answers
        self.listening = set(ports)

    def send(self, packet: bytes | bytearray, destination: str) -> None:
        if self.send_errors and (number := self.send_errors.popleft()):
            raise OSError(number, "as told")
        assert self.listening is not None, "sent before anybody listened"
        self.clock += self.send_takes
        read = IP(bytes(packet))
        assert read[TCP].sport in self.listening
        assert read.dst == destination
        self.sent.append((self.clock, read))
        if read[TCP].flags == "S":
            replies = self.realservers[ip_address(destination)](read)
            self.coming += [(self.clock + after, reply) for after, reply in replies]

    def receive(self, within_s: float) -> Sequence[Arrival]:
        end = self.clock + max(0.0, within_s)
        first = min((at for at, _ in self.coming), default=end)
        self.clock = max(self.clock, min(end, first))
        here = sorted(arrival for arrival in self.coming if arrival[0] <= self.clock)
        self.coming = [arrival for arrival in self.coming if arrival[0] > self.clock]
        return [(packet, EPOCH_NS + round(at * 1e9)) for at, packet in here]

    def lost(self) -> int:
        return self.dropped

    def monotonic(self) -> float:
        return self.clock

    def now_ns(self) -> int:
        return EPOCH_NS + round(self.clock * 1e9)

    def close(self) -> None:
        self.closed = True

    def syns_to(self, address: Address) -> list[IP]:
        return [packet for _, packet in self.sent if packet.dst == str(address) and packet[TCP].flags == "S"]

    def rsts_to(self, address: Address) -> list[IP]:
        return [packet for _, packet in self.sent if packet.dst == str(address) and packet[TCP].flags == "R"]


def answer(asked: IP, flags: str = "SA", *, added: int = 1, mss: int = 1440) -> bytes:
    syn = asked[TCP]
    reply = IP(src=asked.payload.dst, dst=asked.payload.src) / TCP(
        sport=syn.dport, dport=syn.sport, ack=(syn.seq + added) % 2**32, flags=flags, options=[("MSS", mss)]
    )
    return bytes(reply)


PROTOCOL_UNREACHABLE, PROHIBITED = 2, 13


def icmp_error(asked: IP, code: int) -> bytes:
    return bytes(IP(src=asked.dst, dst=asked.src) / ICMP(type=3, code=code) / Raw(bytes(asked)))


def ready(asked: IP) -> Replies:
    return [(WAY_MS / 1000, answer(asked))]


def dead(asked: IP) -> Replies:
    return []


def without_tunnel(asked: IP) -> Replies:
    return [(WAY_MS / 1000, icmp_error(asked, PROTOCOL_UNREACHABLE))] if asked.src == str(CONTROL) else []


def address(number: int) -> IPv4Address:
    return IPv4Address("10.10.0.0") + number


def asked(*behaviours: Callable[[IP], Replies]) -> tuple[Network, list[Target]]:
    network = Network({address(number): one for number, one in enumerate(behaviours)})
    return network, [Target(f"web{number}", WEB, address(number), 1440) for number in range(len(behaviours))]


def probed(
    network: Network, targets: Sequence[Target], probe: ProbeConfig = PROBE
) -> tuple[list[ProbeResult], list[ProbeResult]]:
    reported: list[ProbeResult] = []
    return Prober(probe, transport=network).probe(targets, reported.append), reported
