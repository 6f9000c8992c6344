"""Takes secrets out of texts that are kept or shown elsewhere than where they were read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

HIDDEN = "…hidden…"
"""What stands in the place of a secret."""

_WORDS = r"passw(?:or)?d|passphrase|auth_pass|pwd|secret|token|api[_-]?key|private[_-]?key|credential"
_NAME = rf"(?:{_WORDS})[\w.-]{{0,40}}[\"']?"
"""The end of the name of something secret; it begins with a fixed word: long texts are searched fast."""
_QUOTED = r"\"[^\"\n]*\"|'[^'\n]*'"
PATTERNS = tuple(
    re.compile(pattern)
    for pattern in (
        # After a colon to the end of the line, as in YAML; else to the end of the word.
        rf"(?i)(?:{_NAME}|pass[\"']?)[ \t]*:[ \t]*({_QUOTED}|[^\n]+)",
        rf"(?i)(?:{_NAME}|pass)[ \t]*=[ \t]*({_QUOTED}|[^\s\"']+)",
        rf"(?i){_NAME}[ \t]+({_QUOTED}|[^\s\"':=]+)",
        r"(?i)\b(?:proxy-)?(?:authorization|cookie)[ \t]*[:=][ \t]*([^\n\"']+)",
        r"(?i)\b(?:bearer|basic)[ \t]+([\w.~+/=-]{8,})",
        r"://([^/\s@]{1,200})(?=@)",
    )
)
"""Each finds secrets within a line, and has the secret as its only group."""
_KEY = re.compile(r"-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----(.*?)(?=-----END|\Z)", re.DOTALL)
"""The same, of what has lines of its own."""
_OPEN, _CLOSE = "\ue0f0", "\ue0f1"
_MARK = re.compile(f"{_OPEN}([0-9]{{1,9}}){_CLOSE}")
"""Stands for a secret that was found until all patterns have been tried; of Unicode's private use."""
_HINTS = (
    *("pass", "pwd", "secret", "token", "credential", "api", "private", "authorization", "cookie"),
    *("bearer", "basic", "://", "-----begin"),
)
SHORTEST = 5
"""Characters that a name, what stands behind it, and a secret take at least."""


def may_hold(text: str) -> bool:
    """Whether any pattern can find something in a text: most have nothing of it, and this is quick."""
    if len(text) < SHORTEST:
        return False
    lowered = text.lower()
    return any(hint in lowered for hint in _HINTS)


def redacted(text: str) -> str:
    """The text with whatever looks like a secret hidden; equal texts stay equal.

    >>> redacted("auth_pass 1111; curl -H 'Authorization: Bearer abcdefgh' https://me:pw@example.org/")
    "auth_pass …hidden… curl -H 'Authorization: …hidden…' https://…hidden…@example.org/"
    """
    return replaced(text, lambda _: HIDDEN)


def replaced(text: str, by: Callable[[str], str], more: Iterable[re.Pattern[str]] = ()) -> str:
    """The text with something else in the place of each secret, also of those that other patterns find."""
    patterns, is_suspect = tuple(more), may_hold(text)
    if not (patterns or is_suspect):
        return text
    text = text.replace(_OPEN, "").replace(_CLOSE, "")
    found_until_now: list[str] = []

    def instead(found: re.Match[str]) -> str:
        begin, (start, end) = found.start(), found.span(1)
        if _MARK.fullmatch(found[1].strip("\"'")):  # another pattern has found it already
            return found[0]
        found_until_now.append(by(_MARK.sub(marked, found[1])))
        return (
            f"{found[0][: start - begin]}{_OPEN}{len(found_until_now) - 1}{_CLOSE}{found[0][end - begin :]}"
        )

    def marked(found: re.Match[str]) -> str:
        return found_until_now[int(found[1])]

    for pattern in patterns:
        text = pattern.sub(instead, text)
    if is_suspect:  # a few lines of a long text, as a rule
        lines = text.split("\n")
        for number, line in enumerate(lines):
            if may_hold(line):
                for pattern in PATTERNS:
                    line = pattern.sub(instead, line)  # noqa: PLW2901  # one after the other
                lines[number] = line
        text = _KEY.sub(instead, "\n".join(lines))
    return _MARK.sub(marked, text) if found_until_now else text
