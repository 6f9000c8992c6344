"""Tells which of these addresses greet as sshd does, in time. Run as a program in the lab's namespace.

Arguments: seconds, then addresses. Prints those that answered, one a line. It needs nothing of the package,
so that it starts quickly.
"""

from __future__ import annotations

import selectors
import socket
import sys
import time

SSH_PORT = 22


def answering(addresses: list[str], within_s: float) -> set[str]:
    """The addresses where something says SSH- in time; all are asked at once."""
    greeted = set()
    with selectors.DefaultSelector() as waiting:
        for address in addresses:
            asked = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
            asked.setblocking(False)
            asked.connect_ex((address, SSH_PORT))
            waiting.register(asked, selectors.EVENT_READ, address)
        end = time.monotonic() + within_s
        while waiting.get_map() and (left := end - time.monotonic()) > 0:
            for key, _ in waiting.select(left):
                if _greeting(key.fileobj).startswith(b"SSH-"):
                    greeted.add(key.data)
                waiting.unregister(key.fileobj)
        for key in list(waiting.get_map().values()):
            _close(key.fileobj)
    return greeted


def _greeting(asked: object) -> bytes:
    assert isinstance(asked, socket.socket)
    try:
        with asked:
            return asked.recv(64)
    except OSError:
        return b""


def _close(asked: object) -> None:
    assert isinstance(asked, socket.socket)
    asked.close()


if __name__ == "__main__":
    for answered in sorted(answering(sys.argv[2:], float(sys.argv[1]))):
        print(answered)  # noqa: T201  # this is how the caller hears of it
