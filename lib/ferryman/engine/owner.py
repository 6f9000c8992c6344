"""Whose process holds a run: told apart from a later process that got the same number."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path

_STATE, _STARTED = 0, 19
"""Places in /proc/PID/stat counted after the command's name, which may hold blanks itself (proc(5))."""


@dataclass(frozen=True, slots=True)
class Owner:
    """One process on one boot of one host."""

    host: str
    pid: int
    pid_started: int
    """Clock ticks between the boot and the process's start: a number used again has another one."""
    boot_id: str

    @classmethod
    def this_process(cls) -> Owner:
        """The process that asks."""
        pid = os.getpid()
        return cls(socket.gethostname(), pid, _started(pid) or 0, _boot_id())


def is_alive(owner: Owner) -> bool:
    """Whether that very process still runs; asked on its own host."""
    return owner.boot_id == _boot_id() and _started(owner.pid) == owner.pid_started


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def _started(pid: int) -> int | None:
    """When the process started, None when there is none; a zombie is none, for it will never act again."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[_STATE] in "ZX" else int(fields[_STARTED])
