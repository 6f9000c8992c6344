"""A packet on its way in, as far as rules may ask about it, and the three values of an answer."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ferryman.model import host_port

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ferryman.model import Address

IPIP, IP6IP6 = 4, 41
"""IP protocol numbers of the encapsulations: RFC 2003 and RFC 2473."""

NUMBERS = {
    "ipencap": IPIP, "ipip": IPIP, "ip-encap": IPIP, "ipv4": IPIP, "ipv6": IP6IP6,
    "tcp": 6, "udp": 17, "icmp": 1, "ipv6-icmp": 58, "icmpv6": 58, "gre": 47, "esp": 50, "ah": 51,
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
    """What it comes in by; None where that is not known."""
    local: bool
    """Whether the address is the host's own."""
    source: Address | None = None
    """None: anybody."""
    somewhere: bool = False
    """Whether its destination cannot be said: any address, any port."""
    rewritten: bool = False
    """Whether its destination is no longer the one that it came in with."""
    unwrapped: bool = False
    """Whether it came out of a tunnel, so that the way back to its source is by another device."""

    def __str__(self) -> str:
        return f"{self.protocol} {host_port(self.address, self.port or 0)}"

    @property
    def number(self) -> int:
        """Its protocol's number."""
        return NUMBERS[self.protocol]

    @property
    def has_ports(self) -> bool:
        """Whether its protocol knows ports."""
        return self.protocol in ("tcp", "udp")


@dataclass(slots=True)
class Notes:
    """What the kernel notes about a packet beside its bytes, and rules change on the way."""

    mark: int | None = 0
    """None when it cannot be told."""
    tracked: bool | None = True
    """Whether connection tracking sees it."""

    def copy(self) -> Notes:
        """The same, apart."""
        return Notes(self.mark, self.tracked)

    def doubt(self, before: Notes) -> None:
        """Take what may have been changed since for unknown."""
        self.mark = self.mark if self.mark == before.mark else None
        self.tracked = self.tracked if self.tracked == before.tracked else None

    def set_mark(self, value: int, mask: int = 0xFFFFFFFF) -> None:
        """``--set-xmark value/mask``."""
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


def either(answers: Iterable[bool | None]) -> bool | None:
    """Whether any holds; those after one that does are not asked for."""
    found: bool | None = False
    for answer in answers:
        if answer:
            return True
        found = found if answer is False else None
    return found


def both(answers: Iterable[bool | None]) -> bool | None:
    """Whether all hold; those after one that does not are not asked for."""
    return opposite(either(opposite(answer) for answer in answers))


def opposite(answer: bool | None) -> bool | None:
    """What ``!`` makes of it."""
    return None if answer is None else not answer


def number(text: str) -> int:
    """A number as rules write it, hexadecimal or not."""
    return int(text, 16 if re.match("0[xX]", text) else 10)
