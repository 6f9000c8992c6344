"""Takes secrets out of texts that are kept or shown elsewhere than where they were read."""

from __future__ import annotations

import re

HIDDEN = "…hidden…"
"""What stands in the place of a secret."""

_WORDS = r"passw(?:or)?d|passphrase|auth_pass|pwd|secret|token|api[_-]?key|private[_-]?key|credential"
_NAME = rf"(?:{_WORDS})[\w.-]{{0,40}}[\"']?"
"""The end of the name of something secret; it begins with a fixed word: long texts are searched fast."""
_QUOTED = r"\"[^\"\n]*\"|'[^'\n]*'"
_SECRETS = (
    # After a colon to the end of the line, as in YAML; else to the end of the word.
    re.compile(rf"(?i)(?P<kept>(?:{_NAME}|pass[\"']?)[ \t]*:[ \t]*)(?:{_QUOTED}|[^\n]+)"),
    re.compile(rf"(?i)(?P<kept>(?:{_NAME}|pass)[ \t]*=[ \t]*)(?:{_QUOTED}|[^\s\"']+)"),
    re.compile(rf"(?i)(?P<kept>{_NAME}[ \t]+)(?:{_QUOTED}|[^\s\"':=]+)"),
    re.compile(r"(?i)(?P<kept>\b(?:proxy-)?(?:authorization|cookie)[ \t]*[:=][ \t]*)[^\n\"']+"),
    re.compile(r"(?i)(?P<kept>\b(?:bearer|basic)[ \t]+)[\w.~+/=-]{8,}"),
    re.compile(r"(?P<kept>://)[^/\s@]{1,200}(?=@)"),
    re.compile(
        r"(?P<kept>-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----).*?(?=-----END|\Z)",
        re.DOTALL,
    ),
)


def redacted(text: str) -> str:
    """The text with whatever looks like a secret hidden; equal texts stay equal.

    >>> redacted("auth_pass 1111; curl -H 'Authorization: Bearer abcdefgh' https://me:pw@example.org/")
    "auth_pass …hidden… curl -H 'Authorization: …hidden…' https://…hidden…@example.org/"
    """
    for pattern in _SECRETS:
        text = pattern.sub(rf"\g<kept>{HIDDEN}", text)
    return text
