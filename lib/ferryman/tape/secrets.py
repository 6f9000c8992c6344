"""What must never be in a tape: taken out where it comes in.

In place of a secret stands a keyed digest of it, so that two that are equal still are. The key is made for
each tape and forgotten with the process.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

DIGITS = 8
"""As long as a secret of keepalived's may be (keepalived.conf(5): only the first eight characters count)."""
_WORD = r"\"[^\"\n]*\"|'[^'\n]*'|[^\s\"'<>,;]+"
_NAMES = "passw(?:or)?d|passphrase|secret|token|auth_pass|(?:api|auth|private)[_-]?key"
EVERYWHERE = (
    r"\b[a-z][a-z0-9+.-]*://[^\s/@:]*:([^\s/@]+)@",
    rf"(?i)\bauthorization['\"]?\s*[:=]\s*['\"]?(?:basic|bearer|token|digest)\s+({_WORD})",
    rf"(?i)\b[\w-]*(?:{_NAMES})['\"]?\s*[:=]\s*({_WORD})",
    rf"(?i)--[\w-]*(?:{_NAMES})[= ]({_WORD})",
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----(.*?)(?:-----END|\Z)",
)
"""Each has the secret as its only group: passwords of URLs, headers, settings and options of such names."""
_MAY_HOLD = re.compile(r"(?i)passw|passphrase|secret|token|key|auth|://|-----BEGIN")
"""What a text has that any of these finds: most have nothing of it."""


class Secrets:
    """Takes secrets out of JSON values, for one tape."""

    def __init__(self, key: bytes | None = None) -> None:
        self._key = key or os.urandom(32)
        self._everywhere = [re.compile(pattern, re.DOTALL) for pattern in EVERYWHERE]

    def without(self, value: Any, patterns: Iterable[str] = ()) -> Any:  # noqa: ANN401  # JSON
        """The same JSON without the secrets in its texts, also those that these patterns find."""
        found = [*(re.compile(pattern, re.DOTALL) for pattern in patterns), *self._everywhere]
        return self._walk(value, found, bool(len(found) > len(self._everywhere)))

    def _walk(self, value: Any, patterns: list[re.Pattern[str]], looks_closely: bool) -> Any:  # noqa: ANN401  # JSON; only called here
        if isinstance(value, str):
            if looks_closely or _MAY_HOLD.search(value):
                for pattern in patterns:
                    value = pattern.sub(self._replaced, value)
            return value
        if isinstance(value, list):
            return [self._walk(item, patterns, looks_closely) for item in value]
        if isinstance(value, dict):
            return {key: self._walk(item, patterns, looks_closely) for key, item in value.items()}
        return value

    def _replaced(self, found: re.Match[str]) -> str:
        whole, (start, end) = found[0], found.span(1)
        begin = found.start()
        return whole[: start - begin] + self._digest(found[1]) + whole[end - begin :]

    def _digest(self, secret: str) -> str:
        return hmac.new(self._key, secret.strip("\"'").encode(), hashlib.sha256).hexdigest()[:DIGITS]
