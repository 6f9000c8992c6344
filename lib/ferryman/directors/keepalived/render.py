"""Renders the configuration of a service whose file ferryman owns: the first line is the marker.

What the catalog and the table know is written anew: scheduler, flags, method, protocol, realservers. What
they do not know (health checks, delays, persistence) is taken over from the file as it was; so are the
weights, for the table's are what health checks make of them: a 0 of theirs would stay for ever.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

from ferryman.directors.keepalived.text import (
    METHODS,
    Statement,
    TextError,
    block_of,
    check_plain,
    check_sorry,
    parse,
)
from ferryman.directors.schedulers import FLAG_WORDS
from ferryman.ipvs.table import key_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferryman.ipvs.table import Table, VirtualServer
    from ferryman.model import Address, Service

MARKER = "# Rendered by ferryman from the service catalog."
"""The first line of a file that ferryman writes whole; without it, only the words of a target are edited."""

_OWN = ("lvs_sched", "lb_algo", "lvs_method", "lb_kind", "protocol", "real_server", *FLAG_WORDS)
_OWN_INSIDE = ("lvs_method", "lb_kind")


def owned(text: str) -> bool:
    """Whether ferryman writes this file whole."""
    return text.startswith(MARKER)


def rendered(text: str, service: Service, table: Table) -> str:
    """The file that makes the table what it is to be.

    Raises:
        TextError: The old text cannot be read, or lacks one of the virtual services.
    """
    statements = parse(text)
    servers = {server.key: server for server in table}
    lines = [MARKER]
    for virtual in service.virtual_services:
        old = block_of(statements, virtual)
        check_plain(old)
        check_sorry(old)
        lines += ["", *_virtual_server(servers[key_of(virtual)], old)]
    return "\n".join(lines) + "\n"


def _virtual_server(server: VirtualServer, old: Statement) -> Iterator[str]:
    """The block of a virtual server; all its destinations forward by one method."""
    (forwarding,) = {destination.forwarding for destination in server.destinations}
    yield f"virtual_server {server.vip} {server.port} {{"
    yield f"    lvs_sched {server.scheduler}"
    yield from (f"    {flag}" for flag in server.scheduler_flags)
    yield f"    lvs_method {METHODS[forwarding]}"
    yield f"    protocol {server.protocol.upper()}"
    yield from _kept(old, _OWN, 1)
    checks = {_key(real): real for real in old.within("real_server")}
    for destination in server.destinations:
        former = checks.get((destination.address, destination.port))
        if former is None:
            raise TextError(
                f"no real_server {destination.address} {destination.port} in it"
                " whose health checks could be kept"
            )
        yield f"    real_server {destination.address} {destination.port} {{"
        yield from _kept(former, _OWN_INSIDE, 2)
        yield "    }"
    yield "}"


def _key(real: Statement) -> tuple[Address, int]:
    try:
        _, address, port = real.texts
        return ip_address(address), int(port)
    except ValueError as error:
        wanted = "real_server ADDRESS PORT"
        raise TextError(f"line {real.line}: {' '.join(real.texts)}: expected {wanted}") from error


def _kept(block: Statement, own: tuple[str, ...], depth: int) -> Iterator[str]:
    for statement in block.body or ():
        if statement.texts[0] not in own:
            yield from _written(statement, depth)


def _written(statement: Statement, depth: int) -> Iterator[str]:
    margin = "    " * depth
    if statement.body is None:
        yield f"{margin}{' '.join(statement.texts)}"
        return
    yield f"{margin}{' '.join(statement.texts)} {{"
    for inner in statement.body:
        yield from _written(inner, depth + 1)
    yield f"{margin}}}"
