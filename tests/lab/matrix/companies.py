"""Rows of the table that are put in together: one check judges several hosts with a fault each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.lab import topology

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lab.matrix.table import Row

Company = tuple["Row", ...]
ALONE = frozenset(host.name for host in (topology.ROUTER, *topology.DIRECTORS))
"""A fault there shows on every realserver."""
SILENT_AT_MOST = 2
"""One server stays good, or the control host itself would be under suspicion."""


def companies(rows: Iterable[Row]) -> list[Company]:
    """Rows of one service and one exit code, each on a host of its own; each row in exactly one of them."""
    made: list[list[Row]] = []
    for row in rows:
        company = next((one for one in made if _fits(row, one)), None)
        if company is None:
            made.append([row])
        else:
            company.append(row)
    return [tuple(one) for one in made]


def _fits(row: Row, company: list[Row]) -> bool:
    hosts = {one.host for one in company}
    alike = (row.service, row.exit_code) == (company[0].service, company[0].exit_code)
    silent = sum(one.cause is not None or one.check == "reachable" for one in (row, *company))
    return alike and row.host not in hosts and not ALONE & {row.host, *hosts} and silent <= SILENT_AT_MOST
