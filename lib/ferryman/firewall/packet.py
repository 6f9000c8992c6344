"""A packet on its way in, as far as rules may ask about it; and logic with true, false and unknown."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ferryman.encapsulation import ICMP, ICMPV6, IP6IP6, IPIP, TCP, UDP
from ferryman.model import host_port

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ferryman.model import Address

NUMBERS = {
    "ipencap": IPIP, "ipip": IPIP, "ip-encap": IPIP, "ipv4": IPIP, "ipv6": IP6IP6,
    "tcp": TCP, "udp": UDP, "icmp": ICMP, "ipv6-icmp": ICMPV6, "icmpv6": ICMPV6,
    "gre": 47, "esp": 50, "ah": 51,
    "sctp": 132, "udplite": 136, "dccp": 33, "igmp": 2, "vrrp": 112, "ospf": 89, "pim": 103, "ipcomp": 108,
}  # fmt: skip
"""Names of IP protocols as distributions' /etc/protocols have them; they differ in what they call 4."""
EPHEMERAL = (1024, 65535)
"""The ports that a client sends from."""


@dataclass(frozen=True, slots=True)
class Packet:
    """The first packet of a flow, as it comes in."""

    protocol: str
    address: Address
    """Where to; it gives the IP version also of a packet that goes ``somewhere``."""
    port: int | None
    """None for a protocol without ports, and where it is not known."""
    device: str | None
    """The device that it comes in by; None where that is not known."""
    local: bool
    """Whether the address is the host's own."""
    source: Address | None = None
    """The source address; None: any client."""
    somewhere: bool = False
    """Whether its destination cannot be said: any address, any port."""
    rewritten: bool = False
    """Whether its destination is no longer the one that it came in with."""
    unwrapped: bool = False
    """Whether it came out of a tunnel, so that the route back to its source is by another device."""

    def __str__(self) -> str:
        return f"{self.protocol} {host_port(self.address, self.port or 0)}"

    @property
    def number(self) -> int:
        """The number of its IP protocol."""
        return NUMBERS[self.protocol]

    @property
    def has_ports(self) -> bool:
        """Whether its protocol is one with ports, TCP or UDP."""
        return self.protocol in ("tcp", "udp")


@dataclass(slots=True)
class PacketState:
    """What the kernel keeps about a packet beside its bytes, and rules change on the way."""

    mark: int | None = 0
    """The packet's mark; None when it cannot be told."""
    tracked: bool | None = True
    """Whether connection tracking sees it; None when it cannot be told."""

    def copy(self) -> PacketState:
        """A copy that changes apart from this one."""
        return PacketState(self.mark, self.tracked)

    def forget_changes(self, before: PacketState) -> None:
        """Make unknown whatever differs from ``before``: a rule that may have matched changed it."""
        self.mark = self.mark if self.mark == before.mark else None
        self.tracked = self.tracked if self.tracked == before.tracked else None

    def set_mark(self, value: int, mask: int = 0xFFFFFFFF) -> None:
        """Change the mark as ``--set-xmark value/mask`` does: clear the mask's bits, then XOR the value."""
        if self.mark is not None or mask == 0xFFFFFFFF:  # noqa: PLR2004  # all of it
            self.mark = ((self.mark or 0) & ~mask & 0xFFFFFFFF) ^ value


def protocol_number(name: str | int) -> int | None:
    """The number of an IP protocol; None for a name that is not known here."""
    text = str(name).lower()
    return int(text) if text.isdigit() else NUMBERS.get(text)


def port_number(name: str | int) -> int | None:
    """The number of a port; None for a service that is not known here."""
    text = str(name)
    if text.isdigit():
        return int(text)
    try:
        return socket.getservbyname(text)
    except OSError:
        return None


def from_ports(first: int, last: int) -> bool | None:
    """Whether a client's source port is among these."""
    if last < EPHEMERAL[0]:
        return False
    return True if first <= EPHEMERAL[0] and last >= EPHEMERAL[1] else None


def named_like(pattern: str, device: str | None, wildcard: str) -> bool | None:
    """Whether a device has this name, which may end in a wildcard."""
    if pattern == wildcard:
        return True
    if device is None:
        return False if pattern == "lo" else None
    return device.startswith(pattern[:-1]) if pattern.endswith(wildcard) else device == pattern


def any_of(answers: Iterable[bool | None]) -> bool | None:
    """Whether any answer is true, or else unknown if one is; stops at the first that is true."""
    found: bool | None = False
    for answer in answers:
        if answer:
            return True
        found = found if answer is False else None
    return found


def all_of(answers: Iterable[bool | None]) -> bool | None:
    """Whether all answers are true; stops at the first that is false."""
    return negation(any_of(negation(answer) for answer in answers))


def negation(answer: bool | None) -> bool | None:
    """The opposite of an answer; unknown stays unknown."""
    return None if answer is None else not answer


def number(text: str) -> int:
    """A number as rules write it, hexadecimal or not."""
    return int(text, 16 if re.match("0[xX]", text) else 10)
