"""The files of a SQLite database: created privately, identified by inode, and checked for damage.

When a process closes any descriptor of a file, all of its record locks on that file are gone; the next
process then takes itself for the last one, and removes the log (https://www.sqlite.org/howtocorrupt.html,
2.2). So nothing here opens the database or its ``-shm``, where SQLite's locks are; the ``-wal`` has none.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ferryman.errors import JournalError
from ferryman.permissions import ENTER, READ, WRITE, denied, user_name
from ferryman.trust import require_trusted

_LOGS = ("-wal", "-shm")
"""The files that SQLite keeps beside an open database: the log, and the index of the log."""
_MAGIC_BYTES = 4
_LOG_BEGINS_WITH = {bytes.fromhex("377f0682"), bytes.fromhex("377f0683"), bytes(_MAGIC_BYTES)}
"""Magic numbers of a log (https://www.sqlite.org/fileformat2.html#walformat), or zeros if power was lost."""

_Identity = tuple[int, int]
"""Device and inode of a file."""


@dataclass(frozen=True, slots=True)
class OpenFiles:
    """The files that a connection has open, by their inodes."""

    where: str
    """The database's file, as the configuration names it."""
    identities: tuple[tuple[Path, _Identity], ...]
    """The identity of each file, with its path."""

    @classmethod
    def of(cls, path: Path) -> OpenFiles:
        """The files of a database that is open, and has been read: only then does its log exist.

        Raises:
            OSError: One does not exist.
        """
        paths = [path.absolute(), *(_beside(path, suffix) for suffix in _LOGS)]
        return cls(str(path), tuple((file, _identity(file)) for file in paths))

    def require_in_place(self) -> None:
        """Check that each name still belongs to the file that was opened, without opening any.

        Raises:
            JournalError: One does not.
        """
        for path, opened in self.identities:
            try:
                found = _identity(path)
            except FileNotFoundError:
                raise self._replaced(f"{path} is gone") from None
            if found != opened:
                raise self._replaced(f"{path} is another file by now")

    def _replaced(self, what: str) -> JournalError:
        return JournalError(
            f"{self.where}: the journal is no longer the one that this process opened: {what}, somebody "
            "removed, moved or replaced it; what was recorded since may be lost, so nothing more is recorded "
            "or changed from here; keep the file and all beside it, see what `ferryman runs` and `ferryman "
            "show RUN` still have, and compare that with the hosts before anything else is run"
        )


def make_private(path: Path) -> None:
    """Create an empty file, with its folder, that only its owner may read; harmless when it exists.

    SQLite gives its ``-wal`` and ``-shm`` the same mode.

    Raises:
        JournalError: There is a log without its database, which SQLite would remove; or somebody else may
            have written one of the files.
        OSError: It cannot be created.
    """
    for file in (path, *(_beside(path, suffix) for suffix in _LOGS)):
        require_trusted(file, "the journal", JournalError)
    _require_no_orphan(path)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        # Made and never opened: a descriptor that is closed here would take the locks of other connections.
        os.mknod(_resolved(path), stat.S_IFREG | 0o600)


def require_readable_log(path: Path) -> None:
    """Check that SQLite will not silently ignore the log, as it does with a file that is none.

    Raises:
        JournalError: It would, and the records in it would be lost.
    """
    log = _beside(path, "-wal")
    try:
        with log.open("rb") as file:  # SQLite has no lock on it that could be lost
            found = file.read(_MAGIC_BYTES)
    except FileNotFoundError:
        return
    if found and found not in _LOG_BEGINS_WITH:
        raise damaged(str(path), f"{log} is not a log of SQLite's")


def damaged(where: str, what: str) -> JournalError:
    """The error about a journal whose file is damaged; ``what`` says how."""
    return JournalError(
        f"{where}: the journal cannot be used: {what}: it is damaged, and was left as it is; keep it with "
        "its -wal and -shm, and look at the disk; put a sound copy in its place while no ferryman runs, or "
        "compare the hosts with the catalog, put them right by hand, and name another state file in "
        "ferryman.toml"
    )


def not_usable(path: Path) -> str | None:
    """What of the file's permissions, or of its folder's, forbids this process the journal; None for nothing.

    SQLite needs the folder too: it makes and removes its log there.
    """
    obstacle = denied(path, READ | WRITE) or denied(path.parent, READ | WRITE | ENTER)
    if obstacle is None:
        return None
    return (
        f"{obstacle}; run ferryman as the user whose it is, or name a file of "
        f"{user_name()}'s own as state in ferryman.toml; runs in two files know nothing of each other's "
        "locks, so whoever migrates the same services shares one user, or a state in etcd"
    )


def _require_no_orphan(path: Path) -> None:
    log = _beside(path, "-wal")
    if _size(log) and not _size(path):  # in this order: whoever makes them makes the database first
        raise damaged(str(path), f"it is empty, and its log {log} is not")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _identity(path: Path) -> _Identity:
    found = path.stat()
    return found.st_dev, found.st_ino


def _resolved(path: Path) -> Path:
    """The path with links followed, where SQLite keeps the file and its logs beside it."""
    return Path(os.path.realpath(path))


def _beside(path: Path, suffix: str) -> Path:
    resolved = _resolved(path)
    return resolved.with_name(resolved.name + suffix)
