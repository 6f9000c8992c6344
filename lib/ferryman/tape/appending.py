"""The tape of a run that is going on: written beside the run, which neither waits for it nor fails with it.

``append`` puts an entry into a list. A thread turns what the list has into lines about twice a second, and
appends them to the file as one whole gzip member; so what a killed process leaves can be read up to there. At
the end the file is written anew as one member, with the digest in its last line.
"""

from __future__ import annotations

import errno
import fcntl
import gzip
import hashlib
import os
import threading
import time
from typing import TYPE_CHECKING, Any, BinaryIO

from ferryman.tape.file import FILE_MODE, NEW, SUFFIX, Header, line_of, member
from ferryman.tape.lines import MAX_BYTES, MAX_LINE_BYTES, MAX_LINES
from ferryman.trust import untrusted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    Data = Mapping[str, Any] | Callable[[], Mapping[str, Any]]

EVERY_S = 0.5
"""Seconds between two members of a run that has something to say."""
PATIENCE_S = 10.0
"""Seconds that the end of a run waits for the tape's last write; a disk that hangs keeps no process."""
FOLDER_MODE = 0o700
LEFT_FREE_BYTES = 8 << 20
"""What a tape leaves of its disk: the journal is on the same one, as a rule, and matters more."""
_LAST_LINE = 1 << 10
"""Bytes that the last line takes at most."""
_COPIED = 1 << 18


class TapeWriter:
    """Writes a run's tape. No method raises; ``trouble`` says why the tape is not whole, once it cannot be.

    The file must not be there yet. It is locked while it is written, so that ``prune`` leaves it alone.
    """

    def __init__(
        self,
        path: Path,
        header: Header,
        *,
        keep: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        every_s: float = EVERY_S,
    ) -> None:
        """``keep`` is how many tapes stay in the folder, this one counted; None keeps all of them."""
        self.path = path
        self.trouble: str | None = None
        self._header = header
        self._keep = keep
        self._clock = clock
        self._every_s = every_s
        self._last = clock()
        self._waiting: list[tuple[float, str, Data]] = []
        self._takes_more = True
        self._queue = threading.Lock()
        self._writing = threading.Lock()
        self._file: BinaryIO | None = None
        self._size = self._lines = 0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._write_until_closed, name="ferryman-tape", daemon=True)
        self._thread.start()

    def append(self, kind: str, data: Data) -> None:
        """Add an entry. Its data is not changed afterwards by the caller; or it is a function that makes it.

        The function is called in the writer's thread, so that nothing waits for what it takes.
        """
        with self._queue:
            if self._takes_more:
                now = self._clock()
                self._waiting.append((now - self._last, kind, data))
                self._last = now

    def flush(self) -> None:
        """Have everything in the file that was appended before."""
        with self._writing:
            self._guarded(self._write_waiting)

    def close(self, outcome: Mapping[str, Any] | None = None) -> None:
        """End the tape, with the run's outcome if there is one, and have the file written anew, whole.

        Whatever is appended afterwards is dropped.
        """
        if outcome is not None:
            self.append("outcome", outcome)
        with self._queue:
            self._takes_more = False
        self._closing.set()
        self._thread.join(PATIENCE_S)
        if self._thread.is_alive():
            self._stop(f"{self.path}: not written within {PATIENCE_S:g} seconds")

    def _write_until_closed(self) -> None:
        self.flush()
        if self._keep is not None:
            prune(self.path.parent, self._keep)
        while not self._closing.wait(self._every_s):
            self.flush()
        with self._writing:
            self._guarded(self._write_waiting)
            self._guarded(self._write_whole)
            if self._file is not None:
                self._file.close()

    def _guarded(self, write: Callable[[], None]) -> None:
        if self.trouble is not None:
            return
        try:
            write()
        except OSError as error:
            self._stop(f"{self.path}: {error.strerror or error}")
        except Exception as error:  # noqa: BLE001  # a bug of the tape's stops the tape, never the run
            self._stop(f"{self.path}: {type(error).__name__}: {error}")

    def _stop(self, trouble: str) -> None:
        with self._queue:
            self.trouble = self.trouble or trouble
            self._takes_more = False
            self._waiting = []

    def _write_waiting(self) -> None:
        with self._queue:
            waiting, self._waiting = self._waiting, []
        lines = [_line(*entry) for entry in waiting]
        if self._file is None:
            self._file = _created(self.path)
            lines.insert(0, line_of(self._header.as_json()))
        if lines:
            self._require_room(lines)
            _require_space(self.path.parent)
            _write_all(self._file, member(b"".join(lines), level=1))  # it is written anew at the end

    def _require_room(self, lines: list[bytes]) -> None:
        """Raise where no reader would take the tape any more."""
        self._size += sum(map(len, lines))
        self._lines += len(lines)
        if max(map(len, lines)) > MAX_LINE_BYTES:
            raise OSError(errno.EFBIG, f"a line of the tape would be longer than {MAX_LINE_BYTES >> 20} MiB")
        if self._size > MAX_BYTES - _LAST_LINE or self._lines >= MAX_LINES:
            raise OSError(
                errno.EFBIG, f"the tape would be longer than {MAX_BYTES >> 20} MiB or {MAX_LINES:,} lines"
            )

    def _write_whole(self) -> None:
        new = self.path.with_name(f".{self.path.name}{NEW}")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            with open(os.open(new, flags, FILE_MODE), "wb") as file:  # noqa: PTH123  # a descriptor has no path
                _copy(self.path, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(new, self.path)  # noqa: PTH105  # beside os.fsync, the step that it is ordered after
        except BaseException:
            new.unlink(missing_ok=True)
            raise


def prune(folder: Path, keep: int) -> None:
    """Remove all but the newest tapes of a folder, by their names, and never one that is being written."""
    try:
        tapes = sorted(file for file in folder.iterdir() if file.name.endswith(SUFFIX))
    except OSError:
        return
    for tape in tapes[: max(len(tapes) - max(keep, 1), 0)]:
        _remove(tape)


def free_path(folder: Path, run: str) -> Path:
    """The path for another tape of a run: a run that is resumed has one for each of its processes."""
    path, number = folder / f"{run}{SUFFIX}", 1
    while os.path.lexists(path):  # one that may not be looked for is none: the writer says why
        number += 1
        path = folder / f"{run}.{number}{SUFFIX}"
    return path


def _line(after_s: float, kind: str, data: Data) -> bytes:
    return line_of([round(after_s, 6), kind, data() if callable(data) else data])


def _require_space(folder: Path) -> None:
    """Raise where little of the disk is free: what is left is the journal's, without which no run goes on."""
    disk = os.statvfs(folder)
    if disk.f_bavail * disk.f_frsize < LEFT_FREE_BYTES:
        raise OSError(errno.ENOSPC, f"less than {LEFT_FREE_BYTES >> 20} MiB are free, left for the journal")


def _created(path: Path) -> BinaryIO:
    if reason := untrusted(path):
        raise PermissionError(errno.EACCES, reason)
    path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    _require_space(path.parent)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
    file = open(os.open(path, flags, FILE_MODE), "ab", buffering=0)  # noqa: PTH123, SIM115  # closed in close
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return file


def _write_all(file: BinaryIO, packed: bytes) -> None:
    """Write all of it: on a disk that gets full a part is written first, and the next write says why."""
    rest = memoryview(packed)
    while rest:
        rest = rest[file.write(rest) :]


def _copy(path: Path, new: BinaryIO) -> None:
    """Write what the members of a tape hold as one member, and the digest after it; in little memory."""
    digest, lines = hashlib.sha256(), 0
    with (
        gzip.open(path, "rb") as old,
        gzip.GzipFile(filename="", fileobj=new, mode="wb", compresslevel=6, mtime=0) as packed,
    ):
        while raw := old.read(_COPIED):
            digest.update(raw)
            lines += raw.count(b"\n")
            packed.write(raw)
        packed.write(line_of({"lines": lines, "sha256": digest.hexdigest()}))


def _remove(tape: Path) -> None:
    """Remove a tape and what a killed writer left beside it; not while its writer holds its lock."""
    try:
        with tape.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            tape.unlink(missing_ok=True)
            tape.with_name(f".{tape.name}{NEW}").unlink(missing_ok=True)
    except OSError:
        return
