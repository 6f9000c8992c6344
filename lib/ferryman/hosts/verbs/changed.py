"""What a script says that found something else than it was told to expect, and changed nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.errors import WorldChangedError

if TYPE_CHECKING:
    from collections.abc import Iterable

CHANGED = 65
"""The exit status of such a script; standard error has a line for each thing."""


def changed_error(host: str, lines: Iterable[str]) -> WorldChangedError:
    """The error that tells of these things."""
    return WorldChangedError(
        "\n".join(f"{host}: {line}: someone else changed it since it was read" for line in lines)
        + "\nit was left alone; find out who did, then begin again"
    )
