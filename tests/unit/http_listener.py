"""An HTTP server on loopback, for as long as a test wants it."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator


class QuietHandler(BaseHTTPRequestHandler):
    """Keeps connections open, and says nothing of what it is asked."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Write no line of a log to standard error."""


@contextmanager
def listening(handler: type[QuietHandler], on: socket.socket | None = None) -> Iterator[str]:
    """Its URL; each request has a thread of its own. ``on`` is a socket that listens already, elsewhere."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler, bind_and_activate=on is None) as listener:
        if on is not None:
            listener.socket.close()
            listener.socket, listener.server_port = on, on.getsockname()[1]
        listener.daemon_threads = True
        thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.server_port}"
        finally:
            listener.shutdown()
            thread.join()
