"""The sets of ``ipset``, from ``ipset save``: what iptables' ``-m set`` refers to."""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

from ferryman.firewall.packet import any_of

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network

    from ferryman.model import Address

Ipsets = Mapping[str, tuple[str, ...]]
"""The members of each set whose members are addresses or networks, or sets of such."""
ADDRESSES = ("hash:ip", "hash:net", "bitmap:ip", "list:set")


def parse_ipsets(text: str) -> Ipsets:
    """The sets that can be judged by an address alone; those of another type are left out."""
    members: dict[str, list[str]] = defaultdict(list)
    for line in text.splitlines():
        match line.split():
            case ["create", name, kind, *_] if kind in ADDRESSES:
                members[name] = []
            case ["add", name, member, *rest] if name in members:
                members[name].append(f"!{member}" if "nomatch" in rest else member)
    return {name: tuple(found) for name, found in members.items()}


def holds(sets: Ipsets, name: str, address: Address | None) -> bool | None:
    """Whether an address is in a set; None for anybody's address and for a set that is not known."""
    if name not in sets:
        return None
    if not sets[name]:
        return False
    if address is None:
        return None
    if any(member[0] == "!" and within(member[1:], address) for member in sets[name]):
        return None
    members = [member for member in sets[name] if member[0] != "!"]
    return any_of(
        holds(sets, member, address) if member in sets else within(member, address) for member in members
    )


def within(place: str, address: Address | None) -> bool | None:
    """Whether an address is in a network, a range or is this very address; None when that cannot be said."""
    first, dash, last = place.partition("-")
    try:
        if dash:
            ends = ipaddress.ip_address(first), ipaddress.ip_address(last)
            return None if address is None else _between(ends[0], address, ends[1])
        network = _network(place)
    except ValueError:
        return None
    if network.prefixlen == 0:
        return address is None or address.version == network.version
    return None if address is None else address in network


@lru_cache(maxsize=1 << 16)
def _network(place: str) -> IPv4Network | IPv6Network:
    return ipaddress.ip_network(place, strict=False)


def _between(first: Address, address: Address, last: Address) -> bool:
    return first.version == address.version and int(first) <= int(address) <= int(last)
