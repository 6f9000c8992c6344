"""Putting a file in its place whole: readers see the old file or the new one, never a part."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write_whole(path: Path, content: bytes, *, mode: int = 0o600, suffix: str = ".new") -> None:
    """Write content into a file beside the path, on disk, and rename it to the path.

    ``suffix`` ends the name of that file, of which nothing is left when anything fails. Where owner, mode and
    attributes of a file that is there must stay, see ``catalog/replace.py``.

    Raises:
        OSError: It could not be written; what was there is as it was.
    """
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=suffix, dir=path.parent)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123  # a descriptor has no path
            os.fchmod(descriptor, mode)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        os.replace(name, path)  # noqa: PTH105  # beside os.fsync, the step that it is ordered after
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
