"""One writer at a time in a folder: an flock on the folder itself, which leaves no file behind.

The kernel lets go of it when its holder ends, however it ends.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ferryman.errors import BusyError
from ferryman.retry import poll_until

if TYPE_CHECKING:
    from collections.abc import Iterator

RETRY_EVERY_S = 0.1


@contextmanager
def locked(folder: Path, *, within_s: float) -> Iterator[int]:
    """Lock the folder for the length of the block; the value is its open descriptor.

    Raises:
        BusyError: Someone else held it all the time; says who.
        OSError: The folder cannot be opened.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if not poll_until(lambda: _try(descriptor), bool, within_s=within_s, every_s=RETRY_EVERY_S):
            raise BusyError(
                f"{folder}: waited {within_s:g} s to write here; its lock is held by {_holder(descriptor)}; "
                "try again when that is done"
            )
        yield descriptor
    finally:
        os.close(descriptor)


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(descriptor: int) -> str:
    """The process that has the lock, as far as the kernel tells: one of another namespace stays unnamed."""
    inode = os.fstat(descriptor).st_ino
    for line in _lines(Path("/proc/locks")):
        # 1: FLOCK  ADVISORY  WRITE 4711 fe:01:1234 0 EOF
        parts = line.split()
        if len(parts) > 5 and parts[1] == "FLOCK" and parts[5].rpartition(":")[2] == str(inode):  # noqa: PLR2004  # columns
            words = " ".join(_lines(Path(f"/proc/{parts[4]}/cmdline"))).replace("\0", " ").strip()
            return f"process {parts[4]} ({words})" if words else f"process {parts[4]}"
    return "another process"


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text("utf-8", "replace").splitlines()
    except OSError:
        # Only the name of the holder is lost by it; the refusal stands.
        return []
