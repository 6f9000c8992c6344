"""The confirmation that a run asks for before its first change."""

from __future__ import annotations

import select
import sys

from ferryman.click_shim import echo
from ferryman.printable import printable

_POLL_S = 0.2
"""How long a signal may wait that comes just before the wait for the answer begins."""


def confirmed(question: str) -> bool:
    """Ask, and wait for the answer; whatever is no yes, the end of the input among it, is a no."""
    echo(f"{printable(question)} [y/N]: ", nl=False, err=True)
    # A signal that comes after Python's last look at them, and before a read begins, would wait for the read.
    while not select.select([sys.stdin], [], [], _POLL_S)[0]:
        pass
    try:
        answer = sys.stdin.readline()
    except OSError:  # the terminal is gone
        return False
    return answer.strip().lower() in ("y", "yes")
