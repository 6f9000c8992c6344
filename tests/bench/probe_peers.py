"""One measurement of ``probe.py`` in a process of its own: prints a line of JSON, imports told apart.

    python -m tests.bench.probe_peers NAME [ARGUMENT …]

Everybody asks the same far end the same way, with a SYN in IPv4-in-IPv4; «good» is what each would pass.
Nobody imports what another one needs: the time and the memory of the whole process are compared too.
"""

from __future__ import annotations

import json
import resource
import select
import socket
import struct
import sys
import time
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from scapy.packet import Packet

OWN, VIP, PORT = IPv4Address("10.30.0.1"), IPv4Address("10.99.0.1"), 80
OUTER_SOURCE = IPv4Address("172.16.1.1")
WELL, DEAD, ILL = IPv4Address("10.31.0.0"), IPv4Address("10.32.0.0"), IPv4Address("10.33.0.0")
MSS_LIMIT = 1440
REFERENCE_PATIENCE_S = 3
"""Seconds that the reference's probe waits for an answer."""
BYTES_PATIENCE_S = 0.5
"""Seconds that bytes written by hand wait for the last answers."""
SO_RCVBUFFORCE = 33

Figures = dict[str, Any]


def hosts(count: int, dead: int = 0) -> list[IPv4Address]:
    """That many addresses, the last ones of hosts that never answer."""
    return [WELL + number for number in range(count - dead)] + [DEAD + number for number in range(dead)]


def timed(action: Callable[[], int], count: int) -> Figures:
    """Run it; ``action`` says how many hosts it calls good."""
    imported_mib = peak_mib()
    began, cpu = time.perf_counter(), time.process_time()
    good = action()
    took, cpu = time.perf_counter() - began, time.process_time() - cpu
    return {"hosts": count, "seconds": took, "cpu": cpu, "good": good, "imported_mib": imported_mib}


def peak_mib() -> float:
    """The most memory that this process has had, its libraries with it."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def syn(host: IPv4Address) -> Packet:
    """The encapsulated SYN as the reference's cookbook sends it."""
    from scapy.layers.inet import IP, TCP  # noqa: PLC0415  # as the module says

    outer, inner = IP(src=str(OUTER_SOURCE), dst=str(host)), IP(src=str(OWN), dst=str(VIP))
    number = int(host) & 0xFFFF
    segment = TCP(sport=1024 + number % 60000, dport=PORT, flags="S", seq=number, options=[("MSS", 1460)])
    return outer / inner / segment


def over_raw_sockets() -> None:
    """Spare scapy the default socket's work for each packet, and let it take answers from inside a tunnel."""
    from scapy.config import conf  # noqa: PLC0415  # as the module says
    from scapy.supersocket import L3RawSocket  # noqa: PLC0415

    conf.L3socket = L3RawSocket
    conf.checkIPinIP = False


def serial(count: str) -> Figures:
    """Ask one host after the other by scapy's sr1, and wait for each answer."""
    import scapy.sendrecv  # noqa: F401, PLC0415  # it is not counted

    over_raw_sockets()
    asked = hosts(int(count))
    return timed(lambda: sum(answers_serially(host) for host in asked), len(asked))


def answers_serially(host: IPv4Address) -> bool:
    """The reference's rule: anything that answers is good."""
    from scapy.sendrecv import sr1  # noqa: PLC0415  # as the module says

    return sr1(syn(host), timeout=REFERENCE_PATIENCE_S, verbose=False) is not None


def batch(count: str, dead: str = "0") -> Figures:
    """Ask all hosts in one call of scapy's sr."""
    from scapy.sendrecv import sr  # noqa: PLC0415  # as the module says

    over_raw_sockets()
    asked = hosts(int(count), int(dead))
    packets = [syn(host) for host in asked]

    def ask() -> int:
        answered, _ = sr(packets, timeout=REFERENCE_PATIENCE_S, verbose=False)
        return len(answered)

    return timed(ask, len(asked))


def checksum(data: bytes) -> int:
    """The internet checksum (RFC 1071)."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    return ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF


def header(protocol: int, length: int, source: IPv4Address, destination: IPv4Address) -> bytes:
    """An IPv4 header."""
    packed = struct.pack("!BBHHHBBH", 0x45, 0, length, 0, 0x4000, 64, protocol, 0)
    packed += source.packed + destination.packed
    return packed[:10] + checksum(packed).to_bytes(2, "big") + packed[12:]


def packet(host: IPv4Address, port: int, number: int) -> bytes:
    """The encapsulated SYN, written by hand."""
    segment = struct.pack("!HHIIHHHHHH", port, PORT, number, 0, 6 << 12 | 2, 64240, 0, 0, 0x0204, 1460)
    pseudo = OWN.packed + VIP.packed + struct.pack("!HH", 6, len(segment))
    segment = segment[:16] + checksum(pseudo + segment).to_bytes(2, "big") + segment[18:]
    return header(4, 64, OUTER_SOURCE, host) + header(6, 44, OWN, VIP) + segment


def by_hand(count: str, dead: str, ports: str) -> Figures:
    """Bytes by struct through a raw socket, answers by another: no retries, RSTs, filter, reserved ports."""
    asked = hosts(int(count), int(dead))
    with (
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as sender,
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP) as receiver,
    ):
        receiver.setblocking(False)
        receiver.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 * 2**20)
        left = {host: set(range(int(ports))) for host in asked}
        numbers: dict[int, tuple[IPv4Address, int]] = {}

        def read() -> None:
            while True:
                try:
                    answer = receiver.recv(128)
                except BlockingIOError:
                    return
                acknowledged, bits = struct.unpack_from("!IH", answer, 28)
                host, port = numbers.pop(acknowledged - 1, (None, 0))
                if host is not None and bits & 0x17 == 0x12:  # SYN and ACK
                    left[host].discard(port)

        def ask() -> int:
            number = 1000
            for host in asked:
                to = (str(host), 0)
                for port in range(int(ports)):
                    number += 1
                    numbers[number] = host, port
                    sender.sendto(packet(host, 20000 + number % 256, number), to)
                if number % 64 < int(ports):
                    read()
            until = time.monotonic() + BYTES_PATIENCE_S
            while numbers and (wait := until - time.monotonic()) > 0:
                select.select([receiver], [], [], wait)
                read()
            return sum(not waiting for waiting in left.values())

        return timed(ask, len(asked))


def floor(packets: str) -> Figures:
    """No more than sendto() of one packet that was made before, to a host that is not there."""
    made, to = packet(DEAD, 1, 1), (str(DEAD), 0)
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as sender:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8 * 2**20)

        def send() -> int:
            for _ in range(int(packets)):
                sender.sendto(made, to)
            return 0

        return timed(send, int(packets))


def ferryman(count: str, dead: str, samples: str) -> Figures:
    """The prober as it is configured by default, with so many source ports."""
    from ferryman.config import ProbeConfig  # noqa: PLC0415  # as the module says
    from ferryman.model import ProbeVerdict, VirtualService  # noqa: PLC0415
    from ferryman.probe import Prober, Target, session  # noqa: F401, PLC0415  # scapy is not counted

    web = VirtualService("web", "default", "tcp", VIP, PORT, "wrr")
    probe = ProbeConfig(samples=int(samples))
    targets = [Target(str(host), web, host, MSS_LIMIT) for host in hosts(int(count), int(dead))]

    def ask() -> int:
        return sum(result.verdict is ProbeVerdict.ACCEPTED for result in Prober(probe).probe(targets))

    return timed(ask, len(targets))


def ill(names: str) -> Figures:
    """How hosts that are ill in different ways are judged, by the reference's rule and by the prober."""
    from ferryman.config import ProbeConfig  # noqa: PLC0415  # as the module says
    from ferryman.model import VirtualService  # noqa: PLC0415
    from ferryman.probe import Prober, Target  # noqa: PLC0415

    over_raw_sockets()
    web = VirtualService("web", "default", "tcp", VIP, PORT, "wrr")
    asked = [ILL + number for number in range(len(names.split(",")))]
    results = Prober(ProbeConfig()).probe([Target(str(host), web, host, MSS_LIMIT) for host in asked])
    rule = ["good" if answers_serially(host) else "bad" for host in asked]
    verdicts = [f"{result.verdict.value} ({result.accepted} of {result.asked})" for result in results]
    return {"judged": list(zip(names.split(","), rule, verdicts, strict=True))}


MEASUREMENTS: dict[str, Callable[..., Figures]] = {
    "serial": serial,
    "batch": batch,
    "by-hand": by_hand,
    "floor": floor,
    "ferryman": ferryman,
    "ill": ill,
}

if __name__ == "__main__":
    figures = MEASUREMENTS[sys.argv[1]](*sys.argv[2:])
    print(json.dumps(figures | {"peak_mib": peak_mib()}))
