"""What makes a director's IPVS table in the lab the recorded one, as far as the lab has its services."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from ipaddress import ip_address
from typing import TYPE_CHECKING

from ferryman.ipvs.table import rules
from ferryman.lab import daemons

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ferryman.ipvs.table import Table, VirtualServer
    from ferryman.lab.topology import Topology
    from ferryman.model import Address
    from ferryman.tape.in_lab.names import Names

CHECKS = frozenset({"ipvs-table", "director-table"})


def wanted(recorded: Table, names: Names) -> tuple[VirtualServer, ...]:
    """The recorded virtual servers that the lab has, or had, with the lab's addresses.

    Of a virtual server of the lab that was not recorded there is none: it was missing, unless nothing of the
    tape stands for it.
    """
    return tuple(found for server in recorded if (found := _mapped(server, names)) is not None)


def commands(recorded: Table, now: Table, names: Names) -> Iterator[str]:
    """The shell commands that make the table as recorded; none where it is already."""
    has = {server.key: server.sorted() for server in now}
    wants = {server.key: server.sorted() for server in wanted(recorded, names)}
    for key, server in has.items():
        if key not in wants:
            yield f"ipvsadm -D {server.named}"
    for key, server in wants.items():
        if has.get(key) == server:
            continue
        if key in has:
            yield f"ipvsadm -D {server.named}"
        lines = "".join(f"{line}\n" for line in rules(server))
        yield f"printf %s {shlex.quote(lines)} | ipvsadm -R"


def keepalived_files(lab: Topology, host: str, table: Sequence[VirtualServer]) -> dict[str, str]:
    """The files of a director's keepalived that say otherwise than this table, and what they are to say.

    The weights are the table's: a reload would put them back to the files' otherwise, and a check would find
    files and table apart.
    """
    weights = {(server.vip, each.address): each.weight for server in table for each in server.destinations}
    found = {}
    for name, text in daemons.keepalived_files(lab, host).items():
        blocks = [_weighted(block, weights) for block in _BLOCK.split(text)]
        if (weighted := "".join(blocks)) != text:
            found[f"/etc/keepalived/{name}"] = weighted
    return found


_BLOCK = re.compile(r"(?m)^(?=virtual_server )")
_WEIGHT = re.compile(r"(real_server (\S+) [^\n]*\n\s+weight )\d+")


def _weighted(block: str, weights: Mapping[tuple[Address, Address], int]) -> str:
    if not block.startswith("virtual_server "):
        return block
    vip = ip_address(block.split()[1])
    return _WEIGHT.sub(lambda found: f"{found[1]}{weights.get((vip, ip_address(found[2])), 1)}", block)


def strangers(recorded: Table, names: Names) -> list[str]:
    """Virtual servers and destinations that nothing stands for in the lab."""
    found = [str(server) for server in recorded if server.vip not in names.addresses]
    for server in recorded:
        if server.vip in names.addresses:
            found += [
                f"{server}: {each.key}" for each in server.destinations if each.address not in names.addresses
            ]
    return found


def _mapped(server: VirtualServer, names: Names) -> VirtualServer | None:
    vip = names.addresses.get(server.vip)
    if vip is None:
        return None
    destinations = tuple(
        replace(each, address=names.addresses[each.address])
        for each in server.destinations
        if each.address in names.addresses
    )
    return replace(server, vip=vip, destinations=destinations).sorted()
