"""The process that holds the lab's namespaces: found, guarded against a reused number, entered, ended.

It is ``unshare``, waiting for process 1 of the lab's PID namespace. The kernel ties their lives together:
when either dies, everything that the lab runs dies, and its network namespace with it.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ferryman.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferryman.lab.paths import LabPaths

_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_END_S = 10.0


@dataclass(frozen=True, slots=True)
class NamespaceOwner:
    """A process, told from a later one with the same number by when it started (clock ticks since boot)."""

    pid: int
    started: int

    @property
    def alive(self) -> bool:
        """Whether it still runs; one that has ended and waits for its parent does not."""
        return _started(Path(f"/proc/{self.pid}")) == self.started

    @property
    def entered(self) -> bool:
        """Whether this process is in the lab's network namespace already."""
        with suppress(FileNotFoundError, PermissionError):
            return os.path.samestat(Path("/proc/self/ns/net").stat(), self._namespace("net").stat())
        return False

    def command_prefix(self) -> list[str]:
        """What to put before a command so that it runs in the lab's control namespace."""
        if self.entered:
            return []
        user = [] if os.getuid() == 0 else ["--user", "--preserve-credentials"]
        return ["nsenter", f"--target={self.pid}", *user, "--net", "--"]

    def enter(self) -> None:
        """Take this process into the lab's control namespace; twice is harmless.

        Raises:
            LabError: The process has ended meanwhile, or this process has threads.
        """
        if self.entered:
            return
        # Only root may join a network namespace without its user namespace.
        flags = _CLONE_NEWNET if os.getuid() == 0 else _CLONE_NEWUSER | _CLONE_NEWNET
        libc = ctypes.CDLL(None, use_errno=True)
        with self._handle() as handle:
            if threading.active_count() > 1:
                raise LabError("the lab's control namespace must be entered before any thread is started")
            if libc.setns(handle, flags) != 0:
                why = os.strerror(ctypes.get_errno())
                raise LabError(f"cannot enter the lab's control namespace (process {self.pid}): {why}")

    @contextmanager
    def _handle(self) -> Iterator[int]:
        """A pidfd, which no later process can take over."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError as gone:
            raise LabError(f"process {self.pid} of the lab has ended") from gone
        try:
            if not self.alive:
                raise LabError(f"process {self.pid} of the lab has ended")
            yield handle
        finally:
            os.close(handle)

    def end(self) -> None:
        """End it and everything that the lab runs, and wait until all is gone.

        Raises:
            LabError: Something still runs after ten seconds.
        """
        for process in (*self._children(), self):
            process.kill()

    def kill(self) -> None:
        """Kill this process and wait until it has ended; harmless when it has already."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        try:
            if self.alive:
                signal.pidfd_send_signal(handle, signal.SIGKILL)
                if not select.select([handle], [], [], _END_S)[0]:
                    raise LabError(f"process {self.pid} of the lab does not end; see ps {self.pid}")
        except ProcessLookupError:
            return
        finally:
            os.close(handle)

    def _namespace(self, kind: str) -> Path:
        return Path(f"/proc/{self.pid}/ns/{kind}")

    def _children(self) -> list[NamespaceOwner]:
        """Process 1 of the lab's PID namespace: its death is complete only when all others there are dead."""
        found = []
        for entry in Path("/proc").iterdir():
            fields = _stat_fields(entry) if entry.name.isdigit() else None
            if fields and fields[1] == str(self.pid) and self.alive:
                found.append(NamespaceOwner(int(entry.name), int(fields[19])))
        return found


def find(paths: LabPaths) -> NamespaceOwner | None:
    """The process that owns the namespaces of the lab, if it is alive; else None."""
    try:
        fields = _split(paths.owner.read_text())
    except FileNotFoundError:
        return None
    if fields is None:
        return None
    owner = NamespaceOwner(int(fields[0]), int(fields[1 + 19]))
    return owner if owner.alive else None


def _started(process: Path) -> int | None:
    """When a process started, None when it is not there or has ended."""
    fields = _stat_fields(process)
    return None if fields is None or fields[0] in "ZX" else int(fields[19])


def _stat_fields(process: Path) -> list[str] | None:
    """The fields of /proc/PID/stat from the state on; None when there is no such process."""
    try:
        line = (process / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = _split(line)
    return None if fields is None else fields[1:]


def _split(line: str) -> list[str] | None:
    """The process's number and the fields after its name, which may itself hold spaces and brackets."""
    number, _, _ = line.partition(" (")
    _, bracket, rest = line.rpartition(") ")
    return [number, *rest.split()] if bracket else None
