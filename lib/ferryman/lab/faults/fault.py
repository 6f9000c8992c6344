"""A fault as a value, and the scripts that many of them are made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ferryman.lab import topology

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferryman.lab.topology import Host, HostRole

REALSERVERS: frozenset[HostRole] = frozenset({"server", "node"})
SERVERS: frozenset[HostRole] = frozenset({"server"})
NODES: frozenset[HostRole] = frozenset({"node"})
DIRECTORS: frozenset[HostRole] = frozenset({"director"})
ROUTER: frozenset[HostRole] = frozenset({"router"})
NOT_ROUTER: frozenset[HostRole] = REALSERVERS | DIRECTORS | {"client"}

Script = Callable[["Host"], str]


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

    @property
    def hosts(self) -> tuple[str, ...]:
        """The hosts that it can be put into; the first is the one meant when none is named."""
        return tuple(host.name for host in topology.HOSTS if host.role in self.roles)


def always(script: str) -> Script:
    """A script that is the same on every host."""
    return lambda _: script


def settings(values: dict[str, int]) -> Script:
    """A script that sets kernel settings, given by their path below /proc/sys/net."""
    return always("\n".join(f"echo {value} >/proc/sys/net/{key}" for key, value in values.items()))


def pods_of(host: Host) -> list[topology.Pod]:
    """The pods that run behind a node; none for any other host."""
    return [pod for pod in topology.PODS if pod.node == host.name]


def stop(pid_file: str) -> str:
    """End the process that this file names and wait for it; harmless when there is none."""
    return (
        f'pid=$(cat {pid_file} 2>/dev/null || true)\nif [ -n "$pid" ] && kill "$pid" 2>/dev/null; then\n'
        f'    while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done\nfi\nrm -f {pid_file}'
    )


def rules(*lines: str) -> tuple[Script, Script]:
    """Firewall rules, as ``iptables -I`` takes them, and their end; ``ip6: `` before one is for IPv6."""
    return rules_of(lambda _: iter(lines))


def rules_of(lines: Callable[[Host], Iterator[str]]) -> tuple[Script, Script]:
    """Firewall rules that differ from host to host, the first of them in front, and their end."""
    return (
        lambda host: "\n".join(_rule("-I", line) for line in reversed(list(lines(host)))),
        lambda host: "\n".join(f"{_rule('-D', line)} 2>/dev/null || true" for line in lines(host)),
    )


def _rule(verb: str, line: str) -> str:
    family, _, rule = line.rpartition(": ")
    return f"{family or 'ip'}tables-legacy {verb} {rule}"
