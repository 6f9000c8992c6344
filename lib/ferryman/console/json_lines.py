"""A run as other programs read it: one JSON object a line."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TextIO

from ferryman.errors import UsageError
from ferryman.printable import json_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ferryman.events import Occurrence

ACKNOWLEDGE = "FERRYMAN_ACKNOWLEDGE"
"""The environment variable with the number of the file that acknowledgements are read from."""


class JsonLines:
    """Subscribes to a run's events and writes each as one line, at once.

    With ``acknowledged``, an open file descriptor, the run stands still after each line until a byte arrives
    there: whoever reads the lines can act at the very moment that a line tells of. When that reader is gone,
    the run goes on without it.
    """

    def __init__(self, stream: TextIO, acknowledged: int | None = None) -> None:
        self._stream = stream
        self._acknowledged = acknowledged

    def __call__(self, occurrence: Occurrence) -> None:
        """Write one event as a line, and flush it; wait until it is acknowledged, if it is to be."""
        self._stream.write(json_line(occurrence.as_dict()) + "\n")
        self._stream.flush()
        if self._acknowledged is not None and not os.read(self._acknowledged, 1):
            self._acknowledged = None


def acknowledgements(environment: Mapping[str, str]) -> int | None:
    """The file descriptor that acknowledgements are read from, as the environment names it; None without.

    Raises:
        UsageError: What it names is no open file.
    """
    if (named := environment.get(ACKNOWLEDGE)) is None:
        return None
    try:
        descriptor = int(named)
        os.fstat(descriptor)
    except (ValueError, OSError, OverflowError) as error:
        raise UsageError(
            f"{ACKNOWLEDGE}={named}: is no open file descriptor; leave it unset unless a program that "
            "acknowledges each line has started this one; nothing was begun"
        ) from error
    return descriptor
