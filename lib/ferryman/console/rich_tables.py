"""Tables and blocks for a terminal: in colour, and folded to its window."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from ferryman.console.cells import BETWEEN, cell, heading
from ferryman.console.safe import SafeConsole

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rich.console import Console

WIDE = 200
"""Columns where it is no terminal: a file or a pipe need not be folded."""

NARROW = 14
"""Columns that a text is given at least, or its longest word if that is shorter; else there is no table."""

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


def show(rows: Sequence[Mapping[str, object]], columns: Sequence[str], whole: Sequence[str]) -> None:
    """Print rows under these columns, as ``tables.show`` does."""
    console = _console()
    unbroken = {columns[0], *whole}
    needed = sum(_needed(rows, column, unbroken=column in unbroken) + BETWEEN for column in columns)
    if needed > console.width:
        _show_blocks(console, rows, columns)
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(Text(heading(column)), overflow="fold", no_wrap=column in unbroken)
    for row in rows:
        table.add_row(*(_styled(row.get(column)) for column in columns))
    console.print(table)


def show_one(named: Iterable[tuple[str, str]]) -> None:
    """Print a line for each name and its value, unless that is empty."""
    _console().print(_block((name, _styled(value)) for name, value in named))


def diff(text: str) -> None:
    """Print a unified diff in colours."""
    SafeConsole().print(Syntax(text, "diff", background_color="default"))


def show_lines(lines: Iterable[Text]) -> None:
    """Print lines as they are; a terminal folds what is longer than its window."""
    console = _console()
    for line in lines:
        console.print(line, soft_wrap=True)


def _console() -> Console:
    """A console as wide as the window: Rich takes terminals of some names for 80 columns wide."""
    if not sys.stdout.isatty():
        return SafeConsole(highlight=False, width=WIDE)
    window = shutil.get_terminal_size()
    return SafeConsole(highlight=False, width=window.columns, height=window.lines)


def _needed(rows: Sequence[Mapping[str, object]], column: str, *, unbroken: bool) -> int:
    """The least width, in columns of a terminal, that a column of the table needs."""
    cells = [Text(heading(column)), *(_styled(row.get(column)) for row in rows)]
    if unbroken:
        return max(text.cell_len for text in cells)
    words = (Text(word) for text in cells for word in text.plain.split())
    return max(min(NARROW, word.cell_len) for word in words)


def _show_blocks(console: Console, rows: Sequence[Mapping[str, object]], columns: Sequence[str]) -> None:
    """Print a block for each row: its first column, and below that the others by name, unless empty."""
    first, *others = columns
    for row in rows:
        text = _styled(row.get(first))
        console.print(text, style="bold", no_wrap=True, overflow="ignore", crop=False)
        console.print(_block((f"  {heading(column)}", _styled(row.get(column))) for column in others))


def _block(named: Iterable[tuple[str, Text]]) -> Table:
    """A grid of names and values, without those whose value is empty."""
    block = Table.grid(padding=(0, 1, 0, 0))
    block.add_column(style="dim", no_wrap=True)
    block.add_column(overflow="fold")
    for name, text in named:
        if text.plain:
            block.add_row(f"{name} ", text)
    return block


def _styled(value: object) -> Text:
    text = cell(value)
    return Text(text, style=STYLES.get(text, ""))
