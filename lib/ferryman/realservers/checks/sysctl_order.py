"""Check ``sysctl-order``: our own lines of sysctl.d are not overridden by files that come later."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.model import Finding, Kind, Verdict
from ferryman.realservers.checks.decapsulation import IPIP, decapsulator_name, key, tunnels
from ferryman.realservers.facts import ALL, DEFAULT, Unknown
from ferryman.realservers.facts.sysctl_d import normal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ferryman.model import Realserver, Service
    from ferryman.realservers.facts import Facts
    from ferryman.realservers.facts.sysctl_d import Line, SysctlFiles

CHECK = "sysctl-order"
OURS = ("/etc/", "/run/", "/usr/local/")
KERNEL = "0"
"""The kernel's value of ``all``, in force where no line sets it."""


def sysctl_order(service: Service, realserver: Realserver, facts: Facts) -> Iterator[Finding]:
    """No line for rp_filter in /etc/sysctl.d gives way to one that stands in a file of a later name.

    Sources: sysctl.d(5). The trap is a file 10-x.conf below the distribution's 50-default.conf (Debian 13:
    linux-sysctl-defaults; github.com/systemd/systemd/issues/32563): its default loses, and so does a
    ``default`` of ours where the glob covers the tunnel device.
    """
    if IPIP not in tunnels(service) or isinstance(facts.persisted, Unknown):
        yield _finding(realserver, Verdict.SKIP, "there is nothing to compare")
        return
    files, device = facts.persisted, decapsulator_name(IPIP, facts)
    inherits = realserver.kind is Kind.KUBERNETES or files.winner(normal(key(device))) is None
    names = (ALL, device, DEFAULT) if inherits else (ALL, device)
    lost = next((pair for pair in _lost(files, names, device) if pair[0].file.startswith(OURS)), None)
    if lost is None:
        yield _finding(realserver, Verdict.PASS, "every line of ours stands")
        return
    line, winner = lost
    remedy = f"let its file come last: mv {line.file} {_last(line.file)} && systemctl restart systemd-sysctl"
    yield _finding(realserver, Verdict.WARN, f"{line} gives way to {winner}", remedy)


def _lost(files: SysctlFiles, names: Sequence[str], device: str) -> Iterator[tuple[Line, Line]]:
    """Lines that are overridden, with those that override them."""
    for name in names:
        winner = files.winner(normal(key(name)))
        losers = files.overridden(normal(key(name)))
        yield from ((line, winner) for line in losers if winner is not None and _differs(line, winner, name))
    winner = files.winner(normal(key(device)))
    if winner is not None and winner.is_glob:
        before = files.lines[: files.lines.index(winner)]
        defaults = (line for line in before if line.key == normal(key(DEFAULT)) and line.file != winner.file)
        yield from ((line, winner) for line in defaults if line.value != winner.value)


def _differs(line: Line, winner: Line, name: str) -> bool:
    """Whether it matters who wins: ``-all`` leaves the kernel's own 0."""
    if winner.value is None:
        return name == ALL and line.value != KERNEL
    return line.value != winner.value


def _last(path: str) -> str:
    folder, _, name = path.rpartition("/")
    return f"{folder}/90-{name.lstrip('0123456789-')}"


def _finding(realserver: Realserver, verdict: Verdict, seen: str, remedy: str = "") -> Finding:
    return Finding(CHECK, realserver.host, verdict, seen, "our lines for rp_filter in the last word", remedy)
