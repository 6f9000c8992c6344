"""Lists for people, as tables; and for programs, one JSON object a line."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from ferryman.console.safe import SafeConsole
from ferryman.printable import json_line, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rich.console import Console

WIDE = 200
"""Columns where it is no terminal: a file or a pipe need not be folded."""

NARROW = 14
"""Columns that a text is given at least, or its longest word if that is shorter; else there is no table."""
BETWEEN = 3
"""Columns between two of a table's."""

STYLES = {
    "done": "green",
    "refused": "red",
    "rolled-back": "yellow",
    "interrupted": "yellow",
    "busy": "yellow",
    "stranded": "bold red",
    "held": "bold magenta",
    "error": "bold red",
    "open": "bold cyan",
    "pass": "green",
    "warn": "yellow",
    "warning": "yellow",
    "fail": "red",
    "up": "green",
    "down": "red",
}
"""Words that carry a colour wherever they stand alone in a cell."""


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
        return
    console = _console()
    if not listed:
        console.print(empty)
        return
    unbroken = {columns[0], *whole}
    needed = sum(_needed(listed, column, unbroken=column in unbroken) + BETWEEN for column in columns)
    if needed > console.width:
        _show_blocks(console, listed, columns)
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(_heading(column), overflow="fold", no_wrap=column in unbroken)
    for row in listed:
        table.add_row(*(_cell(row.get(column)) for column in columns))
    console.print(table)


def show_one(named: Mapping[str, object]) -> None:
    """Print one object for people: a line for each name and its value."""
    _console().print(_block((_heading(name), _cell(value)) for name, value in named.items()))


def _console() -> Console:
    """A console as wide as the window: Rich takes terminals of some names for 80 columns wide."""
    if not sys.stdout.isatty():
        return SafeConsole(highlight=False, width=WIDE)
    window = shutil.get_terminal_size()
    return SafeConsole(highlight=False, width=window.columns, height=window.lines)


def diff(text: str) -> None:
    """Print a unified diff; byte for byte the same where it is no terminal, so that patch can read it."""
    console = SafeConsole()
    if console.is_terminal:
        console.print(Syntax(printable(text), "diff", background_color="default"))
    else:
        print(text, end="")  # noqa: T201  # this is the screen


def show_lines(lines: Iterable[Text]) -> None:
    """Print lines as they are; a terminal folds what is longer than its window."""
    console = _console()
    for line in lines:
        console.print(line, soft_wrap=True)


def say(message: str, *, error: bool = False) -> None:
    """Print a sentence on standard output, or on standard error with ``error``."""
    SafeConsole(stderr=error, highlight=False, soft_wrap=True).print(Text(printable(message)))


def _needed(rows: Sequence[Mapping[str, object]], column: str, *, unbroken: bool) -> int:
    """The least width, in columns of a terminal, that a column of the table needs."""
    cells = [Text(_heading(column)), *(_cell(row.get(column)) for row in rows)]
    if unbroken:
        return max(cell.cell_len for cell in cells)
    words = (Text(word) for cell in cells for word in cell.plain.split())
    return max(min(NARROW, word.cell_len) for word in words)


def _show_blocks(console: Console, rows: Sequence[Mapping[str, object]], columns: Sequence[str]) -> None:
    """Print a block for each row: its first column, and below that the others by name, unless empty."""
    first, *others = columns
    for row in rows:
        console.print(_cell(row.get(first)), style="bold", no_wrap=True, overflow="ignore", crop=False)
        console.print(_block((f"  {_heading(column)}", _cell(row.get(column))) for column in others))


def _block(named: Iterable[tuple[str, Text]]) -> Table:
    """A grid of names and values, without those whose value is empty."""
    block = Table.grid(padding=(0, 1, 0, 0))
    block.add_column(style="dim", no_wrap=True)
    block.add_column(overflow="fold")
    for name, text in named:
        if text.plain:
            block.add_row(f"{name} ", text)
    return block


def _heading(column: str) -> str:
    return column.replace("_", " ")


def _cell(value: object) -> Text:
    text = "" if value is None else printable(str(value))
    return Text(text, style=STYLES.get(text, ""))
