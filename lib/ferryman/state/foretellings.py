"""What dry runs foretold, in files beside the state: one for each cookbook and its arguments.

They are a convenience: whatever is wrong with them is logged, and fails no run.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
import secrets
import stat
from typing import TYPE_CHECKING, Any

from ferryman.trust import untrusted

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ferryman.state.records import RunRequest

KEEP = 100
"""How many are kept; the oldest go."""
MAX_BYTES = 4 * 1024 * 1024
"""The largest file that is written or read."""
_SUFFIX = ".json"
_OURS = re.compile(r"[0-9a-f]{32}(\.json|\.[0-9a-f]{16}\.tmp)")
"""The names of the files and of their drafts; whatever else is in the folder is somebody else's."""

_log = logging.getLogger(__name__)


class Foretellings:
    """The folder of these files; it is made when it is first written to."""

    def __init__(self, folder: Path, *, keep: int = KEEP) -> None:
        self.folder = folder
        self._keep = keep

    def write(self, request: RunRequest, value: Mapping[str, Any]) -> None:
        """Keep this value for the request's cookbook and arguments, in place of an earlier one."""
        try:
            content = json.dumps(value, ensure_ascii=False).encode(errors="backslashreplace")
            if len(content) > MAX_BYTES:
                _log.info("what the dry run foretold is not kept: it has %d bytes", len(content))
                return
            self._replace(self._path(request), content)
            self._prune()
        except (OSError, ValueError, TypeError, RecursionError) as error:
            _log.info("what the dry run foretold could not be kept in %s: %s", self.folder, error)

    def read(self, request: RunRequest) -> Any:  # noqa: ANN401  # whatever JSON the file has
        """The value that is kept for the request's cookbook and arguments; None when there is none."""
        path = self._path(request)
        try:
            _require_trusted(path)
            return json.loads(_content(path))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError) as error:
            _log.info("%s: what a dry run foretold cannot be read and is ignored: %s", path, error)
            return None

    def remove(self, request: RunRequest) -> None:
        """Forget what is kept for the request's cookbook and arguments."""
        try:
            self._path(request).unlink(missing_ok=True)
        except OSError as error:
            _log.info("what a dry run foretold could not be removed: %s", error)

    def _path(self, request: RunRequest) -> Path:
        """The request's file; its name tells nothing of the arguments, which may be secret."""
        key = json.dumps([request.cookbook, dict(request.arguments)], sort_keys=True, default=str)
        return self.folder / (hashlib.sha256(key.encode()).hexdigest()[:32] + _SUFFIX)

    def _replace(self, path: Path, content: bytes) -> None:
        _require_trusted(path)
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = path.with_suffix(f".{secrets.token_hex(8)}.tmp")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            with os.fdopen(os.open(draft, flags, 0o600), "wb") as file:
                file.write(content)
            draft.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                draft.unlink()
            raise

    def _prune(self) -> None:
        """Remove the oldest files beyond the number that is kept, and drafts that a dead process left."""
        found = []
        for path in self.folder.iterdir():
            if _OURS.fullmatch(path.name):
                with contextlib.suppress(OSError):
                    found.append((path.lstat().st_mtime_ns, path))
        for _, path in sorted(found)[: -self._keep]:
            with contextlib.suppress(OSError):
                path.unlink()


def _require_trusted(path: Path) -> None:
    """Check that nobody else can have written a file; raises ValueError."""
    if reason := untrusted(path):
        raise ValueError(f"it is not trusted: {reason}")


def _content(path: Path) -> bytes:
    """The bytes of a regular file; raises ValueError for anything else, and for one that is too large."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("it is no regular file")
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"it has more than {MAX_BYTES} bytes")
    return content
