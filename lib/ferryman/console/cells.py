"""The texts of a table, however it is laid out."""

from __future__ import annotations

from ferryman.printable import printable

BETWEEN = 3
"""Columns between two of a table's."""


def heading(column: str) -> str:
    """A column's name as people read it."""
    return column.replace("_", " ")


def cell(value: object) -> str:
    """A value as people read it; empty where there is none."""
    return "" if value is None else printable(str(value))
