"""Runs a check of a service that has faults in it, and says where its word differs from the table's."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from ferryman.lab import topology
from ferryman.retry import poll_until
from lab.quick import configure
from lab.running import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from lab.matrix.table import Row
    from lab.running import RunningLab

CAUSE = re.compile(r"cause: (not found|[\w-]+)")
CHECK_S = 100.0
LOOK = """
ip -o -d -batch - <<'EOF'
address
route show table all
EOF
iptables-legacy-save
ip6tables-legacy-save
grep -rs . /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/conf /etc/sysctl.d /etc/network /etc/ufw
"""
LOOK_AT_DIRECTORS = f"{LOOK}ipvsadm -Sn"
BY_THEMSELVES = re.compile(
    r"(?m)^[#:*].*$|^COMMIT$|^.*fe80::.*$|^\d+: |\[\d+:\d+\]|@if\d+|ifindex \d+|expires \d+sec"
)
"""Counters, times, and what devices are given anew when they are made anew."""


@dataclass(frozen=True, slots=True)
class CheckOutput:
    """What ``ferryman check`` said, and how it ended."""

    exit_code: int
    findings: tuple[dict[str, Any], ...]
    stderr: str

    def of(self, host: str, *verdicts: str) -> list[dict[str, Any]]:
        """The findings about a host with one of these verdicts."""
        return [
            finding for finding in self.findings if finding["host"] == host and finding["verdict"] in verdicts
        ]

    @property
    def blocking(self) -> list[dict[str, Any]]:
        """The findings that block: those that failed or could not be determined."""
        return [finding for finding in self.findings if finding["verdict"] in ("fail", "unknown")]

    def causes(self, host: str) -> set[str]:
        """What the failed probes and exchanges of a host name as their cause."""
        failed = [
            finding["seen"]
            for finding in self.of(host, "fail", "unknown")
            if finding["check"] in ("probe", "exchange")
        ]
        return {found[1] if (found := CAUSE.search(seen)) else "none" for seen in failed}


def checked(lab: RunningLab, service: str) -> CheckOutput:
    """Run ``ferryman check`` for a service, and return what it said."""
    return run_check(lab, [], service)


def run_check(lab: RunningLab, within: Sequence[str], service: str) -> CheckOutput:
    """Run ``ferryman check`` inside another command, such as ``setpriv``, and return what it said."""
    config = str(lab.folder / "ferryman.toml")
    command = [sys.executable, "-m", "ferryman", "--config", config, "--output", "json", "check"]
    done = subprocess.run(
        [*within, *command, service, "--site", "lab"],
        capture_output=True,
        text=True,
        check=False,
        timeout=CHECK_S,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "lib")},
    )
    events = [json.loads(line) for line in done.stdout.splitlines()]
    findings = tuple(event for event in events if event["event"] == "finding")
    return CheckOutput(done.returncode, findings, done.stderr)


def put(lab: RunningLab, rows: Sequence[Row]) -> None:
    """Put the faults of these rows into the lab."""
    for row in rows:
        lab.put(row.fault, row.host)


@contextmanager
def sound_again(lab: RunningLab, rows: Sequence[Row]) -> Iterator[None]:
    """Take every fault out at the end, and make sure that the hosts are as they were before."""
    hosts = sorted({row.host for row in rows})
    sound = as_booted(lab)
    before = [line for host in hosts for line in sound[host]]

    def changed() -> list[str]:
        looks = looked_at(lab, hosts)
        now = [line for host in hosts for line in looks[host]]
        return [f"- {line}" for line in before if line not in now] + [
            f"+ {line}" for line in now if line not in before
        ]

    try:
        yield
    finally:
        lab.clear()
    # keepalived takes a realserver back when its health check has passed again
    assert poll_until(changed, lambda lines: not lines, within_s=60) == []


@cache
def as_booted(lab: RunningLab) -> dict[str, list[str]]:
    """What every host looks like without a fault; looked at once, for whoever puts one in takes it out."""
    return looked_at(lab, [host.name for host in topology.DEFAULT.hosts])


def looked_at(lab: RunningLab, hosts: Sequence[str]) -> dict[str, list[str]]:
    """What faults touch on these hosts, without what changes by itself."""
    directors = {director.name for director in topology.DEFAULT.directors}
    looks = {host: LOOK_AT_DIRECTORS if host in directors else LOOK for host in hosts}
    script = "".join(
        f"echo '=={host}'; ip netns exec {host} sh -c {shlex.quote(look)}\n" for host, look in looks.items()
    )
    texts = BY_THEMSELVES.sub("", lab.console("rt", script)).split("==")[1:]
    return {host: text.splitlines() for host, _, text in (part.partition("\n") for part in texts)}


def differences(rows: Sequence[Row], output: CheckOutput) -> list[str]:
    """How what was said differs from what the rows want, which are of one service and one exit code."""
    wanted = rows[0].exit_code
    problems = (
        []
        if output.exit_code == wanted
        else [f"exit code {output.exit_code}, wanted {wanted}: {output.stderr}"]
    )
    problems += [difference for row in rows for difference in _of_one(row, output)]
    blocking = [finding for finding in output.blocking if not _follows(finding, rows)]
    innocent = {finding["host"] for finding in blocking} - _may_be_accused(rows)
    return [*problems, *(f"accuses {host}: {_seen(output, host)}" for host in sorted(innocent))]


def _of_one(row: Row, output: CheckOutput) -> list[str]:
    about = row.on or row.host
    verdicts = ("fail", "unknown") if row.exit_code else ("warn",)
    named = {finding["check"] for finding in output.of(about, *verdicts)}
    problems = []
    if row.check is not None and row.check not in named:
        problems.append(f"{row}: names {sorted(named)}, wanted {row.check}: {_seen(output, about)}")
    if row.cause is not None and output.causes(row.host) != {row.cause}:
        problems.append(
            f"{row}: causes {output.causes(row.host)}, wanted {row.cause}: {_seen(output, row.host)}"
        )
    return problems


def _follows(finding: dict[str, Any], rows: Sequence[Row]) -> bool:
    """Whether a director misses one of the hosts, because health checks have taken it out or soon will."""
    hosts = [topology.DEFAULT.by_name[row.host] for row in rows]
    names = [name for host in hosts for name in (f"{host.name} (", f"{host.address}:", f"[{host.address6}]:")]
    is_of_table = finding["check"] in ("ipvs-table", "director-edit")
    return is_of_table and any(name in finding["seen"] for name in names)


def _may_be_accused(rows: Sequence[Row]) -> set[str]:
    """The hosts themselves; requests through a VIP fail for all when one server's share does."""
    if rows[0].exit_code == 0:
        return set()
    (service,) = (service for service in topology.DEFAULT.services if service.name == rows[0].service)
    asked = set(service.realservers) if any(row.host == topology.ROUTER.name for row in rows) else set()
    return {row.on or row.host for row in rows} | {str(vip) for vip in service.vips} | asked


def _seen(output: CheckOutput, host: str) -> str:
    return "; ".join(
        f"{finding['check']}: {finding['seen']}" for finding in output.of(host, "fail", "unknown", "warn")
    )


def hasten(folder: Path) -> None:
    """Shorten what probes and requests wait for that nobody answers."""
    waits = {"timeout": 0.2, "tries": 2, "backoff": 1}
    configure(folder, {"traffic": {"timeout": 2}, "probe": waits})
