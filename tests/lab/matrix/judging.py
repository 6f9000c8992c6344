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
grep -rs . /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/conf /etc/sysctl.d
"""
LOOK_AT_DIRECTORS = f"{LOOK}ipvsadm -Sn"
BY_THEMSELVES = re.compile(
    r"(?m)^[#:*].*$|^COMMIT$|^.*fe80::.*$|^\d+: |\[\d+:\d+\]|@if\d+|ifindex \d+|expires \d+sec"
)
"""Counters, times, and what devices are given anew when they are made anew."""


@dataclass(frozen=True, slots=True)
class Said:
    """What ``ferryman check`` said."""

    exit_code: int
    findings: tuple[dict[str, Any], ...]
    stderr: str

    def of(self, host: str, *verdicts: str) -> list[dict[str, Any]]:
        """The findings about a host with one of these verdicts."""
        return [
            finding for finding in self.findings if finding["host"] == host and finding["verdict"] in verdicts
        ]

    @property
    def standing(self) -> list[dict[str, Any]]:
        """What stands in the way."""
        return [finding for finding in self.findings if finding["verdict"] in ("fail", "unknown")]

    def causes(self, host: str) -> set[str]:
        """What the failed probes of a host name as their cause."""
        probes = [one["seen"] for one in self.of(host, "fail", "unknown") if one["check"] == "probe"]
        return {found[1] if (found := CAUSE.search(seen)) else "none" for seen in probes}


def checked(lab: RunningLab, service: str) -> Said:
    """Check a service as it is now."""
    return said_by(lab, [], service)


def said_by(lab: RunningLab, within: Sequence[str], service: str) -> Said:
    """Check a service, by a command that another command runs."""
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
    return Said(done.returncode, findings, done.stderr)


def put(lab: RunningLab, rows: Sequence[Row]) -> None:
    """Put the faults of some rows in."""
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
    return looked_at(lab, [host.name for host in topology.HOSTS])


def looked_at(lab: RunningLab, hosts: Sequence[str]) -> dict[str, list[str]]:
    """What faults touch on these hosts, without what changes by itself."""
    directors = {director.name for director in topology.DIRECTORS}
    looks = {host: LOOK_AT_DIRECTORS if host in directors else LOOK for host in hosts}
    script = "".join(
        f"echo '=={host}'; ip netns exec {host} sh -c {shlex.quote(look)}\n" for host, look in looks.items()
    )
    told = BY_THEMSELVES.sub("", lab.console("rt", script)).split("==")[1:]
    return {host: text.splitlines() for host, _, text in (one.partition("\n") for one in told)}


def differences(rows: Sequence[Row], said: Said) -> list[str]:
    """How what was said differs from what the rows want, which are of one service and one exit code."""
    wanted = rows[0].exit_code
    told = [] if said.exit_code == wanted else [f"exit code {said.exit_code}, wanted {wanted}: {said.stderr}"]
    told += [difference for row in rows for difference in _of_one(row, said)]
    standing = [one for one in said.standing if not _follows(one, rows)]
    innocent = {one["host"] for one in standing} - _may_be_accused(rows)
    return [*told, *(f"accuses {host}: {_seen(said, host)}" for host in sorted(innocent))]


def _of_one(row: Row, said: Said) -> list[str]:
    about = row.on or row.host
    verdicts = ("fail", "unknown") if row.exit_code else ("warn",)
    named = {one["check"] for one in said.of(about, *verdicts)}
    told = []
    if row.check is not None and row.check not in named:
        told.append(f"{row}: names {sorted(named)}, wanted {row.check}: {_seen(said, about)}")
    if row.cause is not None and said.causes(row.host) != {row.cause}:
        told.append(f"{row}: causes {said.causes(row.host)}, wanted {row.cause}: {_seen(said, row.host)}")
    return told


def _follows(finding: dict[str, Any], rows: Sequence[Row]) -> bool:
    """Whether a director misses one of the hosts, because health checks have taken it out or soon will."""
    hosts = [topology.BY_NAME[row.host] for row in rows]
    names = [name for host in hosts for name in (f"{host.name} (", f"{host.address}:", f"[{host.address6}]:")]
    return finding["check"] == "ipvs-table" and any(name in finding["seen"] for name in names)


def _may_be_accused(rows: Sequence[Row]) -> set[str]:
    """The hosts themselves; requests through a VIP fail for all when one server's share does."""
    if rows[0].exit_code == 0:
        return set()
    (service,) = (one for one in topology.SERVICES if one.name == rows[0].service)
    asked = set(service.realservers) if any(row.host == topology.ROUTER.name for row in rows) else set()
    return {row.on or row.host for row in rows} | {str(vip) for vip in service.vips} | asked


def _seen(said: Said, host: str) -> str:
    return "; ".join(f"{one['check']}: {one['seen']}" for one in said.of(host, "fail", "unknown", "warn"))


def hasten(folder: Path) -> None:
    """Shorten what probes and requests wait for that nobody answers."""
    waits = {"timeout": 0.2, "tries": 2, "backoff": 1}
    configure(folder, {"traffic": {"timeout": 2}, "probe": waits})
