"""Steady load through a VIP, as a program of its own: it runs in the lab's control namespace.

    python load.py VIP PORT CONNECTIONS_PER_SECOND

It prints ``begun`` once the first request was answered, and when its standard input ends, one line of JSON:
how many requests were answered, how many were lost, and each kind of loss with its number. It imports
nothing of ferryman, so that it starts quickly.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from collections import Counter

SILENCE_S = 6.0
"""Seconds without an answer after which a request counts as lost."""
LANES = 32
"""Requests at once at most: more that wait are sent late, not dropped."""


class Load:
    """Sends a request so many times a second, each over a connection of its own."""

    def __init__(self, vip: str, port: int, per_second: int) -> None:
        self._address = (vip, port)
        self._pause_s = 1 / per_second
        self._next = time.monotonic()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._losses: Counter[str] = Counter()
        self._answered = 0
        self._threads = [threading.Thread(target=self._lane) for _ in range(min(LANES, per_second))]

    def start(self) -> None:
        """Begin to send."""
        for thread in self._threads:
            thread.start()

    def end(self) -> dict[str, object]:
        """Send no more, wait for the last answers, and say what became of all."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        losses = dict(self._losses)
        return {"answered": self._answered, "lost": sum(losses.values()), "losses": losses}

    def _lane(self) -> None:
        while not self._stop.is_set():
            with self._lock:
                turn = max(self._next, time.monotonic() - 1)
                self._next = turn + self._pause_s
            if self._stop.wait(max(0.0, turn - time.monotonic())):
                return
            self._request()

    def _request(self) -> None:
        loss = ""
        try:
            with socket.create_connection(self._address, SILENCE_S) as connection:
                connection.sendall(b"GET / HTTP/1.0\r\nHost: rehearsal\r\n\r\n")
                answer = b""
                while piece := connection.recv(65_536):
                    answer += piece
                if not answer.startswith(b"HTTP/1."):
                    loss = "an answer that is not HTTP"
        except OSError as error:
            loss = error.strerror or type(error).__name__
        with self._lock:
            if loss:
                self._losses[loss] += 1
            else:
                self._answered += 1


def main() -> None:
    """Send until the standard input ends."""
    load = Load(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    load._request()  # noqa: SLF001  # the first one alone: it says that the service can be reached
    load.start()
    sys.stdout.write("begun\n")
    sys.stdout.flush()
    sys.stdin.read()
    sys.stdout.write(json.dumps(load.end()) + "\n")


if __name__ == "__main__":
    main()
