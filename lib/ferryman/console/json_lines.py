"""A run as other programs read it: one JSON object a line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from ferryman.events import Occurrence


class JsonLines:
    """Subscribes to a run's events and writes each as one line, at once."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __call__(self, occurrence: Occurrence) -> None:
        """Write one event as a line, and flush it."""
        self._stream.write(json.dumps(occurrence.as_dict(), ensure_ascii=False) + "\n")
        self._stream.flush()
