"""How fast realservers are probed, beside what else could ask them: figures only, all from one run.

    sudo .venv/bin/python -m tests.bench.probe

In two network namespaces made for the purpose: this one asks, and in the other a small C program answers for
thousands of hosts. scapy's and the prober's imports are not counted and are told apart; nmap's and zmap's
times are of the whole program. nmap and zmap ask plainly, for they cannot encapsulate.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

FAR = "ferryman-bench"
INSIDE = "--inside"
RESPONDER = Path(__file__).with_name("responder.c")
ILL = ("dead", "well", "port closed", "MSS 1460", "forged number", "1 of 4 ports dead")
"""The kinds of hosts that the responder plays, in its order."""

SETUP = f"""
set -e
mkdir -p /run/netns; mount -t tmpfs none /run/netns
ip link set lo up
ip netns add {FAR}
ip link add eth0 type veth peer name eth0 netns {FAR}
ip addr add 10.30.0.1/24 dev eth0; ip link set eth0 up
ip -n {FAR} addr add 10.30.0.2/24 dev eth0; ip -n {FAR} link set eth0 up
ip route add default via 10.30.0.2
ping -c1 -W2 10.30.0.2 >/dev/null
"""


def main() -> None:
    """Run it in namespaces that end with it."""
    inside = ["unshare", "--net", "--mount", sys.executable, "-m", "tests.bench.probe", INSIDE]
    subprocess.run(inside, check=True)


def measure_all() -> None:
    subprocess.run(["sh", "-c", SETUP], check=True)
    with tempfile.TemporaryDirectory(prefix="ferryman-bench-") as folder:
        built = str(Path(folder) / "responder")
        subprocess.run(["gcc", "-O2", "-o", built, str(RESPONDER)], check=True)
        far = ["ip", "netns", "exec", FAR, built, "eth0"]
        with subprocess.Popen(far, stdout=subprocess.PIPE, text=True) as responder:
            assert responder.stdout is not None
            try:
                assert responder.stdout.readline() == "ready\n"
                tables()
            finally:
                responder.kill()


def tables() -> None:
    print(f"importing scapy and the prober: {importing():.2f} s, not counted below\n")
    head = f"{'':<46}{'hosts':>7}{'seconds':>10}{'hosts/s':>10}{'good':>7}{'MiB':>6}"
    for title, rows in (("250 hosts", few()), ("250 hosts, 10 dead", few_dead()), ("10,000 hosts", many())):
        print(f"{title}\n{head}")
        for what, figures in rows:
            print(row(what, figures), flush=True)
        print()
    print(f"{'judged':<22}{'anything that answers':<24}ferryman")
    for what, rule, verdict in peer("ill", ",".join(ILL))["judged"]:
        print(f"{what:<22}{rule:<24}{verdict}")


def few() -> Iterator[tuple[str, dict[str, Any] | None]]:
    yield "scapy sr1, one by one (20 of the 250)", peer("serial", "20")
    yield "scapy sr1 over L3RawSocket (20 of the 250)", peer("raw", "serial", "20")
    yield "scapy sr", peer("batch", "250")
    yield "scapy sr over L3RawSocket", peer("raw", "batch", "250")
    yield "nmap -sS -Pn -n", nmap("10.31.0.1-250", 250)
    yield "zmap -c 1 (a /24; of that 1 s cooling down)", zmap("10.31.0.0/24", 256)
    yield "ferryman, 1 source port", peer("ferryman", "250", "0", "1", "9")
    yield "ferryman, 4 source ports", peer("ferryman", "250", "0", "4", "9")


def few_dead() -> Iterator[tuple[str, dict[str, Any] | None]]:
    yield "scapy sr over L3RawSocket, 3 s, one try", peer("raw", "batch", "250", "10")
    ours = peer("ferryman", "250", "10", "4", "3")
    yield f"ferryman (the tries of the dead: {ours['patience']:g} s)", ours


def many() -> Iterator[tuple[str, dict[str, Any] | None]]:
    yield "sendto() alone, packets", peer("floor", "20000")
    yield "zmap -c 1 (a /18; of that 1 s cooling down)", zmap("10.31.0.0/18", 16384)
    yield "ferryman, 1 source port", peer("ferryman", "10000", "0", "1", "7")
    yield "ferryman, 4 source ports", peer("ferryman", "10000", "0", "4", "3")
    yield "ferryman, 1 source port, 10 dead", peer("ferryman", "10000", "10", "1", "1")


def row(what: str, figures: dict[str, Any] | None) -> str:
    if figures is None:
        return f"{what:<46}  not installed: skipped"
    hosts, seconds = figures["hosts"], figures["seconds"]
    peak = f"{figures['peak_mib']:6.0f}" if "peak_mib" in figures else " " * 6
    notes = ""
    if "fastest" in figures:
        notes = (
            f"   {figures['fastest']:.3f} to {figures['slowest']:.3f} s, {figures['least_cpu']:.3f} s of CPU"
        )
    if "own" in figures:
        notes = f"   by its own account {figures['own']}"
    return f"{what:<46}{hosts:>7}{seconds:>10.3f}{hosts / seconds:>10.0f}{figures['good']:>7}{peak}{notes}"


def importing() -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import ferryman.probe.session"], check=True)
    return time.perf_counter() - began


def peer(*words: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.bench.probe_peers", *words]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def nmap(where: str, count: int) -> dict[str, Any] | None:
    if shutil.which("nmap") is None:
        return None
    seconds, output = program("nmap", "-sS", "-Pn", "-n", "-p", "80", where)
    own = re.search(r"scanned in ([\d.]+) seconds", output)
    return {
        "hosts": count,
        "seconds": seconds,
        "good": output.count("80/tcp open"),
        "own": f"{own[1]} s" if own else "?",
    }


def zmap(where: str, count: int) -> dict[str, Any] | None:
    if shutil.which("zmap") is None:
        return None
    # It is told the gateway's address, for in a namespace it waits for ever to find that out.
    [gateway] = json.loads(subprocess.check_output(["ip", "-j", "neigh", "show", "10.30.0.2"]))
    wire = ("-i", "eth0", "-G", gateway["lladdr"], "-b", "/dev/null")
    words = ("zmap", "-q", "-p", "80", "-r", "1000000", "-c", "1", *wire, "-o", "-", where)
    seconds, output = program(*words)
    return {"hosts": count, "seconds": seconds, "good": len(output.split())}


def program(*words: str) -> tuple[float, str]:
    """Run it; seconds from start to end, and what it printed."""
    began = time.perf_counter()
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    return time.perf_counter() - began, done.stdout


if __name__ == "__main__":
    if INSIDE in sys.argv:
        measure_all()
    else:
        main()
