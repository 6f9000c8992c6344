"""From a host's name to its addresses."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

from ferryman.model import Address

Resolve = Callable[[str], Sequence[Address]]
"""All addresses of a host, both families; raises OSError when the name cannot be looked up."""


def system_resolver(host: str) -> Sequence[Address]:
    """Ask the system's resolver (getaddrinfo).

    Raises:
        OSError: The name is not known, or nobody could be asked.
    """
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [ip_address(str(place[0]).partition("%")[0]) for *_, place in found]


def addresses_of(host: str, resolve: Resolve) -> Sequence[Address]:
    """The addresses of a host; one that is named by its address is not looked up.

    Raises:
        OSError: As ``resolve``.
    """
    try:
        return [ip_address(host)]
    except ValueError:
        return resolve(host)


def first_of(addresses: Sequence[Address], family: type[IPv4Address | IPv6Address]) -> Address | None:
    """The first address of a family, in the resolver's order."""
    return next((address for address in addresses if isinstance(address, family)), None)
