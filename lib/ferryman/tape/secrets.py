"""What must never be in a tape: taken out where it comes in.

In place of a secret stands a keyed digest of it, so that two that are equal still are. The key is made for
each tape and forgotten with the process.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
from typing import TYPE_CHECKING, Any

from ferryman import redaction

if TYPE_CHECKING:
    from collections.abc import Iterable

DIGITS = 8
"""As long as a secret of keepalived's may be (keepalived.conf(5): only the first eight characters count)."""


class Secrets:
    """Takes secrets out of JSON values, for one tape."""

    def __init__(self, key: bytes | None = None) -> None:
        self._key = key or os.urandom(32)

    def without(self, value: Any, patterns: Iterable[str] = ()) -> Any:  # noqa: ANN401  # JSON
        """The same JSON without the secrets in its texts, also those that these patterns find."""
        more = [re.compile(pattern) for pattern in patterns]
        # Nearly none has any: one look at all of its texts is quicker than many at each.
        if not more and not redaction.may_hold(json.dumps(value, ensure_ascii=False)):
            return value
        return self._walk(value, more)

    def _walk(self, value: Any, more: list[re.Pattern[str]]) -> Any:  # noqa: ANN401  # JSON
        if isinstance(value, str):
            return redaction.replaced(value, self._digest, more)
        if isinstance(value, list):
            return [self._walk(item, more) for item in value]
        if isinstance(value, dict):
            return {key: self._walk(item, more) for key, item in value.items()}
        return value

    def _digest(self, secret: str) -> str:
        known = secret.strip("\"'").encode("utf-8", "surrogateescape")
        return hmac.new(self._key, known, hashlib.sha256).hexdigest()[:DIGITS]
