"""A fault as a value, and the scripts that many of them are made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferryman.lab.topology import Host, HostRole, Topology

REALSERVERS: frozenset[HostRole] = frozenset({"server", "node"})
SERVERS: frozenset[HostRole] = frozenset({"server"})
NODES: frozenset[HostRole] = frozenset({"node"})
DIRECTORS: frozenset[HostRole] = frozenset({"director"})
ROUTER: frozenset[HostRole] = frozenset({"router"})
NOT_ROUTER: frozenset[HostRole] = REALSERVERS | DIRECTORS | {"client"}

Script = Callable[["Topology", "Host"], str]
"""The shell script for a host of a lab."""
Needs = Callable[["Topology", "Host"], object]
"""Says whether a lab has what a fault wants of it for a host: anything false says that it has not."""


def always_fits(_lab: Topology, _host: Host) -> bool:
    """For a fault that wants nothing but a host of its role."""
    return True


def has_secondary(lab: Topology, host: Host) -> bool:
    """For a fault that wants a secondary director of the realserver's."""
    return len(lab.directors_of(host.name)) > 1


def has_pods(lab: Topology, host: Host) -> bool:
    """For a fault that wants a pod on the node."""
    return bool(lab.pods_of(host.name))


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong that the lab can put into a host; both scripts are for the host's own shell.

    What takes it out fits a sound host too: it may have gone in half-way.
    """

    name: str
    description: str
    roles: frozenset[HostRole]
    """The roles of the hosts that it can be put into."""
    put: Script
    clear: Script
    needs: Needs = always_fits
    """What the lab must have for this host, beside its role."""

    def hosts(self, lab: Topology) -> tuple[str, ...]:
        """The hosts of a lab that it can be put into; the first is the one meant when none is named."""
        return tuple(host.name for host in lab.hosts if host.role in self.roles and self.needs(lab, host))


def always(script: str) -> Script:
    """A script that is the same on every host."""
    return lambda _lab, _host: script


def settings(values: dict[str, int]) -> Script:
    """A script that sets kernel settings, given by their path below /proc/sys/net."""
    return always("\n".join(f"echo {value} >/proc/sys/net/{key}" for key, value in values.items()))


def stop(pid_file: str) -> str:
    """End the process that this file names and wait for it; harmless when there is none."""
    return (
        f'pid=$(cat {pid_file} 2>/dev/null || true)\nif [ -n "$pid" ] && kill "$pid" 2>/dev/null; then\n'
        f'    while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done\nfi\nrm -f {pid_file}'
    )


def rules(*lines: str) -> tuple[Script, Script]:
    """Firewall rules, as ``iptables -I`` takes them, and their end; ``ip6: `` before one is for IPv6."""
    return rules_of(lambda _lab, _host: iter(lines))


def rules_of(lines: Callable[[Topology, Host], Iterator[str]]) -> tuple[Script, Script]:
    """Firewall rules that differ from host to host, the first of them in front, and their end."""
    return (
        lambda lab, host: "\n".join(_rule("-I", line) for line in reversed(list(lines(lab, host)))),
        lambda lab, host: "\n".join(f"{_rule('-D', line)} 2>/dev/null || true" for line in lines(lab, host)),
    )


def _rule(verb: str, line: str) -> str:
    family, _, rule = line.rpartition(": ")
    return f"{family or 'ip'}tables-legacy {verb} {rule}"
