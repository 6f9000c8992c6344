"""Which process holds a run: distinguished from a later process that got the same number."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_STATE, _STARTED = 0, 19
"""Places in /proc/PID/stat counted after the command's name, which may hold blanks itself (proc(5))."""


@dataclass(frozen=True, slots=True)
class ProcessId:
    """One process on one boot of one host."""

    host: str
    pid: int
    pid_started: int
    """Clock ticks between the boot and the process's start: a number used again has another one."""
    boot_id: str
    """The host's boot, and after a colon the PID namespace in which the number counts: a container has its
    own."""

    @classmethod
    def this_process(cls) -> ProcessId:
        """The id of the calling process."""
        pid = os.getpid()
        return cls(socket.gethostname(), pid, _started(pid) or 0, _boot_id())

    @property
    def boot(self) -> str:
        """The host's boot id, without the PID namespace."""
        return self.boot_id.partition(":")[0]

    def as_row(self) -> dict[str, Any]:
        """The columns of the journal's tables that hold it."""
        return {
            "host": self.host,
            "pid": self.pid,
            "pid_started": self.pid_started,
            "boot_id": self.boot_id,
        }

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> ProcessId:
        """Read it from a row of the journal's tables."""
        return cls(row["host"], row["pid"], row["pid_started"], row["boot_id"])


def is_alive(owner: ProcessId) -> bool | None:
    """Whether that very process still runs; asked on its own host and in its own PID namespace.

    None where it cannot be known: there is a process of another user with its number, which /proc hides
    (``hidepid`` in proc(5)).
    """
    if owner.boot_id != _boot_id():
        return False
    try:
        return _started(owner.pid) == owner.pid_started
    except PermissionError:
        return None


def _boot_id() -> str:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{boot}:{Path('/proc/self/ns/pid').stat().st_ino}"


def _started(pid: int) -> int | None:
    """When the process started, None when there is none; a zombie is none, for it will never act again.

    Raises:
        PermissionError: There is one, and this user may not look at it.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        with suppress(ProcessLookupError, OverflowError):
            os.kill(pid, 0)  # sends nothing; hidepid=2 hides a process from files, and not from this
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[_STATE] in "ZX" else int(fields[_STARTED])
