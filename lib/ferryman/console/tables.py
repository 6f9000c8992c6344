"""Lists for people, as tables; and for programs, one JSON object a line.

Rich lays them out for a terminal, in colour and folded to its window. A file or a pipe needs neither: what
goes there is laid out here, a row to a line, so that a command in a script does not wait for Rich.
"""

from __future__ import annotations

import os
import sys
from itertools import zip_longest
from typing import TYPE_CHECKING, TextIO

from ferryman.console.cells import BETWEEN, cell, heading
from ferryman.printable import json_line, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rich.text import Text

LONGEST_RULE = 200
"""Columns of the line below the head: a text may be longer than any window."""


def show(
    rows: Iterable[Mapping[str, object]],
    columns: Sequence[str],
    *,
    as_json: bool,
    empty: str,
    whole: Sequence[str] = (),
) -> None:
    """Print rows under these columns; a JSON line has every key of its row.

    What is in the first column, and in those called ``whole``, is never broken: where the terminal is too
    narrow for a table, each row is a block of its own.
    """
    listed = list(rows)
    if as_json:
        for row in listed:
            print(json_line(row))  # noqa: T201  # this is the screen
    elif not listed:
        say(empty)
    elif _is_terminal(sys.stdout):
        from ferryman.console import rich_tables  # noqa: PLC0415  # what Rich is needed for

        rich_tables.show(listed, columns, whole)
    else:
        _print_plain(listed, columns)


def show_one(named: Mapping[str, object]) -> None:
    """Print one object for people: a line for each name and its value, unless that is empty."""
    shown = [(heading(name), cell(value)) for name, value in named.items()]
    if _is_terminal(sys.stdout):
        from ferryman.console import rich_tables  # noqa: PLC0415  # the same

        rich_tables.show_one(shown)
        return
    rows = [(name, value) for name, value in shown if value]
    for line in _laid_out(rows, between=2):
        print(line)  # noqa: T201  # this is the screen


def diff(text: str) -> None:
    """Print a unified diff; byte for byte the same where it is no terminal, so that patch can read it."""
    if _is_terminal(sys.stdout):
        from ferryman.console import rich_tables  # noqa: PLC0415  # the same

        rich_tables.diff(printable(text))
    else:
        print(text, end="")  # noqa: T201  # this is the screen


def show_lines(lines: Iterable[Text]) -> None:
    """Print lines as they are; a terminal folds what is longer than its window."""
    from ferryman.console import rich_tables  # noqa: PLC0415  # who has such lines has Rich

    rich_tables.show_lines(lines)


def say(message: str, *, error: bool = False) -> None:
    """Print a sentence on standard output, or on standard error with ``error``."""
    print(printable(message), file=sys.stderr if error else sys.stdout)  # the screen


def _is_terminal(stream: TextIO) -> bool:
    """Whether somebody looks at it, as far as Rich knows: some who read a pipe want colours all the same."""
    return stream.isatty() or bool(os.environ.get("FORCE_COLOR"))


def _print_plain(rows: Sequence[Mapping[str, object]], columns: Sequence[str]) -> None:
    """Print the table with a line below its head; as wide as its texts are."""
    texts = [tuple(cell(row.get(column)) for column in columns) for row in rows]
    head, *lines = _laid_out([tuple(map(heading, columns)), *texts], between=BETWEEN)
    rule = "─" * min(LONGEST_RULE, max(map(len, (head, *lines))))
    print(head, rule, *lines, sep="\n")  # noqa: T201  # this is the screen


def _laid_out(rows: Sequence[Sequence[str]], *, between: int) -> list[str]:
    """Lines in which columns stand below each other; a text of several lines takes as many."""
    from rich.cells import cell_len  # noqa: PLC0415  # all of Rich that it takes to know how wide a text is

    cells = [line for row in rows for line in zip_longest(*(text.split("\n") for text in row), fillvalue="")]
    widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]
    return [
        (" " * between)
        .join(text + " " * (width - cell_len(text)) for text, width in zip(line, widths, strict=True))
        .rstrip()
        for line in cells
    ]
