"""What one input may cost: the CPU time and the memory that a parser took for it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

MOST_S = 0.5
"""Seconds of CPU time for one input."""
MOST_BYTES = 64 << 20
"""Bytes of memory for one input."""
_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")
_PEAK_OF_RESIDENT_MEMORY = "5"
"""proc(5), clear_refs: sets VmHWM to what is resident now."""


def _peak_bytes() -> int:
    for line in _STATUS.read_bytes().splitlines():
        if line.startswith(b"VmHWM:"):
            return int(line.split()[1]) << 10
    return 0


@dataclass
class Meter:
    """Measures one call after the other."""

    seconds: float = 0.0
    grown: int = 0
    """Bytes by which the peak of the process's memory rose."""
    _began: float = field(default=0.0, repr=False)
    _before: int = field(default=0, repr=False)

    def begin(self) -> None:
        """Measure from now."""
        _RESET.write_text(_PEAK_OF_RESIDENT_MEMORY)
        self._before = _peak_bytes()
        self._began = time.thread_time()

    def end(self) -> None:
        """Keep what it took until now."""
        self.seconds = time.thread_time() - self._began
        self.grown = _peak_bytes() - self._before
