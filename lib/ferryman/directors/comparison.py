"""What of a change is in the world, and what others have made of the service's entries beside it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ferryman.ipvs.table import differences

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferryman.directors.target import Target
    from ferryman.ipvs.table import Table, VirtualServer


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is there now against the before of a change; a line for each thing, without the host."""

    ours: tuple[str, ...] = ()
    """What the change made and nothing has taken back. A virtual server that is not there counts too: a
    reload may have lost it."""
    missing: tuple[str, ...] = ()
    """Destinations of the before that are not there: health checks take them out, and people do."""
    others: tuple[str, ...] = ()
    """What differs otherwise: it was somebody else."""
    table: Table = ()
    """What was seen, of every service."""

    def __add__(self, other: Comparison) -> Comparison:
        """Both, with the table of the first."""
        return Comparison(
            self.ours + other.ours, self.missing + other.missing, self.others + other.others, self.table
        )


def compare_tables(before: Table, now: Table, target: Target) -> Comparison:
    """The service's entries now, against those from before a change of this target."""
    reverted = target.revert(before, now)
    present = {server.key: server for server in reverted}
    gone = [f"{server}: not in the table" for server in before if server.key not in present]
    known = [(server, present[server.key]) for server in before if server.key in present]
    return Comparison(
        (*gone, *differences(reverted, now)),
        tuple(line for was, now_is in known for line in _missing(was, now_is)),
        tuple(differences([_without_missing(was, now_is) for was, now_is in known], reverted)),
    )


def _missing(was: VirtualServer, now: VirtualServer) -> Iterator[str]:
    present = {destination.key for destination in now.destinations}
    yield from (
        f"{was}: {destination.key} is missing"
        for destination in was.destinations
        if destination.key not in present
    )


def _without_missing(was: VirtualServer, now: VirtualServer) -> VirtualServer:
    present = {destination.key for destination in now.destinations}
    return replace(
        was, destinations=tuple(destination for destination in was.destinations if destination.key in present)
    )
