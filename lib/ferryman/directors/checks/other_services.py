"""The other services of a director: a change to one service must not touch them.

A reload makes a daemon load everything that stands in its files, an edit of somebody else's included that
nobody had reloaded yet. That is a change made by this run, though not one that it wrote.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ferryman.ipvs.table import differences
from ferryman.model import Finding, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ferryman.ipvs.table import Destination, Table, VirtualServer
    from ferryman.model import Address, Protocol

    Servers = Mapping[tuple[Protocol, Address, int], VirtualServer]

CHECK = "other-services"
CHANGED_CHECK = "other-services-changed"
"""The check of the finding at the end of a rollback: not all is as before, whoever did it."""
_REMEDY = (
    "see what was waiting in its configuration: a reload loads every file; a rollback puts this service's"
    " part back alone"
)


def others_findings(host: str, before: Table, after: Table) -> list[Finding]:
    """What became of the virtual servers that are not this service's, between two readings.

    Virtual servers that came or went, other schedulers and other forwarding methods fail: nobody but the
    change did that. Destinations that came or went and weights are a warning, for health checks do
    the same at any time.
    """
    then, now = {server.key: server for server in before}, {server.key: server for server in after}
    worse = [*_gone(then, now), *_other(then, now)]
    slight = list(_moved(then, now))
    wanted = "as before this service was changed"
    if not worse and not slight:
        seen = f"{len(after)} virtual servers of other services are untouched"
        return [Finding(CHECK, host, Verdict.PASS, seen, wanted)]
    return [
        Finding(CHECK, host, verdict, "; ".join(lines), wanted, remedy)
        for verdict, lines, remedy in (
            (Verdict.FAIL, worse, _REMEDY),
            (Verdict.WARN, slight, "health checks do that too; look whether they did"),
        )
        if lines
    ]


def others_not_restored(host: str, before: Table, after: Table) -> list[Finding]:
    """What of other services is not as it was before this one was first changed, at the end of a rollback.

    It may be this run's own doing, by a reload, so it has a check of its own: ``CHANGED_CHECK``. What health
    checks do is omitted.
    """
    return [
        replace(others_finding, check=CHANGED_CHECK, verdict=Verdict.WARN, remedy=_LEFT)
        for others_finding in others_findings(host, before, after)
        if others_finding.verdict is Verdict.FAIL
    ]


_LEFT = (
    "this service's part is back, and that is not: a reload of this run may have loaded what waited in the"
    " configuration; see whose edit it is, and make that service as it is to be"
)


def _gone(then: Servers, now: Servers) -> Iterator[str]:
    yield from (f"{then[key]} is gone" for key in then if key not in now)
    yield from (f"{now[key]} is new" for key in now if key not in then)


def _other(then: Servers, now: Servers) -> Iterator[str]:
    """What differs apart from which destinations there are, and their weights."""
    for key in (key for key in then if key in now):
        known = _by_key(now[key])
        alike = tuple(
            replace(known[destination.key], weight=destination.weight)
            if destination.key in known
            else destination
            for destination in then[key].destinations
        )
        yield from differences([then[key]], [replace(now[key], destinations=alike)])


def _moved(then: Servers, now: Servers) -> Iterator[str]:
    for key in (key for key in then if key in now):
        was, known = _by_key(then[key]), _by_key(now[key])
        yield from (f"{then[key]}: {destination} is out" for destination in was if destination not in known)
        yield from (f"{then[key]}: {destination} is in" for destination in known if destination not in was)
        yield from (
            f"{then[key]}: {name} has weight {known[name].weight}, had {was[name].weight}"
            for name in was
            if name in known and known[name].weight != was[name].weight
        )


def _by_key(server: VirtualServer) -> dict[str, Destination]:
    return {destination.key: destination for destination in server.destinations}
