"""A packet as far as rules may ask about it; and logic with true, false and unknown."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from ferryman.firewall.protocols import protocol_number
from ferryman.model import host_port
from ferryman.numerals import numeral

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ferryman.model import Address

EPHEMERAL = (1024, 65535)
"""The ports that a client sends from."""


class Step(Enum):
    """Which packet of a flow it is; the value has the TCP flags that such a packet has."""

    FIRST = frozenset({"SYN"})
    ANSWER = frozenset({"SYN", "ACK"})
    """What this host answers: it goes out, to a client."""
    CONFIRMED = frozenset({"ACK"})
    """What the client says to the answer."""


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet of a flow, as it comes in; an answer as it goes out."""

    protocol: str
    address: Address
    """Where to; it gives the IP version also of a packet that goes ``somewhere``."""
    port: int | None
    """None for a protocol without ports, and where it is not known."""
    device: str | None
    """The device that it comes in by, empty for what this host sends; None where that is not known."""
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
    holder: str | None = None
    """The device that has the address, of a local one; None where that is not known."""
    step: Step = Step.FIRST
    source_port: int | None = None
    """The port that an answer comes from; what comes in is from any port of a client."""

    def __str__(self) -> str:
        return f"{self.protocol} {host_port(self.address, self.port or 0)}"

    @property
    def number(self) -> int:
        """The number of its IP protocol."""
        found = protocol_number(self.protocol)
        if found is None:
            raise ValueError(f"no IP protocol: {self.protocol}")
        return found

    @property
    def has_ports(self) -> bool:
        """Whether its protocol is one with ports, TCP or UDP."""
        return self.protocol in ("tcp", "udp")

    @property
    def goes_out(self) -> bool:
        """Whether it is an answer, to a client's port."""
        return self.step is Step.ANSWER

    def to_ports(self, first: int, last: int) -> bool | None:
        """Whether its destination port is among these."""
        return from_ports(first, last) if self.goes_out else _among(self.port, first, last)

    def from_ports(self, first: int, last: int) -> bool | None:
        """Whether its source port is among these."""
        return _among(self.source_port, first, last) if self.goes_out else from_ports(first, last)

    def is_local(self, by_device: str | None) -> bool | None:
        """Whether the address is the host's own, as the kernel asks: by any device, or by this one alone."""
        if not self.local or by_device is None:
            return self.local
        return None if self.holder is None else self.holder == by_device


def port_number(name: str | int) -> int | None:
    """The number of a port; None for a service that is not known here."""
    text = str(name)
    if (number := numeral(text)) is not None:
        return number
    try:
        return socket.getservbyname(text)
    except (OSError, ValueError):
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


def _among(port: int | None, first: int, last: int) -> bool | None:
    return None if port is None else first <= port <= last
