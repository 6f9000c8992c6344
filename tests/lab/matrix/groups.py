"""Rows of the table that are put in together: one check judges several hosts with a fault each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.lab import topology

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lab.matrix.table import Row

Group = tuple["Row", ...]
ALONE = frozenset(host.name for host in (topology.ROUTER, *topology.DEFAULT.directors))
"""A fault there shows on every realserver."""
SILENT_AT_MOST = 2
"""One server stays good, or the control host itself would be under suspicion."""


def groups(rows: Iterable[Row]) -> list[Group]:
    """Rows of one service and one exit code, each on a host of its own; each row in exactly one of them."""
    made: list[list[Row]] = []
    for row in rows:
        group = next((group for group in made if _fits(row, group)), None)
        if group is None:
            made.append([row])
        else:
            group.append(row)
    return [tuple(group) for group in made]


def _fits(row: Row, group: list[Row]) -> bool:
    hosts = {member.host for member in group}
    alike = (row.service, row.exit_code) == (group[0].service, group[0].exit_code)
    silent = sum(member.cause is not None or member.check == "reachable" for member in (row, *group))
    return alike and row.host not in hosts and not ALONE & {row.host, *hosts} and silent <= SILENT_AT_MOST
