"""The load counts what is answered and what is lost, over real sockets of this machine's loopback."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ferryman.rehearsal import load

if TYPE_CHECKING:
    from collections.abc import Iterator

ANSWERED = 10


@contextmanager
def server(answer: bytes) -> Iterator[tuple[int, threading.Event]]:
    """A port whose connections get this answer; and what is set once a few were answered."""
    enough = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            served = 0
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(1000)
                    connection.sendall(answer)
                served += 1
                if served >= ANSWERED:
                    enough.set()

        thread = threading.Thread(target=serve)
        thread.start()
        yield listening.getsockname()[1], enough
        listening.shutdown(socket.SHUT_RDWR)
    thread.join()


def outcome(port: int, until: threading.Event) -> dict[str, Any]:
    """What became of the load's requests, once enough were made."""
    command = [sys.executable, "-I", "-S", str(Path(load.__file__)), "127.0.0.1", str(port), "200"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        assert until.wait(30)
        output, _ = process.communicate()
    counted: dict[str, Any] = json.loads(output)
    return counted


def test_requests_that_are_answered_are_counted() -> None:
    with server(b"HTTP/1.0 200 OK\r\n\r\n") as (port, enough):
        counted = outcome(port, enough)
    assert counted["answered"] >= ANSWERED
    assert (counted["lost"], counted["losses"]) == (0, {})


def test_an_answer_that_is_none_is_a_loss() -> None:
    with server(b"") as (port, enough):
        counted = outcome(port, enough)
    assert counted["answered"] == 0
    assert counted["losses"] == {"an answer that is not HTTP": counted["lost"]}


def test_a_refused_connection_is_a_loss_with_its_reason() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    at_once = threading.Event()
    at_once.set()
    assert set(outcome(port, at_once)["losses"]) == {"Connection refused"}
