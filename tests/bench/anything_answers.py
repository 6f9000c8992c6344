"""The fault matrix, judged by ``ferryman check`` and by the rule that whatever answers is good.

    PYTHONPATH=lib:tests .venv/bin/python -m tests.bench.anything_answers [--healthy RUNS] [--tls] [ROW…]

Every fault goes into a lab of its own alone; then the lab without faults is checked over and over for false
alarms; ``--tls`` does that alone, with TLS in every service. It ends in a Markdown table. ROW: a part of a
row's name, such as ``rp-filter`` or ``web1``.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from argparse import ArgumentParser
from dataclasses import dataclass, replace
from itertools import cycle, islice
from random import randrange
from typing import TYPE_CHECKING, Any, TypedDict

from ferryman import lab as the_lab
from ferryman.lab import topology
from lab.conftest import own_folder
from lab.matrix.judging import checked, differences, hasten
from lab.matrix.table import DUAL, PODS, ROWS, V4
from lab.running import RunningLab

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lab.matrix.judging import CheckOutput
    from lab.matrix.table import Row

INSIDE = "--inside"
WAIT_S = 1.0
PORTS = (10_000, 30_000)
"""Not the kernel's own, which probes use: what this rule asks stays half open and would disturb them."""
KATRAN = {4: "172.16.1.1", 6: "100::1"}
HEADING = (
    "| fault | on | service | ferryman | cause | s | anything that answers |\n|---|---|---|---|---|---|---|"
)


class Place(TypedDict):
    """The realserver to ask, and the VIP and port to ask it for."""

    realserver: str
    vip: str
    port: int


@dataclass(frozen=True, slots=True)
class Line:
    """How ferryman and the rule judged one row of the matrix, and the seconds that ferryman took."""

    row: Row
    output: CheckOutput
    seconds: float
    good: bool
    """What the rule says."""

    @property
    def right(self) -> bool:
        """Whether ferryman said what the matrix wants."""
        return differences([self.row], self.output) == []

    @property
    def rule_right(self) -> bool:
        """Whether the rule refuses what is to be refused, and nothing else."""
        return self.good == (self.row.exit_code == 0)

    def __str__(self) -> str:
        verdict = {0: "pass", 3: "refused"}.get(self.output.exit_code, f"exit {self.output.exit_code}")
        verdict += "" if self.right else " **(wrong)**"
        rule = ("pass" if self.good else "refused") + ("" if self.rule_right else " **(wrong)**")
        row = self.row
        return (
            f"| {row.fault} | {row.host} | {row.service} | {verdict} | {self._named()} |"
            f" {self.seconds:.1f} | {rule} |"
        )

    def _named(self) -> str:
        """The causes of failed probes, else the checks that block."""
        causes = self.output.causes(self.row.host)
        checks = {finding["check"] for finding in self.output.blocking} - {"probe"}
        return ", ".join(sorted(causes or checks)) or "-"


class Rule:
    """Encapsulates a SYN for each realserver and calls it good when anything at all comes back."""

    def __init__(self, lab: RunningLab) -> None:
        argv = the_lab.exec_argv(lab.place, "control", [sys.executable, __file__, INSIDE])
        self._asked = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def says_good(self, service: str) -> bool:
        """Whether every realserver answers for every VIP."""
        lab = topology.DEFAULT
        found = lab.service(service)
        places = [
            Place(realserver=str(lab.realserver_address(host, vip)), vip=str(vip), port=found.port)
            for vip in found.vips
            for host in found.realservers
        ]
        assert self._asked.stdin
        assert self._asked.stdout
        self._asked.stdin.write(json.dumps(places) + "\n")
        self._asked.stdin.flush()
        return bool(json.loads(self._asked.stdout.readline()))

    def close(self) -> None:
        """End the process that asks."""
        self._asked.communicate()


def inside() -> None:
    """In the control namespace: a line of places in, whether all answered out."""
    for line in sys.stdin:
        print(json.dumps(all(anything_answers(place) for place in json.loads(line))), flush=True)


def anything_answers(place: Place) -> bool:
    """Whether any packet answers an encapsulated SYN within ``WAIT_S``: the rule that cookbooks have."""
    from scapy.config import conf  # noqa: PLC0415  # slow, and of no use outside the namespace
    from scapy.layers.inet import IP, TCP  # noqa: PLC0415
    from scapy.layers.inet6 import IPv6  # noqa: PLC0415
    from scapy.sendrecv import sr1  # noqa: PLC0415

    conf.checkIPinIP = False
    version = 6 if ":" in place["vip"] else 4
    header: Any = IPv6 if version == 6 else IP
    outer = header(src=KATRAN[version], dst=place["realserver"])
    packet = (
        outer / header(dst=place["vip"]) / TCP(sport=randrange(*PORTS), dport=place["port"], flags="S")
    )  # as they do
    response = sr1(packet, timeout=WAIT_S, verbose=False)
    return response is not None


def measured(lab: RunningLab, rule: Rule, row: Row) -> Line:
    """Put the fault of a row in, have both judge, and take it out."""
    lab.put(row.fault, row.host)
    try:
        began = time.perf_counter()
        output = checked(lab, row.service)
        seconds = time.perf_counter() - began
        return Line(row, output, seconds, rule.says_good(row.service))
    finally:
        lab.clear()


def false_alarms(lab: RunningLab, runs: int) -> None:
    """Check a lab without faults, over and over."""
    taken, alarms = [], []
    for service in islice(cycle((V4, DUAL, PODS)), runs):
        began = time.perf_counter()
        output = checked(lab, service)
        taken.append(time.perf_counter() - began)
        if output.exit_code or output.blocking:
            alarms.append(f"{service}: exit code {output.exit_code}: {output.blocking}")
    if taken:
        median, longest = statistics.median(taken), max(taken)
        print(
            f"\n{runs} healthy runs: {len(alarms)} false alarms, {median:.1f} s each ({longest:.1f} at most)"
        )
    for alarm in alarms:
        print(alarm)


def in_tls(folder: Path) -> topology.Topology:
    """The default lab with TLS in every service; the inventory in the folder is made to say so too."""
    catalog = folder / "inventory" / "services.yaml"
    text = catalog.read_text(encoding="utf-8")
    catalog.write_text(text.replace("encryption: false", "encryption: true"), encoding="utf-8")
    services = (replace(service, encryption=True) for service in topology.DEFAULT.services)
    return replace(topology.DEFAULT, services=tuple(services))


def print_results(lines: Sequence[Line]) -> None:
    """Print the table, and how many rows each judge got right."""
    print(f"\n{HEADING}", *lines, sep="\n")
    for judge, rights in (
        ("ferryman", [(line.row, line.right) for line in lines]),
        ("anything that answers", [(line.row, line.rule_right) for line in lines]),
    ):
        refused = [right for row, right in rights if row.exit_code]
        passed = [right for row, right in rights if not row.exit_code]
        print(f"\n{judge}: {sum(refused)} of {len(refused)} faults refused as they should be,", end=" ")
        print(f"{sum(passed)} of {len(passed)} harmless ones passed")


def main() -> None:
    """Boot a lab, judge every row, take the lab down."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--healthy", type=int, default=100, metavar="RUNS")
    parser.add_argument(
        "--tls", action="store_true", help="the healthy runs alone, with TLS in every service"
    )
    parser.add_argument("row", nargs="*")
    asked = parser.parse_args()
    rows = [row for row in ROWS if not asked.row or any(part in str(row) for part in asked.row)]
    if asked.tls:
        rows = []
    with own_folder() as folder:
        lab = RunningLab(folder)
        hasten(folder)
        the_lab.up(lab.place, topology=in_tls(folder) if asked.tls else topology.DEFAULT)
        try:
            rule = Rule(lab)
            lines = []
            for row in rows:
                lines.append(measured(lab, rule, row))
                print(lines[-1], file=sys.stderr, flush=True)
                for difference in differences([row], lines[-1].output):
                    print(f"    {difference}", file=sys.stderr, flush=True)
            rule.close()
            false_alarms(lab, asked.healthy)
        finally:
            the_lab.down(lab.place)
    print_results(lines)


if __name__ == "__main__":
    inside() if INSIDE in sys.argv else main()
