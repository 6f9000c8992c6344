"""Asks HTTP servers; the only module that imports httpx2. No URL is printed whole: it may be a secret."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ferryman.config import is_loopback
from ferryman.hooks.hook import HookError
from ferryman.redaction import redacted

if TYPE_CHECKING:
    from httpx2 import Response

_LONGEST = 16 * 1024 * 1024
"""Bytes of an answer: an Alertmanager lists each silence of the last five days."""
_SHOWN = 200
"""Characters of an answer in a message."""
_NO_SECRET = 3
"""Characters of a part of a URL that is too short to be one."""


@dataclass(frozen=True)
class Server:
    """An HTTP server at a URL, with the time in seconds that it has for an answer."""

    url: str = field(repr=False)
    timeout_s: float

    def __str__(self) -> str:
        parts = urlsplit(self.url)
        port = f":{parts.port}" if parts.port else ""
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        return f"{parts.scheme}://{host}{port}/…"

    def ask(self, method: str, below: str = "", body: Any = None) -> str:  # noqa: ANN401  # whatever JSON holds
        """The answer's body.

        Args:
            method: Such as ``POST``.
            below: What comes after the URL.
            body: Sent as JSON.

        Raises:
            HookError: There was no answer, or another than success; redirects are not followed.
        """
        import httpx2  # noqa: PLC0415  # 0.2 s, for those who have a hook

        logging.getLogger("httpx2").setLevel(logging.WARNING)  # below it, each URL is logged whole
        whole = self.url.rstrip("/") + below if below else self.url
        until = time.monotonic() + self.timeout_s
        # What the environment says of proxies is of the way out of this machine.
        from_environment = not is_loopback(urlsplit(self.url).hostname or "")
        try:
            with (
                httpx2.Client(trust_env=from_environment, timeout=self.timeout_s) as client,
                client.stream(method, whole, json=body) as response,
            ):
                text = _read(response, until)
        except httpx2.TimeoutException as error:
            raise HookError(f"no answer within {self.timeout_s:g} seconds") from error
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
            raise HookError(self.masked(str(error)) or type(error).__name__) from error
        if not response.is_success:
            answer = f"answered {response.status_code} {response.reason_phrase}: {text}"
            raise HookError(self.masked(answer))
        return text

    def masked(self, text: str) -> str:
        """The text in one short line, without what may be secret: servers repeat what they were asked."""
        parts = urlsplit(self.url)
        pieces = [parts.path, parts.query, parts.username, parts.password, *parts.path.split("/")]
        for piece in sorted(
            {piece for piece in pieces if piece and len(piece) > _NO_SECRET}, key=len, reverse=True
        ):
            text = text.replace(piece, "…")
        line = " ".join(redacted(text).split())
        return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}…"


def _read(response: Response, until: float) -> str:
    """The body, as text; raises ``ValueError`` when there is no end of it."""
    body = b""
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > _LONGEST or time.monotonic() > until:
            raise ValueError(f"its answer did not end: {len(body)} bytes until now")
    return body.decode(errors="replace")
