"""A real HTTP server on loopback that answers as it is told to: well, badly, or not at all."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from unit.http_listener import QuietHandler, listening

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Answer:
    """An answer that the server gives to a request."""

    status: int = 200
    body: bytes = b"ok"
    hangs: bool = False
    """It never comes, and the connection stays open."""
    dies: bool = False
    """The connection ends before the body has."""
    drips: bool = False
    """It comes a byte at a time, and never ends."""


HANGS = Answer(hangs=True)
DIES = Answer(body=b"0123456789", dies=True)
DRIPS = Answer(drips=True)


def fails(status: int, said: str) -> Answer:
    return Answer(status, said.encode())


@dataclass(frozen=True)
class Asked:
    """A request that the server was sent."""

    method: str
    path: str
    body: Any


@dataclass
class WebServer:
    """The server as tests see it."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    answers: dict[str, Answer] = field(default_factory=dict)
    """By method; each other request is answered 200."""
    let_go: threading.Event = field(default_factory=threading.Event)
    """Set when the test is over: what hangs ends then."""

    @property
    def bodies(self) -> list[Any]:
        """Return the bodies that were posted, in order."""
        return [each.body for each in self.asked if each.method == "POST"]


@contextmanager
def serving() -> Iterator[WebServer]:
    server = WebServer()

    class Handler(QuietHandler):
        def _answer(self) -> None:
            text = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            server.asked.append(Asked(self.command, self.path, json.loads(text) if text else None))
            answer = server.answers.get(self.command, Answer())
            if answer.hangs:
                server.let_go.wait()
                self.close_connection = True
                return
            self.send_response(answer.status)
            if answer.status // 100 == 3:
                self.send_header("Location", "/elsewhere")
            length = len(answer.body) + 1 if answer.dies else len(answer.body)
            self.send_header("Content-Length", str(10**9 if answer.drips else length))
            self.end_headers()
            self.wfile.write(answer.body)
            self.close_connection = answer.dies or answer.drips
            with suppress(OSError):  # whoever asked has had enough
                while answer.drips and not server.let_go.wait(0.01):
                    self.wfile.write(b".")

        do_GET = do_POST = do_DELETE = _answer  # noqa: N815  # the base class's names

    with listening(Handler) as server.url:
        try:
            yield server
        finally:
            server.let_go.set()


def nobody_there() -> str:
    """A URL on loopback where nobody listens."""
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as listener:
        return f"http://127.0.0.1:{listener.server_port}"
