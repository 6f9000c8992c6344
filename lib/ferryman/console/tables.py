"""Lists for people, as tables; and for programs, one JSON object a line."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

WIDE = 200
"""Columns where it is no terminal: a file or a pipe need not be folded."""

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


def show(rows: Iterable[Mapping[str, object]], columns: Sequence[str], *, as_json: bool, empty: str) -> None:
    """Print rows under these columns; a JSON line has every key of its row."""
    listed = list(rows)
    if as_json:
        for row in listed:
            print(json.dumps(row, ensure_ascii=False, default=str))  # noqa: T201  # this is the screen
        return
    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDE)
    if not listed:
        console.print(empty)
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in listed:
        table.add_row(*(_cell(row.get(column)) for column in columns))
    console.print(table)


def diff(text: str) -> None:
    """Print a unified diff; byte for byte the same where it is no terminal, so that patch can read it."""
    console = Console()
    if console.is_terminal:
        console.print(Syntax(text, "diff", background_color="default"))
    else:
        print(text, end="")  # noqa: T201  # this is the screen


def say(message: str, *, error: bool = False) -> None:
    """Print a sentence."""
    Console(stderr=error, highlight=False, soft_wrap=True).print(Text(message))


def _cell(value: object) -> Text:
    text = "" if value is None else str(value)
    return Text(text, style=STYLES.get(text, ""))
