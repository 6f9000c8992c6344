"""Whatever answers behind a VIP: a request ends in its time, in a result, and nothing is raised."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import closing, contextmanager, suppress
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest

from ferryman.traffic import http_request
from ferryman.traffic.http_request import Request, exchange

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferryman.traffic.http_request import Kind

TIMEOUT_S = 0.3
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
ENDLESS: dict[str, tuple[bytes, bytes]] = {
    "a status line that drips": (b"HTTP/1.1 200 ", b"x"),
    "headers without end": (OK, b"X-More: x\r\n"),
    "a header that drips": (OK + b"X-More: ", b"x"),
    "interim answers without end": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "a chunk's size that drips": (CHUNKED, b"0"),
    "trailers without end": (CHUNKED + b"0\r\n", b"X-More: x\r\n"),
    "a body that drips": (OK + b"Content-Length: 99999999\r\n\r\n", b"x"),
}
GARBAGE = {
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n",
    "nothing": b"",
    "bytes": bytes(range(256)) * 4,
    "a status that is none": b"HTTP/1.1 many OK\r\n\r\n",
    "a status that is negative": b"HTTP/1.1 -1 OK\r\n\r\n",
    "a version that is none": b"HTTP/x 200 OK\r\n\r\n",
    "a line without an end": OK + b"X: " + b"x" * 70_000,
    "a thousand headers": OK + b"X: x\r\n" * 1000 + b"\r\n",
    "chunks that are none": CHUNKED + b"nonsense\r\n",
    "a chunk of a negative size": CHUNKED + b"-5\r\n",
    "a chunk of a huge size": CHUNKED + b"f" * 300 + b"\r\n",
}


@contextmanager
def saying(first: bytes, forever: bytes = b"", pause_s: float = 0.002) -> Iterator[int]:
    """A server that says this to whoever connects, and goes on saying it; its port."""
    over = threading.Event()
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:

        def serve() -> None:
            with suppress(OSError):
                taken, _ = listener.accept()
                with taken:
                    taken.recv(65536)
                    taken.sendall(first)
                    while forever and not over.is_set():
                        taken.sendall(forever)
                        time.sleep(pause_s)

        server = threading.Thread(target=serve, daemon=True)
        server.start()
        try:
            yield listener.getsockname()[1]
        finally:
            over.set()
            server.join()


def request(port: int, kind: Kind = "small") -> Request:
    return Request(ip_address("127.0.0.1"), port, False, "/", kind=kind, timeout_s=TIMEOUT_S)


@pytest.mark.parametrize("name", ENDLESS)
def test_a_small_request_ends_though_its_answer_does_not(name: str) -> None:
    with saying(*ENDLESS[name]) as port:
        assert exchange(request(port)).problem in {"timed out", "no HTTP answer"}


@pytest.mark.parametrize("name", ENDLESS)
def test_a_download_ends_though_its_answer_does_not(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_request, "TRANSFER_AT_MOST", 2)
    with saying(*ENDLESS[name]) as port:
        assert exchange(request(port, "download")).problem in {"timed out", "no HTTP answer"}


def test_a_body_without_end_is_read_no_further_than_to_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_request, "LONGEST_BYTES", 100_000)
    with saying(OK + b"\r\n", b"x" * 16_384, 0.0) as port:
        result = exchange(request(port, "download"))

    assert (result.status, result.problem) == (200, "no HTTP answer")
    assert result.moved_bytes < 200_000


@pytest.mark.parametrize("name", GARBAGE)
def test_what_is_no_answer_is_a_problem_and_raises_nothing(name: str) -> None:
    with saying(GARBAGE[name]) as port:
        assert exchange(request(port)).problem
