"""Do all directors of a service have it alike? After a failover, clients must find the same realservers."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from ferryman.directors.checks.findings import TABLE_CHECK
from ferryman.ipvs.table import key_of
from ferryman.model import Finding, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ferryman.ipvs.table import Destination, Key, Table, VirtualServer
    from ferryman.model import Service, VirtualService

HASHING = ("mh", "sh", "dh")
"""Schedulers that choose by a table made of destinations and weights: another weight is another table."""


Place = tuple["Key", str]
"""A destination: its virtual server, and its own address and port."""
Moving = Callable[[str], Collection[Place]]
"""By director: the destinations whose weights its own software changes by itself."""


def none_moves(host: str) -> Collection[Place]:
    """No weight moves by itself."""
    del host
    return ()


def consistency_findings(
    service: Service, tables: Mapping[str, Table], moving: Moving = none_moves
) -> list[Finding]:
    """Scheduler, flags, destinations and weights must be the same on each director as on the last one.

    The primary is last, and each difference is told once, at the other director. Forwarding methods are not
    compared: the catalog says which they are to be, and on the way they differ on purpose. A virtual service
    that a director does not have at all is told by ``catalog_findings``. ``moving`` is asked only where
    weights differ that ought not to: what moves by itself on either director cannot be made alike.
    """
    known = [director.host for director in service.directors if director.host in tables]
    return [
        finding
        for host in known[:-1]
        for virtual in service.virtual_services
        for finding in _compared(virtual, (host, tables[host]), (known[-1], tables[known[-1]]), moving)
    ]


def _compared(
    virtual: VirtualService, here: tuple[str, Table], there: tuple[str, Table], moving: Moving
) -> Iterator[Finding]:
    (host, table), (model, its_table) = here, there
    mine, theirs = _server(table, virtual), _server(its_table, virtual)
    if mine is None or theirs is None:
        return
    wanted = f"as on {model}"
    grave, slight = list(_grave(mine, theirs)), dict(_slight(mine, theirs))
    if mine.scheduler in HASHING and slight:
        itself = {*moving(host), *moving(model)}
        grave += [line for line, place in slight.items() if place not in itself]
        slight = {line: place for line, place in slight.items() if place in itself}
    if not grave and not slight:
        seen = f"{virtual}: scheduler, flags, destinations and weights as on {model}"
        yield Finding(TABLE_CHECK, host, Verdict.PASS, seen, wanted)
    for lines, verdict in ((grave, Verdict.FAIL), (slight, Verdict.WARN)):
        if lines:
            seen = f"{virtual}: {'; '.join(lines)}"
            yield Finding(TABLE_CHECK, host, verdict, seen, wanted, _REMEDY)


_REMEDY = "make the directors alike first: with another table, a failover moves clients to other realservers"


def _server(table: Table, virtual: VirtualService) -> VirtualServer | None:
    return next((server for server in table if server.key == key_of(virtual)), None)


def _grave(mine: VirtualServer, theirs: VirtualServer) -> Iterator[str]:
    if mine.scheduler != theirs.scheduler:
        yield f"scheduler {mine.scheduler}, there {theirs.scheduler}"
    flags, its_flags = sorted(mine.scheduler_flags), sorted(theirs.scheduler_flags)
    if flags != its_flags:
        yield f"scheduler flags {','.join(flags) or 'none'}, there {','.join(its_flags) or 'none'}"
    if mine.options != theirs.options:
        yield f"options {' '.join(mine.options) or 'none'}, there {' '.join(theirs.options) or 'none'}"
    here, there = _destinations(mine), _destinations(theirs)
    yield from (f"{key} is not among its destinations" for key in there if key not in here)
    yield from (f"{key} is among its destinations, and not there" for key in here if key not in there)


def _slight(mine: VirtualServer, theirs: VirtualServer) -> Iterator[tuple[str, Place | None]]:
    """What differs in degree, each line with the place of the weight that it is about."""
    here, there = _destinations(mine), _destinations(theirs)
    for key in (key for key in here if key in there):
        local, other = here[key], there[key]
        if local.weight != other.weight:
            yield f"{key} has weight {local.weight}, there {other.weight}", (mine.key, key)
        if (local.upper, local.lower) != (other.upper, other.lower):
            theirs_are = f"there {other.upper} and {other.lower}"
            yield f"{key} has thresholds {local.upper} and {local.lower}, {theirs_are}", None


def _destinations(server: VirtualServer) -> dict[str, Destination]:
    return {destination.key: destination for destination in server.destinations}
