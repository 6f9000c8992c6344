"""Network namespaces of pods, of somebody outside and of the router between them; packets sent and seen.

A probe is a packet with its number as the IP header's identification. It has arrived when a packet socket at
its end has seen it; what has not arrived when a marker that was sent behind it has never will, for everything
is sent and forwarded on one CPU, in order.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lab.firewall_node import inside, run
from lab.policy_rules import MARKER

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextlib import ExitStack

GATEWAY = "169.254.1.1"
ROUTER_MAC = "ee:ee:ee:ee:ee:ee"
PACKET_HOST = 0
ETH_P_IP = 0x0800
PATIENCE_S = 10.0
SYN, SYN_ACK = 2, 0x12
ICMP_SENT = {(8, 0), (3, 4), (11, 0)}
"""Types and codes of probes; a kernel here answers with none of them."""
PROTOCOLS = {"TCP": 6, "UDP": 17, "SCTP": 132, "ICMP": 1}


@dataclass(frozen=True)
class Flow:
    """From whom a packet is to whom, the probe's number, and its own port, or what tells an echo."""

    source: str
    destination: str
    probe: int
    port: int


@dataclass
class Pods:
    """The namespaces, each end by its name, with the addresses that it has."""

    addresses: dict[str, tuple[str, ...]]
    stack: ExitStack
    router: str = f"ferryman-np-{os.getpid()}-router"
    names: dict[str, str] = field(default_factory=dict)
    senders: dict[str, socket.socket] = field(default_factory=dict)
    receivers: dict[str, socket.socket] = field(default_factory=dict)
    connecting: list[tuple[socket.socket, Flow]] = field(default_factory=list)

    def make(self) -> None:
        affinity = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {min(affinity)})
        self.stack.callback(os.sched_setaffinity, 0, affinity)
        self._namespace(self.router)
        for count, (end, addresses) in enumerate(self.addresses.items()):
            name = self.names[end] = f"ferryman-np-{os.getpid()}-{count}"
            self._namespace(name)
            device = f"cali{count}"
            run(
                "ip",
                "link",
                "add",
                device,
                "netns",
                self.router,
                "type",
                "veth",
                "peer",
                "name",
                "eth0",
                "netns",
                name,
            )
            mac = f"02:00:00:00:00:{count + 1:02x}"
            with inside(name):
                self._settle_end(end, addresses, mac)
            with inside(self.router):
                lines = [f"link set {device} address {ROUTER_MAC} up"]
                for address in addresses:
                    lines.append(f"route add {address}/32 dev {device}")
                    lines.append(f"neigh replace {address} lladdr {mac} dev {device}")
                run("ip", "-batch", "-", stdin="\n".join(lines) + "\n")
        with inside(self.router):
            run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=0")

    def _namespace(self, name: str) -> None:
        run("ip", "netns", "add", name)
        self.stack.callback(run, "ip", "netns", "del", name)

    def _settle_end(self, end: str, addresses: Iterable[str], mac: str) -> None:
        lines = [f"link set eth0 address {mac} up", "link set lo up"]
        lines += [f"addr add {address}/32 dev eth0" for address in addresses]
        lines += [
            f"route add {GATEWAY} dev eth0 scope link",
            f"neigh replace {GATEWAY} lladdr {ROUTER_MAC} dev eth0",
            f"route add default via {GATEWAY} dev eth0",
        ]
        run("ip", "-batch", "-", stdin="\n".join(lines) + "\n")
        sender = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        receiver = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_IP))
        receiver.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)  # SO_RCVBUFFORCE
        receiver.setblocking(False)
        for each in (sender, receiver):
            self.stack.callback(each.close)
        self.senders[end], self.receivers[end] = sender, receiver

    def rules(self, text: str) -> None:
        with inside(self.router):
            run("nft", "-f", "-", stdin=text)

    def send(self, end: str, flow: Flow, traffic: str) -> None:
        """Send one packet from an end."""
        protocol, payload = _payload(flow, traffic)
        packet = _header(protocol, flow.source, flow.destination, flow.probe) + payload
        self.senders[end].sendto(packet, (flow.destination, 0))

    def connect(self, end: str, flow: Flow, port: int) -> None:
        """Begin a real connection; ``answered`` says of which it is known how it ended."""
        with inside(self.names[end]):
            made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((flow.source, flow.port))
        made.connect_ex((flow.destination, port))
        self.connecting.append((made, flow))

    def arrived(self) -> set[int]:
        """The probes that have arrived, of all that was sent before."""
        waited_for = {(source, end) for source in self.senders for end in self.senders if source != end}
        for source, end in waited_for:
            self.send(source, Flow(self.addresses[source][0], self.addresses[end][0], 1, 0), "marker")
        found: set[int] = set()
        by_address = {addresses[0]: end for end, addresses in self.addresses.items()}
        deadline = time.monotonic() + PATIENCE_S
        while waited_for:
            assert time.monotonic() < deadline, f"markers are lost: {waited_for}"
            select.select(list(self.receivers.values()), [], [], 1.0)
            for end, receiver in self.receivers.items():
                for packet in _received(receiver):
                    if packet[9] == MARKER:
                        waited_for.discard((by_address[socket.inet_ntoa(packet[12:16])], end))
                    elif (probe := self._probe_of(packet)) is not None:
                        found.add(probe)
        return found

    def _probe_of(self, packet: bytes) -> int | None:
        """Which probe a packet is; None for what a kernel answered."""
        header = (packet[0] & 15) * 4
        number: int = struct.unpack("!H", packet[4:6])[0]
        if packet[9] == PROTOCOLS["TCP"]:
            (own_port,) = struct.unpack("!H", packet[header : header + 2])
            ends = socket.inet_ntoa(packet[12:16]), socket.inet_ntoa(packet[16:20]), own_port
            begun = {(flow.source, flow.destination, flow.port): flow.probe for _, flow in self.connecting}
            return begun.get(ends, number) if packet[header + 13] & SYN_ACK == SYN else None
        if packet[9] == PROTOCOLS["ICMP"]:
            return number if (packet[header], packet[header + 1]) in ICMP_SENT else None
        return number

    def answered(self, expected: set[int]) -> set[int]:
        """The connections that were answered, if only by a reset; waits for those that are expected."""
        found: set[int] = set()
        waiting = {made.fileno(): flow.probe for made, flow in self.connecting}
        deadline = time.monotonic() + PATIENCE_S
        poll = select.poll()
        for number in waiting:
            poll.register(number, select.POLLOUT | select.POLLERR | select.POLLHUP)
        while True:
            for number, _ in poll.poll(0 if expected <= found else 100):
                found.add(waiting[number])
                poll.unregister(number)
            if expected <= found or time.monotonic() > deadline:
                break
        for made, _ in self.connecting:
            made.close()
        self.connecting.clear()
        return found


def _received(receiver: socket.socket) -> Iterator[bytes]:
    """The packets for this end that are there by now."""
    while True:
        try:
            packet, (_, _, kind, *_) = receiver.recvfrom(2048)
        except BlockingIOError:
            return
        if kind == PACKET_HOST:
            yield packet


def _payload(flow: Flow, traffic: str) -> tuple[int, bytes]:
    """A packet's protocol, and what follows its IP header."""
    word, _, rest = traffic.partition(" ")
    match word:
        case "ICMP":
            kind, _, code = rest.partition("/")
            inner = _header(6, flow.destination, flow.source, 1) + struct.pack("!HHI", 80, flow.port, 0)
            echo = struct.pack("!HH", flow.port, 1) + b"echo"
            body = echo if kind == "8" else struct.pack("!HH", 0, 1400) + inner
            payload = _summed(struct.pack("!BBH", int(kind), int(code), 0) + body)
        case "TCP":
            payload = struct.pack("!HHIIBBHHH", flow.port, int(rest), 1, 0, 5 << 4, SYN, 8192, 0, 0)
        case "UDP":
            payload = struct.pack("!HHHH", flow.port, int(rest), 8, 0)
        case "SCTP":
            chunk = struct.pack("!BBHIIHHI", 1, 0, 20, 1, 1500, 1, 1, 1)
            payload = struct.pack("!HHII", flow.port, int(rest), 0, 0) + chunk
        case _:
            payload = b"marker"
    return PROTOCOLS.get(word, MARKER), payload


def _header(protocol: int, source: str, destination: str, number: int) -> bytes:
    """An IP header; its sum is the kernel's to fill in."""
    ends = socket.inet_aton(source) + socket.inet_aton(destination)
    return struct.pack("!BBHHHBBH", 0x45, 0, 0, number, 0, 64, protocol, 0) + ends


def _summed(message: bytes) -> bytes:
    """An ICMP message with its checksum."""
    padded = message + b"\0" * (len(message) % 2)
    total = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    return message[:2] + struct.pack("!H", ~total & 0xFFFF) + message[4:]
