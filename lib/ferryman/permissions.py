"""What this machine's file permissions keep this process from, said so that somebody can mend it."""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path

READ, WRITE, ENTER = os.R_OK, os.W_OK, os.X_OK


def user_name(user: int | None = None) -> str:
    """The name of a user, of the one that runs this unless another is given.

    The number, where the user has no name, as is usual in a container.
    """
    number = os.geteuid() if user is None else user
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def denied(path: Path, wanted: int) -> str | None:
    """Which part of a path keeps this process from what it wants there; None when nothing does.

    ``wanted`` is made of ``READ``, ``WRITE`` and ``ENTER``. Of a path that does not exist, the nearest folder
    that does is asked whether a name can be made in it.
    """
    whole = Path(os.path.realpath(path))
    found = Path("/")
    for part in (*reversed(whole.parents), whole):
        if not part.exists():
            return None if not wanted & WRITE or _may(found, WRITE | ENTER) else _described(found)
        if not _may(part, wanted if part == whole else ENTER):
            return _described(part)
        found = part
    return None


def not_replaceable(file: Path) -> str | None:
    """What keeps this process from putting another file in this one's place; None when nothing does."""
    whole = Path(os.path.realpath(file))
    found = denied(whole, READ) or denied(whole.parent, READ | WRITE | ENTER)
    if found or not whole.exists():
        return found
    folder, me = whole.parent.stat(), os.geteuid()
    # Of a folder such as /tmp (sticky) only the owner of a file may take its name away.
    is_sticky = folder.st_mode & stat.S_ISVTX
    return _described(whole) if is_sticky and me not in {0, folder.st_uid, whole.stat().st_uid} else None


def _may(path: Path, wanted: int) -> bool:
    return os.access(path, wanted, effective_ids=True)


def _described(path: Path) -> str:
    if os.statvfs(path).f_flag & os.ST_RDONLY:
        return f"{path} is on a file system that is mounted read-only"
    found = path.stat()
    mode, owner = stat.S_IMODE(found.st_mode), user_name(found.st_uid)
    return f"{path} belongs to {owner}, with mode {mode:04o}, and this process is run by {user_name()}"
