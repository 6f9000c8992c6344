"""How long a probe of many realservers takes: real sockets, a real kernel, a tunnel's end in user space.

    sudo PYTHONPATH=lib .venv/bin/python tests/bench/probe.py [REALSERVERS]

Figures only. The far end is one namespace with many addresses, and its decapsulator is in Python.
"""

from __future__ import annotations

import subprocess
import sys
import time
from ipaddress import IPv4Address
from pathlib import Path

from ferryman.config import ProbeConfig
from ferryman.model import ProbeResult, ProbeVerdict, VirtualService
from ferryman.probe import Prober, Target

VIP = IPv4Address("10.99.0.1")
FIRST = IPv4Address("10.30.1.0")
DECAPSULATOR = Path(__file__).parents[1] / "lab" / "decapsulator.py"
INSIDE = "--inside"
STAY = "print(flush=True); time.sleep(600)"

SETUP = """
set -e
ip link set lo up
ip netns add {far}
ip link add eth0 type veth peer name eth0 netns {far}
ip addr add 10.30.0.1/16 dev eth0; ip link set eth0 up
ip -n {far} link set lo up; ip -n {far} link set eth0 up
ip -n {far} addr add 10.30.0.2/16 dev eth0
ip -n {far} route add local 10.30.1.0/24 dev lo
ip -n {far} route add local 10.30.2.0/23 dev lo
ip -n {far} addr add 10.99.0.1/32 dev lo
ip route add 10.30.1.0/24 via 10.30.0.2; ip route add 10.30.2.0/23 via 10.30.0.2
"""


def main(count: int) -> None:
    """Run the measurement in namespaces that end with it."""
    command = ["unshare", "--net", "--mount", sys.executable, __file__, INSIDE, str(count)]
    subprocess.run(command, check=True)


def inside(count: int) -> None:
    far = "ferryman-bench"
    subprocess.run(
        ["sh", "-c", f"mkdir -p /run/netns; mount -t tmpfs none /run/netns\n{SETUP.format(far=far)}"],
        check=True,
    )
    enter = ["ip", "netns", "exec", far, sys.executable]
    listen = f"import socket, time; s = socket.create_server(('{VIP}', 80), backlog=4096); {STAY}"
    programs = [
        subprocess.Popen([*enter, "-c", listen], stdout=subprocess.PIPE),
        subprocess.Popen([*enter, str(DECAPSULATOR), "0.0.0.0", "0.0.0.0"], stdout=subprocess.PIPE),
    ]
    try:
        for program in programs:
            assert program.stdout is not None
            program.stdout.readline()
        measure(count)
    finally:
        for program in programs:
            program.kill()
            program.communicate()


def measure(count: int) -> None:
    virtual = VirtualService("web", "default", "tcp", VIP, 80, "wrr")
    targets = [Target(f"rs{number}", virtual, FIRST + number, 1460) for number in range(count)]
    for _ in range(3):
        began, cpu = time.perf_counter(), time.process_time()
        results = Prober(ProbeConfig()).probe(targets, lambda _: None)
        took, cpu = time.perf_counter() - began, time.process_time() - cpu
        print(f"{count} realservers: {took:.3f} s, {cpu:.3f} s of CPU, {summary(results)}")


def summary(results: list[ProbeResult]) -> str:
    accepted = [result for result in results if result.verdict is ProbeVerdict.ACCEPTED]
    rtts = sorted(result.rtt_ms for result in accepted if result.rtt_ms is not None)
    return f"{len(accepted)} accepted, round trip {rtts[len(rtts) // 2]:.2f} ms in the middle"


if __name__ == "__main__":
    if INSIDE in sys.argv:
        inside(int(sys.argv[-1]))
    else:
        main(int(sys.argv[1]) if sys.argv[1:] else 250)
