"""The user of a cluster with ``auth enable``: the password out of its file, and the token that it is given.

The password is read when it is needed and kept nowhere; the token is in memory alone. A certificate does not
log in: etcd's JSON gateway never takes its common name for a user
(https://etcd.io/docs/v3.5/op-guide/authentication/rbac/).
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Any

from ferryman.errors import JournalError
from ferryman.permissions import user_name

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ferryman.config import EtcdConfig

_LONGEST = 4096
"""Bytes of a password's file."""
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class Login:
    """Logs one gateway in."""

    def __init__(self, config: EtcdConfig, where: str) -> None:
        self._user = config.user
        self._file = config.password_file
        self._where = where
        self.token: str | None = None
        """What each request shows; None before the first login."""

    @property
    def is_wanted(self) -> bool:
        """Whether there is a user to log in as."""
        return self._user is not None and self._file is not None

    def request(self) -> dict[str, str]:
        """The request for a token.

        Raises:
            JournalError: The password's file cannot be read, or is not for its owner alone.
        """
        assert self._user is not None
        assert self._file is not None
        try:
            return {"name": self._user, "password": read_password(self._file)}
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else error
            raise JournalError(
                f"{self._where}: etcd.password_file: {self._file}: {why}; nothing was sent"
            ) from error

    def take(self, answer: Mapping[str, Any]) -> None:
        """Take the token out of the answer to ``request``.

        Raises:
            JournalError: There is none in it.
        """
        token = answer.get("token")
        if not isinstance(token, str) or not token.isascii() or not token.isprintable() or not token:
            raise JournalError(
                f"{self._where}: the journal cannot be used: the answer to the login as {self._user} has no "
                "token; see what listens there"
            )
        self.token = token

    def masked(self, text: str) -> str:
        """The text without the token, for a message."""
        return text.replace(self.token, "…") if self.token else text


def read_password(path: Path) -> str:
    """The password in a file of root's or of this process's user, which nobody else may read.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no such file, or has no password in it; the message never has a part of it.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _require_private(path, os.fstat(descriptor))
        content = os.read(descriptor, _LONGEST + 1)
    finally:
        os.close(descriptor)
    password = content.removesuffix(b"\n").removesuffix(b"\r")
    if not password or len(content) > _LONGEST or b"\0" in password or b"\n" in password:
        raise ValueError(f"must have the password in one line, of {_LONGEST} bytes at most")
    try:
        return password.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("is no UTF-8") from None


def _require_private(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise ValueError("is no regular file")
    if found.st_uid not in {0, os.geteuid()}:
        raise ValueError(f"belongs to {user_name(found.st_uid)}, and must belong to root or {user_name()}")
    if found.st_mode & _OTHERS:
        mode = stat.S_IMODE(found.st_mode)
        raise ValueError(f"has the mode {mode:04o}, so that others can use it: chmod 600 {path}")
