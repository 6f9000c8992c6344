"""Whether the run survives the terminal's closing; where it does not, a warning comes before any change.

A terminal that closes sends SIGHUP, and SIGHUP takes a run back. A multiplexer keeps the terminal open.
"""

from __future__ import annotations

import os
import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

KEEPERS = ("tmux", "screen", "zellij", "dtach", "abduco", "mosh-server")
"""The processes that keep a terminal open while nobody looks at it."""
_FIRST_WORD = re.compile(rf"({'|'.join(KEEPERS)})(\W|$)")
"""Their names as they are met: ``SCREEN``, ``tmux: server``, and in TERM ``screen-256color``."""
_PARENT = 1
"""The place in /proc/PID/stat counted after the command's name, which may hold blanks itself (proc(5))."""


def warn() -> None:
    """Warn on standard error that nothing keeps the terminal open, where that is so."""
    with suppress(OSError):  # where nobody can be told, nobody is
        if message := warning_here():
            print(f"ferryman: {message}", file=sys.stderr)  # noqa: T201  # this is the screen


def warning_here() -> str | None:
    """The warning for this process's operator; None where something keeps the terminal open."""
    is_terminal = sys.stdin is not None and sys.stdin.isatty()
    return warning(is_terminal=is_terminal, environ=os.environ, ancestors=ancestors())


def warning(*, is_terminal: bool, environ: Mapping[str, str], ancestors: Iterable[str]) -> str | None:
    """One line for the operator; None when there is no terminal, or something keeps it open."""
    if not is_terminal or _says_kept(environ) or any(map(_keeps, ancestors)):
        return None
    return (
        "nothing keeps this terminal open: if it closes, or its connection drops, the run is taken back "
        "(SIGHUP); what runs in `tmux new -s ferryman` goes on"
    )


def ancestors(pid: int | None = None) -> Iterator[str]:
    """The names of the process's parents, the nearest first, as far as they can be seen from here."""
    _, parent = _name_and_parent(os.getpid() if pid is None else pid)
    while parent:
        name, parent = _name_and_parent(parent)
        yield name


def _says_kept(environ: Mapping[str, str]) -> bool:
    # sudo strips the first two, and a container hides the ancestors: each may be all there is to go by.
    return bool(environ.get("TMUX") or environ.get("STY")) or _keeps(environ.get("TERM", ""))


def _keeps(name: str) -> bool:
    return _FIRST_WORD.match(name.lower()) is not None


def _name_and_parent(pid: int) -> tuple[str, int]:
    """What a process is called and who started it; no name and no parent when it cannot be read."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "", 0
    name, _, rest = stat.partition("(")[2].rpartition(")")
    return name, int(rest.split()[_PARENT])
