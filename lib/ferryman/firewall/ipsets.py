"""The sets of ``ipset``, from ``ipset save``: what iptables' ``-m set`` refers to."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from ferryman.firewall.packet import all_of, any_of, named_like, port_number
from ferryman.firewall.protocols import STANDARD, protocol_number

if TYPE_CHECKING:
    from collections.abc import Sequence
    from ipaddress import IPv4Network, IPv6Network

    from ferryman.firewall.packet import Packet
    from ferryman.firewall.protocols import Protocols
    from ferryman.model import Address

ADDRESS_PARTS = ("ip", "net")


@dataclass(frozen=True, slots=True)
class Ipset:
    """A set: what each member is made of, and the members; ``!`` is before one that is to be left out."""

    parts: tuple[str, ...]
    members: list[str] = field(default_factory=list)
    answers: dict[object, bool | None] = field(default_factory=dict, compare=False, repr=False)
    """What was found out about it, for a set may be large and many rules name it."""


Ipsets = Mapping[str, Ipset]


def parse_ipsets(text: str) -> Ipsets:
    """The sets, whatever they are of."""
    found: dict[str, Ipset] = {}
    for line in text.split("\n"):
        match line.split():
            case ["create", name, kind, *_]:
                _, _, parts = kind.partition(":")
                found[name] = Ipset(tuple(parts.split(",")))
            case ["add", name, member, *rest] if name in found:
                found[name].members.append(f"!{member}" if "nomatch" in rest else member)
    return found


@dataclass(frozen=True, slots=True)
class Ends:
    """A packet as sets look at it."""

    packet: Packet
    device: str | None
    protocols: Protocols = field(default_factory=lambda: STANDARD)

    def address(self, side: str) -> Address | None:
        """The address of this side, ``src`` or ``dst``."""
        if side == "src":
            return self.packet.source
        return None if self.packet.somewhere else self.packet.address

    def is_port(self, side: str, text: str) -> bool | None:
        """Whether a member such as ``80``, ``udp:53`` or ``tcp:80-90`` has the protocol and this port."""
        name, colon, ports = text.rpartition(":")
        if colon:
            number = protocol_number(name, self.protocols)
            if number != self.packet.number:
                return None if number is None else False
        if not self.packet.has_ports:
            return ports == "0" if colon else None
        first, _, last = ports.partition("-")
        ends = port_number(first), port_number(last or first)
        if ends[0] is None or ends[1] is None:
            return None
        return (self.packet.from_ports if side == "src" else self.packet.to_ports)(ends[0], ends[1])


def holds(sets: Ipsets, name: str, sides: Sequence[str], ends: Ends) -> bool | None:
    """Whether a set holds the packet, by these sides of it; None for what cannot be said.

    The kernel has no list of lists, so one that is in a list is not looked into.
    """
    if name not in sets:
        return None
    found = sets[name]
    if found.parts != ("set",):
        return _holds(found, sides, ends)
    inner = [sets.get(member) for member in found.members]
    return any_of(None if each is None else _holds(each, sides, ends) for each in inner)


def _holds(of: Ipset, sides: Sequence[str], ends: Ends) -> bool | None:
    asked = tuple(sides), ends.packet, ends.device
    if asked not in of.answers:
        of.answers[asked] = _judged(of, sides, ends)
    return of.answers[asked]


def _judged(of: Ipset, sides: Sequence[str], ends: Ends) -> bool | None:
    if not of.members:
        return False
    if len(of.parts) > len(sides):
        return None
    left_out = [member[1:] for member in of.members if member[0] == "!"]
    if any(_is_member(of.parts, member, sides, ends) is not False for member in left_out):
        return None
    return any_of(_is_member(of.parts, member, sides, ends) for member in of.members if member[0] != "!")


def _is_member(parts: Sequence[str], member: str, sides: Sequence[str], ends: Ends) -> bool | None:
    values = member.split(",")
    if len(values) != len(parts):
        return None
    return all_of(_is_part(*each, ends) for each in zip(parts, values, sides, strict=False))


def _is_part(part: str, value: str, side: str, ends: Ends) -> bool | None:
    if part in ADDRESS_PARTS:
        return within(value, ends.address(side))
    if part == "port":
        return ends.is_port(side, value)
    if part == "iface" and side == "src" and not value.startswith("physdev:"):
        return named_like(value, ends.device, "+")
    return None


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
