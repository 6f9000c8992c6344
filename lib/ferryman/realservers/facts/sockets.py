"""Listening sockets, from ``ss -ltun`` or, where there is no ``ss``, from /proc/net/tcp and its like."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, get_args

from ferryman.model import Protocol
from ferryman.realservers.facts.values import Listener

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferryman.model import Address

LISTENING = {"tcp": "0A", "udp": "07"}
"""The states that /proc/net has for sockets that wait (include/net/tcp_states.h)."""
TABLE = r"/proc/net/(?P<protocol>tcp|udp)6?"
LOCAL_COLUMN = 4
"""Where ss prints the local address, after Netid, State, Recv-Q and Send-Q."""


def listeners(text: str) -> tuple[Listener, ...]:
    """Every socket that waits for connections or datagrams.

    Raises:
        ValueError: The text is neither ss's output nor a socket table of the kernel.
    """
    if re.search(rf"^{TABLE}:", text, re.MULTILINE):
        return tuple(_from_kernel(text))
    if "Netid" not in text:
        raise ValueError("neither ss's table nor the kernel's")
    return tuple(_from_ss(text))


def _from_ss(text: str) -> Iterator[Listener]:
    """``ss`` before iproute2 4.15 writes IPv6's wildcard as ``:::80`` and IPv4's as ``*:80``."""
    rows = [line.split() for line in text.splitlines()]
    rows = [row for row in rows if row and row[0] in get_args(Protocol) and len(row) > LOCAL_COLUMN]
    old = any(row[LOCAL_COLUMN].startswith(":::") for row in rows)
    for row in rows:
        protocol: Protocol = "tcp" if row[0] == "tcp" else "udp"
        place, _, port = row[LOCAL_COLUMN].rpartition(":")
        address, _, device = place.partition("%")
        yield Listener(protocol, _ss_address(address, old=old), int(port), device or None)


def _ss_address(text: str, *, old: bool) -> Address | None:
    if text == "*":
        return ipaddress.IPv4Address(0) if old else None
    if text == "::" and old:
        return None
    return ipaddress.ip_address(text.strip("[]"))


def _from_kernel(text: str) -> Iterator[Listener]:
    for row in re.finditer(
        rf"^{TABLE}: *\d+: (?P<local>[0-9A-F]+:[0-9A-F]+) \S+ (?P<state>\w+) ", text, re.MULTILINE
    ):
        protocol: Protocol = "udp" if row["protocol"] == "udp" else "tcp"
        if row["state"] == LISTENING[protocol]:
            address, port = row["local"].split(":")
            yield Listener(protocol, _kernel_address(address), int(port, 16))


def _kernel_address(text: str) -> Address | None:
    """Words of 32 bits in the machine's byte order, which is little endian wherever this has been seen.

    IPv6's wildcard takes IPv4 as well, as it does unless the program asked otherwise.
    """
    words = [bytes.fromhex(text[start : start + 8])[::-1] for start in range(0, len(text), 8)]
    address = ipaddress.ip_address(b"".join(words))
    return None if address == ipaddress.IPv6Address(0) else address
