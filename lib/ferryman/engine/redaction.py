"""Takes secrets out of texts that are kept or shown elsewhere than where they were read."""

from __future__ import annotations

import re

HIDDEN = "…hidden…"
"""What stands in the place of a secret."""

_NAME = r"[\w.-]*(?:passw(?:or)?d|passphrase|auth_pass|secret|token|api[_-]?key|private[_-]?key|credentials?)"
_SECRETS = (
    # A value after the name of a secret, to the end of the word or of the quoted text.
    re.compile(rf"(?i)(?P<kept>{_NAME}[\"']?(?:\s*[:=]\s*|\s+))(?:\"[^\"\n]*\"|'[^'\n]*'|[^\s\"']+)"),
    re.compile(r"(?i)(?P<kept>\b(?:authorization|proxy-authorization|cookie)\s*[:=]\s*)[^\n\"']+"),
    re.compile(r"(?i)(?P<kept>\b(?:bearer|basic)\s+)[\w.~+/=-]{8,}"),
    re.compile(r"(?P<kept>\b[a-z][a-z0-9+.-]*://)[^/\s@]+(?=@)"),
    re.compile(
        r"(?P<kept>-----BEGIN [A-Z ]*PRIVATE KEY-----).*?(?=-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL
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
