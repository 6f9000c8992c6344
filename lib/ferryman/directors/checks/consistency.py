"""Do all directors of a service have it alike? After a failover, clients must find the same realservers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.directors.checks.findings import TABLE_CHECK
from ferryman.ipvs.table import key_of
from ferryman.model import Finding, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ferryman.ipvs.table import Destination, Table, VirtualServer
    from ferryman.model import Service, VirtualService

HASHING = ("mh", "sh", "dh")
"""Schedulers that choose by a table made of destinations and weights: another weight is another table."""


def consistency_findings(service: Service, tables: Mapping[str, Table]) -> list[Finding]:
    """Scheduler, flags, destinations and weights must be the same on each director as on the last one.

    The primary is last, and each difference is told once, at the other director. Forwarding methods are not
    compared: the catalog says which they are to be, and on the way they differ on purpose. A virtual service
    that a director does not have at all is told by ``catalog_findings``.
    """
    known = [director.host for director in service.directors if director.host in tables]
    return [
        finding
        for host in known[:-1]
        for virtual in service.virtual_services
        for finding in _compared(virtual, host, tables[host], known[-1], tables[known[-1]])
    ]


def _compared(
    virtual: VirtualService, host: str, table: Table, model: str, its_table: Table
) -> Iterator[Finding]:
    mine, theirs = _server(table, virtual), _server(its_table, virtual)
    if mine is None or theirs is None:
        return
    wanted = f"as on {model}"
    grave, slight = list(_grave(mine, theirs)), list(_slight(mine, theirs))
    if mine.scheduler in HASHING:
        grave, slight = grave + slight, []
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


def _slight(mine: VirtualServer, theirs: VirtualServer) -> Iterator[str]:
    here, there = _destinations(mine), _destinations(theirs)
    for key in (key for key in here if key in there):
        local, other = here[key], there[key]
        if local.weight != other.weight:
            yield f"{key} has weight {local.weight}, there {other.weight}"
        if (local.upper, local.lower) != (other.upper, other.lower):
            theirs_are = f"there {other.upper} and {other.lower}"
            yield f"{key} has thresholds {local.upper} and {local.lower}, {theirs_are}"


def _destinations(server: VirtualServer) -> dict[str, Destination]:
    return {destination.key: destination for destination in server.destinations}
