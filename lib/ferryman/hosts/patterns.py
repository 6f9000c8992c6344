"""OpenSSH's patterns of names, with ``*`` and ``?``, and lists of them with ``!`` (ssh_config(5))."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

SPECIAL = frozenset("*?!")
"""What makes a pattern say more than one name."""


def matches(pattern: str, text: str) -> bool:
    """Whether a pattern matches the whole text; it takes one length times the other at most.

    >>> matches("web*.example", "web1.codfw.example"), matches("web?", "web12")
    (True, False)
    """
    at = here = 0
    star, tried = -1, 0
    while here < len(text):
        if at < len(pattern) and pattern[at] == "*":
            star, tried = at, here
            at += 1
        elif at < len(pattern) and pattern[at] in ("?", text[here]):
            at, here = at + 1, here + 1
        elif star >= 0:
            tried += 1
            at, here = star + 1, tried
        else:
            return False
    return not pattern[at:].strip("*")


def any_matches(patterns: Iterable[str], text: str) -> bool:
    """Whether one of the patterns matches, and none that begins with ``!`` does.

    >>> any_matches(["web*", "!web2"], "web1"), any_matches(["web*", "!web2"], "web2")
    (True, False)
    """
    found = False
    for pattern in patterns:
        if pattern.startswith("!"):
            if matches(pattern[1:], text):
                return False
        elif matches(pattern, text):
            found = True
    return found
