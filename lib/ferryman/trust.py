"""Whether a file may be trusted: nobody but root and the user that runs this can have written it.

Configuration, cookbooks, inventory and state decide what is done as root on many hosts, so whoever can write
one of them can do that too. The rule is the one of Debian's sshd (``StrictModes``), with git's exception
for sudo (``safe.directory``): a file, each folder on the way to it and each symbolic link belong to root or
to this user (under sudo also to who called it), and nobody else may write to them. A group may, where nobody
else is in it: with umask 002 every file of a user is like that. A folder such as ``/tmp``, where names of
others cannot be taken away, is no danger for what is in it.

A file that was named on the command line is judged in the same way: naming it does not say who can write it.
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
import shlex
import stat
from functools import lru_cache
from pathlib import Path

from ferryman.errors import ConfigError, FerrymanError
from ferryman.permissions import user_name

TRUSTED_FOLDERS = "FERRYMAN_TRUSTED_FOLDERS"
"""The environment variable with folders that are trusted whoever they belong to, with colons between."""
_MOST_LINKS = 40
"""Symbolic links on the way to one file, as the kernel has it (ELOOP)."""
_ACCESS_LIST = "system.posix_acl_access"


def untrusted(path: Path, *, ours_alone: bool = True) -> str | None:
    """Which part of a path somebody else may have written, and what mends that; None when none.

    Of a path that does not exist, the folders that do are judged: somebody else could make it there.

    Args:
        path: A file or a folder.
        ours_alone: False for what is only written to, such as a log: a group may write beside it, as the
            group of syslog may in ``/var/log``.
    """
    if _is_named_as_trusted(path):
        return None
    try:
        parts = _parts(Path.cwd() / path)
        is_closed = False
        for part, found in parts:
            is_last = part == parts[-1][0]
            if reason := _danger(part, found, is_last=is_last, ours_alone=ours_alone, is_closed=is_closed):
                return reason
            if stat.S_ISLNK(found.st_mode):
                is_closed = False
            elif stat.S_ISDIR(found.st_mode):
                # With umask 0, as in some pipelines, this is what keeps others out.
                is_closed = is_closed or not found.st_mode & 0o077
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.EACCES, errno.ENOTDIR}:
            return None  # whoever opens it says so
        return f"{path} cannot be looked at: {error.strerror}"
    return None


def require_trusted(
    path: Path, what: str, error: type[FerrymanError] = ConfigError, *, ours_alone: bool = True
) -> None:
    """Refuse a path that somebody else may have written; ``what`` is it called for people.

    Raises:
        FerrymanError: It is not trusted, as the ``error`` that is given; nothing of it was read.
    """
    if reason := untrusted(path, ours_alone=ours_alone):
        raise error(f"{what}: {path}: is not trusted, and nothing of it was used: {reason}")


def trusted_users() -> frozenset[int]:
    """Whose files are trusted: root's, this user's, and under sudo those of who called it."""
    me = os.geteuid()
    caller = os.environ.get("SUDO_UID", "") if me == 0 else ""
    called_by = {int(caller)} if caller.isascii() and caller.isdigit() and len(caller) <= 10 else set()  # noqa: PLR2004  # 2^32
    return frozenset({0, me} | called_by)


def _is_named_as_trusted(path: Path) -> bool:
    named = [Path(folder) for folder in os.environ.get(TRUSTED_FOLDERS, "").split(":") if folder]
    whole = Path(os.path.realpath(path))
    return any(folder.is_absolute() and whole.is_relative_to(os.path.realpath(folder)) for folder in named)


def _parts(path: Path) -> list[tuple[Path, os.stat_result]]:
    """Each folder and each symbolic link that the kernel passes on the way to a file, and the file."""
    found: list[tuple[Path, os.stat_result]] = []
    here = Path("/")
    found.append((here, here.lstat()))
    todo = list(reversed(path.parts[1:]))
    links = 0
    while todo:
        name = todo.pop()
        if name == "..":
            here = here.parent
            continue
        here = here / name
        try:
            state = here.lstat()
        except FileNotFoundError:
            return found
        found.append((here, state))
        if stat.S_ISLNK(state.st_mode):
            links += 1
            if links > _MOST_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            target = Path(os.readlink(here))  # noqa: PTH115  # the same as a path
            here = Path("/") if target.is_absolute() else here.parent
            todo += [part for part in reversed(target.parts) if part != "/"]
    return found


def _danger(
    path: Path, found: os.stat_result, *, is_last: bool, ours_alone: bool, is_closed: bool
) -> str | None:
    """Why this part of a path is not to be trusted; None when it is.

    ``is_closed`` is true below a folder that only its owner may enter: no mode lets anybody else get there.
    """
    is_folder = stat.S_ISDIR(found.st_mode)
    # Whoever has / has everything: in a user namespace root of outside is nobody's number.
    is_above = is_folder and not is_last and found.st_uid == Path("/").stat().st_uid
    if found.st_uid not in trusted_users() and not is_above:
        return (
            f"{path} belongs to {user_name(found.st_uid)}, and this process is run by {user_name()}: "
            f"{_mend_owner(path, found.st_uid)}"
        )
    if stat.S_ISLNK(found.st_mode) or stat.S_ISCHR(found.st_mode):
        return None  # its mode says nothing, as that of /dev/null does not
    if is_closed or (is_folder and found.st_mode & stat.S_ISVTX):
        return None  # nobody takes away what is ours there, and what is not ours is refused itself
    mode = f"{stat.S_IMODE(found.st_mode):04o}"
    if found.st_mode & stat.S_IWOTH:
        return f"{path} has mode {mode}, so everybody may write to it: chmod o-w {shlex.quote(str(path))}"
    if found.st_mode & stat.S_IWGRP and ours_alone and not _is_private(path, found):
        return (
            f"{path} has mode {mode}, so group {_group_name(found.st_gid)} may write to it: "
            f"chmod g-w {shlex.quote(str(path))}, or, where you trust all of them, "
            f"export {TRUSTED_FOLDERS}={_folder(path)}"
        )
    return None


def _mend_owner(path: Path, owner: int) -> str:
    place = shlex.quote(str(path))
    return (
        f"run it as {user_name(owner)} (sudo -u, docker run --user {owner}), or make it yours "
        f"(chown -R {user_name()} {place}), or, where you trust all who can write there, "
        f"export {TRUSTED_FOLDERS}={_folder(path)}"
    )


def _folder(path: Path) -> str:
    return shlex.quote(str(path if path.is_dir() else path.parent))


def _is_private(path: Path, found: os.stat_result) -> bool:
    """Whether a group that may write has no members but users that are trusted anyway."""
    try:
        os.getxattr(path, _ACCESS_LIST)
    except OSError:
        pass
    else:
        return False  # an access list may let in others, and the group's bits are its mask
    members = _members(found.st_gid)
    if members is None:
        # It has no name here, as in a container: a private group has the number of its user.
        return found.st_gid == found.st_uid
    return members <= (trusted_users() | {found.st_uid})


@lru_cache(maxsize=64)
def _members(group: int) -> frozenset[int] | None:
    """The numbers of the users in a group, -1 for one that has none; None when the group has no name."""
    try:
        named = grp.getgrgid(group).gr_mem
    except KeyError:
        return None
    by_name = {user.pw_name: user.pw_uid for user in pwd.getpwall()}
    own = {user.pw_uid for user in pwd.getpwall() if user.pw_gid == group}
    return frozenset(own | {_number(name, by_name) for name in named})


def _number(name: str, known: dict[str, int]) -> int:
    if name in known:
        return known[name]
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return -1


def _group_name(group: int) -> str:
    try:
        return grp.getgrgid(group).gr_name
    except KeyError:
        return str(group)
