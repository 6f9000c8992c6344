"""A jump host as configuration names it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from ferryman.names import is_host, is_user

LAST_PORT = 65535
_WRITTEN = re.compile(
    r"(?:ssh://)?(?:(?P<user>[^@\s]+)@)?(?P<host>\[[0-9A-Fa-f:.%]+\]|[^-:\[\]@/\s][^:\[\]@/\s]*)"
    r"(?::(?P<port>\d{1,5}))?/?"
)


@dataclass(frozen=True, slots=True)
class Jump:
    """A host to go through: ``[USER@]HOST[:PORT]``, as ssh's ProxyJump has it."""

    host: str
    user: str | None = None
    port: int | None = None

    @classmethod
    def parse(cls, word: str) -> Self:
        """The jump host that a word names.

        Raises:
            ValueError: It names none.

        >>> Jump.parse("admin@bastion:2222")
        Jump(host='bastion', user='admin', port=2222)
        """
        found = _WRITTEN.fullmatch(word)
        port = int(found["port"]) if found and found["port"] else None
        is_named = found is not None and (
            found["host"].startswith("[") or (is_host(found["host"]) and is_user(found["user"] or "root"))
        )
        if found is None or not is_named or not (port is None or 0 < port <= LAST_PORT):
            raise ValueError("expected a jump host as [USER@]HOST[:PORT]")
        return cls(found["host"].strip("[]"), found["user"], port)
