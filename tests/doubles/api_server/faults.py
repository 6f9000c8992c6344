"""What goes wrong with an answer on its way."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from unit.http_listener import QuietHandler


@dataclass
class Fault:
    """Something that happens in the place of an answer, or to it."""

    path: str = ""
    """What the request's path and query have in them; empty: every request."""
    method: str = ""
    times: int | None = None
    """How often; None: always."""
    status: int | None = None
    """An answer of this status, with ``message``; nothing is done."""
    message: str = "something is wrong"
    body: bytes | None = None
    """An answer with this in the place of JSON."""
    kind: str = "application/json"
    """The content type of ``body``."""
    delay_s: float = 0.0
    """The answer comes after so many seconds."""
    cut: Literal["", "before", "after"] = ""
    """The connection is closed without an answer, before it is done or after."""
    endless: Literal["", "head", "body", "pages"] = ""
    """What of the answer has no end."""

    def strikes(self, method: str, target: str) -> bool:
        """Whether it happens to this request; then that counts."""
        if self.path not in target or self.method not in ("", method) or self.times == 0:
            return False
        self.times = None if self.times is None else self.times - 1
        return True


@dataclass
class Wire:
    """Sends an answer."""

    handler: QuietHandler
    stopped: threading.Event
    """Whether the server ends: nobody waits any more."""

    def answer(self, fault: Fault | None, answer: Callable[[], tuple[int, bytes]]) -> None:
        """Send what is answered, or what the fault makes of it."""
        if fault is None:
            self._send(*answer())
            return
        if fault.delay_s:
            self.stopped.wait(fault.delay_s)
        if fault.cut:
            if fault.cut == "after":
                answer()
            self.handler.close_connection = True
        elif fault.endless:
            self._without_end(fault.endless)
        elif fault.status is not None:
            told = {"kind": "Status", "status": "Failure", "message": fault.message, "code": fault.status}
            self._send(fault.status, json.dumps(told).encode())
        elif fault.body is not None:
            self._send(200, fault.body, fault.kind)
        else:
            self._send(*answer())

    def _send(self, status: int, body: bytes, kind: str = "application/json") -> None:
        handler = self.handler
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def _without_end(self, what: str) -> None:
        if what == "pages":
            self._send(200, b'{"metadata": {"continue": "more"}, "items": []}')
            return
        handler = self.handler
        handler.close_connection = True
        handler.send_response(200)
        if what == "body":
            handler.send_header("Content-Type", "application/json")
            handler.end_headers()
            self._repeat(b'{"items": [' + b" " * 65536, 0.01)
        else:
            handler.flush_headers()
            self._repeat(b"x-more: x\r\n", 0.02)

    def _repeat(self, piece: bytes, every_s: float) -> None:
        while not self.stopped.wait(every_s):
            self.handler.wfile.write(piece)
            self.handler.wfile.flush()
