"""How fast realservers are probed, beside what else could ask them: figures only, all from one run.

    sudo .venv/bin/python -m tests.bench.probe [--runs N]

In two network namespaces made for the purpose: this one asks, and in the other a small C program answers for
thousands of hosts. The same rules hold for all: each as its users get it by default, each run in a process of
its own that has asked nobody before, as many runs of each, one after the other in turn. «Inner» is the time
from the first packet to the last verdict, by the program's own account; «whole» is that of the process from
start to end. A ratio above 1 says how many times longer than ferryman somebody takes. What is not fair about
a row stands below the table. On a busy machine a program waits for a processor in proportion to the time that
it needs one for: compare «CPU» then.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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

Figures = dict[str, Any]

NMAP = "asks plainly from one port, and judges nothing but that a SYN/ACK came; asks a dead host twice"
ZMAP = "asks plainly from one port, never twice, and waits a second for late answers whatever happens"
SCAPY = "one SYN from one port; 3 s for late answers, as the reference's cookbook; no imports in «inner»"
BY_HAND = "no retries, RSTs, filter or reserved ports; half a second for late answers; any SYN/ACK will do"
OURS = "no imports in «inner»; in «whole» they are most of it"
NOBODY = "no answers, for nobody is there"


@dataclass
class Row:
    """One program in one table, and what it took in each run."""

    what: str
    measure: Callable[[], Figures | None]
    unfair: str
    runs: list[Figures] = field(default_factory=list)

    def median(self, key: str) -> float:
        """The median of all runs."""
        return float(statistics.median(run[key] for run in self.runs))


def main() -> None:
    """Run it in namespaces that end with it."""
    inside = ["unshare", "--net", "--mount", sys.executable, "-m", "tests.bench.probe", INSIDE]
    subprocess.run([*inside, *sys.argv[1:]], check=True)


def measure_all(runs: int) -> None:
    subprocess.run(["sh", "-c", SETUP], check=True)
    with tempfile.TemporaryDirectory(prefix="ferryman-bench-") as folder:
        built = str(Path(folder) / "responder")
        subprocess.run(["gcc", "-O2", "-o", built, str(RESPONDER)], check=True)
        far = ["ip", "netns", "exec", FAR, built, "eth0"]
        with subprocess.Popen(far, stdout=subprocess.PIPE, text=True) as responder:
            assert responder.stdout is not None
            try:
                assert responder.stdout.readline() == "ready\n"
                tables(runs)
            finally:
                responder.kill()


def tables(runs: int) -> None:
    for title, rows in (
        ("250 hosts", few()),
        ("250 hosts, 10 of them dead", few_dead()),
        ("10,000 hosts", many()),
        ("10,000 hosts from one source port each", many_from_one_port()),
    ):
        table(title, rows, runs)
    print(f"{'judged':<22}{'anything that answers':<24}ferryman")
    for what, rule, verdict in peer("ill", ",".join(ILL))["judged"]:
        print(f"{what:<22}{rule:<24}{verdict}")


def few() -> list[Row]:
    return [
        Row("ferryman", partial(peer, "ferryman", "250", "0", "4"), OURS),
        Row("ferryman, 1 source port", partial(peer, "ferryman", "250", "0", "1"), OURS),
        Row("nmap -sS -Pn -n", partial(nmap, 250, "10.31.0.1-250"), NMAP),
        Row("zmap -c 1 (a /24)", partial(zmap, "10.31.0.0/24", 256), ZMAP),
        Row("bytes by hand, 4 ports", partial(peer, "by-hand", "250", "0", "4"), BY_HAND),
        Row("bytes by hand, 1 port", partial(peer, "by-hand", "250", "0", "1"), BY_HAND),
        Row("scapy sr()", partial(peer, "batch", "250"), SCAPY),
        Row("scapy sr1(), 20 of the 250", partial(peer, "serial", "20"), f"{SCAPY}; 20 hosts alone"),
        Row("sendto() alone, 1,000 packets", partial(peer, "floor", "1000"), NOBODY),
    ]


def few_dead() -> list[Row]:
    return [
        Row("ferryman", partial(peer, "ferryman", "250", "10", "4"), OURS),
        Row("nmap -sS -Pn -n", partial(nmap, 250, "10.31.0.1-240", "10.32.0.1-10"), NMAP),
        Row("bytes by hand, 4 ports", partial(peer, "by-hand", "250", "10", "4"), BY_HAND),
        Row("scapy sr()", partial(peer, "batch", "250", "10"), SCAPY),
    ]


def many() -> list[Row]:
    return [
        Row("ferryman", partial(peer, "ferryman", "10000", "0", "4"), OURS),
        Row("ferryman, 10 of them dead", partial(peer, "ferryman", "10000", "10", "4"), OURS),
        Row("nmap -sS -Pn -n", partial(nmap, 10_000, "10.31.0-39.1-250"), NMAP),
        Row("bytes by hand, 4 ports", partial(peer, "by-hand", "10000", "0", "4"), BY_HAND),
        Row("scapy sr()", partial(peer, "batch", "10000"), SCAPY),
        Row("sendto() alone, 40,000 packets", partial(peer, "floor", "40000"), NOBODY),
    ]


def many_from_one_port() -> list[Row]:
    return [
        Row("ferryman, 1 source port", partial(peer, "ferryman", "10000", "0", "1"), OURS),
        Row("zmap -c 1 (a /18)", partial(zmap, "10.31.0.0/18", 16384), f"{ZMAP}; 16,384 hosts"),
        Row("nmap -sS -Pn -n", partial(nmap, 10_000, "10.31.0-39.1-250"), NMAP),
        Row("bytes by hand, 1 port", partial(peer, "by-hand", "10000", "0", "1"), BY_HAND),
        Row("sendto() alone, 10,000 packets", partial(peer, "floor", "10000"), NOBODY),
    ]


def table(title: str, rows: Sequence[Row], runs: int) -> None:
    """Measure all rows in turn and print them; the first is what the others are compared with."""
    before = os.getloadavg()[0]
    for _ in range(runs):
        for row in rows:
            if (figures := row.measure()) is not None:
                row.runs.append(figures)
    load = f"load average {before:.1f} to {os.getloadavg()[0]:.1f}"
    print(f"{title}   (medians of {runs} runs in turn; {load})")
    columns = ("hosts", "inner s", "ratio", "whole s", "ratio", "CPU s", "good", "peak MiB", "of imports")
    print(f"{'':<32}" + "".join(f"{column:>14}" for column in columns))
    for row in rows:
        print(line(row, rows[0]) if row.runs else f"{row.what:<32}  not installed: left out", flush=True)
    for unfair in dict.fromkeys(row.unfair for row in rows):
        print(f"    {', '.join(row.what for row in rows if row.unfair == unfair)}: {unfair}")
    print()


def line(row: Row, ours: Row) -> str:
    inner, whole = row.median("seconds"), row.median("whole")
    cells = [
        f"{row.runs[0]['hosts']}",
        f"{inner:.3f}",
        f"{inner / ours.median('seconds'):.2f}",
        f"{whole:.3f}",
        f"{whole / ours.median('whole'):.2f}",
        *(f"{row.median(key):{form}}" if key in row.runs[0] else "" for key, form in FURTHER),
    ]
    extremes = f"   inner {min(run['seconds'] for run in row.runs):.3f} to "
    extremes += f"{max(run['seconds'] for run in row.runs):.3f}"
    return f"{row.what:<32}" + "".join(f"{cell:>14}" for cell in cells) + extremes


FURTHER = (("whole_cpu", ".3f"), ("good", ".0f"), ("peak_mib", ".0f"), ("imported_mib", ".0f"))
"""What is printed of the runs beside their times, and how."""


def peer(*words: str) -> Figures:
    """One measurement of ``probe_peers.py``, with the time of its whole process."""
    whole, output = program(sys.executable, "-m", "tests.bench.probe_peers", *words)
    figures: Figures = json.loads(output)
    return figures | whole


def nmap(count: int, *where: str) -> Figures | None:
    if shutil.which("nmap") is None:
        return None
    whole, output = program("nmap", "-sS", "-Pn", "-n", "-p", "80", *where)
    own = re.search(r"scanned in ([\d.]+) seconds", output)
    assert own is not None, output[-500:]
    return whole | {"hosts": count, "seconds": float(own[1]), "good": output.count("80/tcp open")}


def zmap(where: str, count: int) -> Figures | None:
    if shutil.which("zmap") is None:
        return None
    # It is told the gateway's address, for in a namespace it waits for ever to find that out.
    [gateway] = json.loads(subprocess.check_output(["ip", "-j", "neigh", "show", "10.30.0.2"]))
    wire = ("-i", "eth0", "-G", gateway["lladdr"], "-b", "/dev/null")
    words = ("zmap", "-q", "-p", "80", "-r", "1000000", "-c", "1", *wire, "-o", "-", where)
    whole, output = program(*words)
    return whole | {"hosts": count, "seconds": whole["whole"], "good": len(output.split())}


def program(*words: str) -> tuple[Figures, str]:
    """Run it; its seconds from start to end, those for which it needed a processor, and what it printed."""
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(words, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    took, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"whole": took, "whole_cpu": cpu}, done.stdout


if __name__ == "__main__":
    if INSIDE in sys.argv:
        parser = argparse.ArgumentParser()
        parser.add_argument(INSIDE, action="store_true")
        parser.add_argument("--runs", type=int, default=5)
        measure_all(parser.parse_args().runs)
    else:
        main()
