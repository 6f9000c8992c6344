"""Putting new content in a file's place whole: readers see the old file or the new one, never a part."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

SUFFIX = ".ferryman"
"""How the names of temporary files end."""


def replace_file(target: Path, content: bytes, folder_descriptor: int) -> None:
    """Write a temporary file beside the target, on disk, and rename it over the target.

    Mode, owner and extended attributes are kept as far as this process may. The temporary file is gone when
    anything fails. The caller holds the folder's lock.

    Raises:
        OSError: It could not be done; the target is as it was.
        FolderNotSyncedError: It was done, but may not survive a loss of power.
    """
    sweep(target)
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=SUFFIX, dir=target.parent)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123  # a descriptor has no path
            _like(target, descriptor)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        os.replace(name, target)  # noqa: PTH105  # beside os.fsync, the step that it is ordered after
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    try:
        os.fsync(folder_descriptor)
    except OSError as error:
        raise FolderNotSyncedError(error.errno, error.strerror) from error


class FolderNotSyncedError(OSError):
    """The file was replaced, but whether the disk knows it yet is not known."""


def sweep(target: Path) -> None:
    """Remove the temporary files of writers that were killed; the caller holds the folder's lock."""
    for stale in target.parent.glob(f".{target.name}.*{SUFFIX}"):
        stale.unlink()


def _like(target: Path, descriptor: int) -> None:
    """Give an open file the mode, the owner and the extended attributes of the target."""
    now = target.stat()
    # Only root gives files away.
    with suppress(PermissionError):
        os.fchown(descriptor, now.st_uid, now.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(now.st_mode))
    for name in _attributes(target):
        try:
            os.setxattr(descriptor, name, os.getxattr(target, name))
        except OSError as error:
            if error.errno not in _NOT_OURS_TO_SET:
                raise


_NOT_OURS_TO_SET = (errno.ENOTSUP, errno.EPERM, errno.EACCES)


def _attributes(target: Path) -> list[str]:
    try:
        return os.listxattr(target)
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise
        return []
