"""One measurement of ``probe.py`` in a process of its own: prints a line of JSON, imports not counted.

    python -m tests.bench.probe_peers NAME [ARGUMENT …]

Everybody asks the same far end the same way, with a SYN in IPv4-in-IPv4; «good» is what each would pass.
"""

from __future__ import annotations

import json
import resource
import socket
import statistics
import sys
import time
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any

from scapy.config import conf
from scapy.layers.inet import IP, TCP
from scapy.sendrecv import sr, sr1
from scapy.supersocket import L3RawSocket

from ferryman.config import ProbeConfig
from ferryman.model import ProbeVerdict, VirtualService
from ferryman.probe import Prober, Target
from ferryman.probe.packets import packet_pair

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scapy.packet import Packet

OWN, VIP, PORT = IPv4Address("10.30.0.1"), IPv4Address("10.99.0.1"), 80
OUTER_SOURCE = IPv4Address("172.16.1.1")
WELL, DEAD, ILL = IPv4Address("10.31.0.0"), IPv4Address("10.32.0.0"), IPv4Address("10.33.0.0")
WEB = VirtualService("web", "default", "tcp", VIP, PORT, "wrr")
MSS_LIMIT = 1440
PATIENCE_S = 3
"""Seconds that the reference's probe waits for an answer."""

Figures = dict[str, Any]


def hosts(count: int, dead: int = 0) -> list[IPv4Address]:
    """That many addresses, the last ones of hosts that never answer."""
    return [WELL + number for number in range(count - dead)] + [DEAD + number for number in range(dead)]


def syn(host: IPv4Address) -> Packet:
    """The encapsulated SYN as the reference's cookbook sends it."""
    outer, inner = IP(src=str(OUTER_SOURCE), dst=str(host)), IP(src=str(OWN), dst=str(VIP))
    number = int(host) & 0xFFFF
    segment = TCP(sport=1024 + number % 60000, dport=PORT, flags="S", seq=number, options=[("MSS", 1460)])
    return outer / inner / segment


def timed(action: Callable[[], int], count: int) -> Figures:
    """Run it; ``action`` says how many hosts it calls good."""
    began, cpu = time.perf_counter(), time.process_time()
    good = action()
    took, cpu = time.perf_counter() - began, time.process_time() - cpu
    return {"hosts": count, "seconds": took, "cpu": cpu, "good": good}


def serial(count: str) -> Figures:
    """Ask one host after the other, and wait for each answer."""
    asked = hosts(int(count))
    return timed(lambda: sum(answers_serially(host) for host in asked), len(asked))


def answers_serially(host: IPv4Address) -> bool:
    """The reference's rule: anything that answers is good."""
    return sr1(syn(host), timeout=PATIENCE_S, verbose=False) is not None


def batch(count: str, dead: str = "0") -> Figures:
    """Ask all hosts in one call of scapy's."""
    asked = hosts(int(count), int(dead))
    packets = [syn(host) for host in asked]
    return timed(lambda: len(sr(packets, timeout=PATIENCE_S, verbose=False)[0]), len(asked))


def raw(name: str, *arguments: str) -> Figures:
    """The same over scapy's raw socket, which spares the default one's work for each packet."""
    conf.L3socket = L3RawSocket
    return MEASUREMENTS[name](*arguments)


def floor(count: str) -> Figures:
    """No more than sendto() of one packet that was made before."""
    packet = bytes(packet_pair(OWN, VIP, PORT, OUTER_SOURCE).rst.filled(DEAD.packed, 1, 1))
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as sender:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8 * 2**20)
        to = (str(DEAD), 0)

        def send() -> int:
            for _ in range(int(count)):
                sender.sendto(packet, to)
            return 0

        return median([timed(send, int(count)) for _ in range(5)])


def ferryman(count: str, dead: str, samples: str, runs: str) -> Figures:
    """The prober, with a rate that never holds it up; all else is as configured by default."""
    probe = ProbeConfig(rate=1_000_000, samples=int(samples))
    targets = [target(host) for host in hosts(int(count), int(dead))]

    def ask() -> int:
        results = Prober(probe).probe(targets, lambda _: None)
        return sum(result.verdict is ProbeVerdict.ACCEPTED for result in results)

    return median([timed(ask, len(targets)) for _ in range(int(runs))]) | {"patience": probe.give_up_after_s}


def target(host: IPv4Address) -> Target:
    """One host as the prober is given it."""
    return Target(str(host), WEB, host, MSS_LIMIT)


def ill(names: str) -> Figures:
    """How hosts that are ill in different ways are judged, by the reference's rule and by the prober."""
    conf.L3socket = L3RawSocket
    asked = [ILL + number for number in range(len(names.split(",")))]
    results = Prober(ProbeConfig()).probe([target(host) for host in asked], lambda _: None)
    rule = ["good" if answers_serially(host) else "bad" for host in asked]
    verdicts = [f"{result.verdict.value} ({result.accepted} of {result.asked})" for result in results]
    return {"judged": list(zip(names.split(","), rule, verdicts, strict=True))}


def median(runs: Sequence[Figures]) -> Figures:
    """The run in the middle, and the extremes."""
    seconds = [run["seconds"] for run in runs]
    middle = min(runs, key=lambda run: abs(run["seconds"] - statistics.median(seconds)))
    return middle | {
        "fastest": min(seconds),
        "slowest": max(seconds),
        "least_cpu": min(r["cpu"] for r in runs),
    }


MEASUREMENTS: dict[str, Callable[..., Figures]] = {
    "serial": serial,
    "batch": batch,
    "raw": raw,
    "floor": floor,
    "ferryman": ferryman,
    "ill": ill,
}

if __name__ == "__main__":
    conf.checkIPinIP = False  # or scapy takes no answer from inside the tunnel for one
    figures = MEASUREMENTS[sys.argv[1]](*sys.argv[2:])
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(figures | {"peak_mib": peak_mib}))
