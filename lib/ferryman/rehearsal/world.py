"""What a lab is like: everything that a run may change, so that it can be compared before and after."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ferryman import lab
from ferryman.errors import InventoryError
from ferryman.inventory import Inventory
from ferryman.ipvs.listing import parse
from ferryman.lab.topology import ROUTER
from ferryman.model import Forwarding

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ferryman.lab import LabPaths, Topology
    from ferryman.model import VirtualService

_TABLE = "ipvsadm -Sn | LC_ALL=C sort"
_FILES = "cat /etc/keepalived/services/*.conf; ip route; ip -6 route"
_SETTINGS = "cd /proc/sys/net && grep -rs . ipv4/conf ipv4/vs ipv6/conf"
_BY_THEMSELVES = re.compile(r" expires \d+sec|^.*(stable_secret|mc_forwarding).*$", re.MULTILINE)
"""What changes without anybody's doing: lifetimes that count down, secrets that cannot be read."""
_MARK = "=====ferryman"


@dataclass(frozen=True, slots=True)
class World:
    """A lab at one moment."""

    hosts: Mapping[str, str]
    """Of each director its table, files and routes; of each host its network settings: as text."""
    tables: Mapping[str, str]
    """Of each director its table, as ``ipvsadm -Sn`` prints it."""
    catalog: bytes

    def unlike(self, other: World) -> list[str]:
        """The lines by which this world differs from another, each with its host."""
        found = [
            f"{host}: {sign}{line}"
            for host in self.hosts
            for sign, line in _differing(self.hosts[host], other.hosts.get(host, ""))
        ]
        catalogs = _differing(self.catalog.decode(errors="replace"), other.catalog.decode(errors="replace"))
        return [*found, *(f"services.yaml: {sign}{line}" for sign, line in catalogs)]


def look(paths: LabPaths, topology: Topology, catalog: Path | None = None) -> World:
    """The lab as it is now, with the catalog; without one, with every host's network settings instead."""
    wanted = {host.name: [_TABLE, _FILES] for host in topology.directors}
    if catalog is None:
        for host in topology.segment:
            wanted.setdefault(host.name, []).append(_SETTINGS)
    script = "\n".join(
        f"echo {_MARK} {name} {number}; ip netns exec {name} sh -c {shlex.quote(command)} || :"
        for name, commands in wanted.items()
        for number, command in enumerate(commands)
    )
    text = _BY_THEMSELVES.sub("", lab.console(paths, ROUTER.name, script))
    hosts: dict[str, str] = {}
    tables: dict[str, str] = {}
    for part in text.split(f"{_MARK} ")[1:]:
        head, _, answer = part.partition("\n")
        name, number = head.split()
        hosts[name] = hosts.get(name, "") + answer
        if wanted[name][int(number)] == _TABLE:
            tables[name] = answer
    return World(hosts, tables, catalog.read_bytes() if catalog is not None else b"")


def forms(world: World, services: tuple[VirtualService, ...]) -> dict[str, str]:
    """How each director forwards these: direct, ipip, mixed, or none where it has no destinations."""
    keys = {(service.protocol, service.vip, service.port) for service in services}
    found = {}
    for host, text in world.tables.items():
        methods = {
            destination.forwarding
            for server in parse(text)
            if server.key in keys
            for destination in server.destinations
        }
        found[host] = _form(methods)
    return found


def others(world: World, services: tuple[VirtualService, ...]) -> dict[str, list[str]]:
    """What each director's table has beside these."""
    keys = {(service.protocol, service.vip, service.port) for service in services}
    return {
        host: sorted(repr(server) for server in parse(text) if server.key not in keys)
        for host, text in world.tables.items()
    }


def is_flipped(before: World, after: World) -> bool:
    """Whether a director forwards to a destination in another way: that goes back by no health check."""
    methods = [
        {
            (host, server.key, destination.key): destination.forwarding
            for host, text in world.tables.items()
            for server in parse(text)
            for destination in server.destinations
        }
        for world in (before, after)
    ]
    return any(methods[1].get(key, method) is not method for key, method in methods[0].items())


def catalog_form(folder: Path, service: str, site: str) -> str:
    """What the catalog says of a service at a site: direct or ipip."""
    try:
        return "ipip" if Inventory.load(folder).service(service, site, begun=True).encapsulated else "direct"
    except InventoryError as error:
        return f"unreadable ({error})"


def _form(methods: set[Forwarding]) -> str:
    if not methods:
        return "none"
    if methods == {Forwarding.TUNNEL}:
        return "ipip"
    return "mixed" if Forwarding.TUNNEL in methods else "direct"


def _differing(before: str, after: str) -> list[tuple[str, str]]:
    old, new = before.splitlines(), after.splitlines()
    gone = [("-", line.strip()) for line in old if line not in set(new)]
    come = [("+", line.strip()) for line in new if line not in set(old)]
    return [*gone, *come] or ([("", "the same lines in another order")] if before != after else [])
