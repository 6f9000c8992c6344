"""The forms that the values of an IPVS table have, as ipvsadm prints them; also those out of a journal.

They become words of a command, for the host and for people to paste.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from ferryman.model import Forwarding

PORTS = range(1 << 16)
SCHEDULER = r"[a-z][a-z0-9_]{0,15}"
_WORD = r"[A-Za-z0-9_.:,\[\]/=-]{1,128}"


def is_whole(value: object, low: int, high: int) -> bool:
    """Whether it is a whole number from ``low`` to ``high``."""
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def is_address(value: object) -> bool:
    """Whether it is an IP address without a scope, which may be any text: ``fe80::1%$(id)`` is one."""
    return isinstance(value, IPv4Address) or (isinstance(value, IPv6Address) and value.scope_id is None)


def is_virtual(value: object) -> bool:
    """Whether it is protocol, VIP and port of a virtual service."""
    if not isinstance(value, tuple):
        return False
    protocol, vip, port = value
    return protocol in ("tcp", "udp") and is_address(vip) and is_whole(port, 0, PORTS[-1])


def is_server(value: Any) -> bool:  # noqa: ANN401  # what came back from a journal may be anything
    """Whether every value of a virtual server, and of its destinations, has its form."""
    return (
        is_virtual(value.key)
        and re.fullmatch(SCHEDULER, value.scheduler) is not None
        and _are_words(value.scheduler_flags)
        and _are_words(value.options)
        and all(map(_is_destination, value.destinations))
    )


def _is_destination(value: Any) -> bool:  # noqa: ANN401  # as above
    numbers = (value.weight, value.upper, value.lower)
    return (
        is_address(value.address)
        and is_whole(value.port, 0, PORTS[-1])
        and isinstance(value.forwarding, Forwarding)
        and all(is_whole(number, 0, (1 << 31) - 1) for number in numbers)
        and _are_words(value.tunnel)
    )


def _are_words(value: object) -> bool:
    return isinstance(value, tuple) and all(
        isinstance(word, str) and re.fullmatch(_WORD, word) for word in value
    )
