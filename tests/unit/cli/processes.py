"""Real processes of the command line, one for each order, quick to start.

Run as a program it has imported everything once, and forks a process for each order that it is sent: one with
standard streams of its own, that ends as any Python process does.
"""

from __future__ import annotations

import fcntl
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import termios
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self, TextIO

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PATIENCE_S = 60.0
"""How long an order may take."""


@dataclass(eq=False)
class Child:
    """One process; it is there, if only as a zombie, until its code has been asked for."""

    pid: int
    fork_server: ForkServer

    def signal(self, number: signal.Signals) -> None:
        """Send this signal to the process."""
        os.kill(self.pid, number)

    def code(self) -> int:
        """The exit code, once it has ended; of one that a signal killed, that signal, negative."""
        self.fork_server.children.remove(self)
        try:
            status = self.fork_server.ask({"wait": self.pid})
        except TimeoutError:
            self.signal(signal.SIGKILL)
            self.fork_server.answer()
            raise
        return os.waitstatus_to_exitcode(status)


@dataclass
class ForkServer:
    """A process that has imported ferryman, and forks a child for each command line that it is sent."""

    children: list[Child] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._line, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._line.settimeout(PATIENCE_S)
        with far:
            own = {name: said for name, said in os.environ.items() if name not in ("COLUMNS", "LINES")}
            self._process = subprocess.Popen([sys.executable, __file__], stdin=far.fileno(), env=own)
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()
        self._line.close()
        self._process.wait()

    def clear(self) -> None:
        """End those that a failed test left behind."""
        for child in list(self.children):
            child.signal(signal.SIGKILL)
            child.code()

    def start(
        self,
        folder: Path,
        words: Sequence[str],
        streams: tuple[int | None, int | None, int | None],
        *,
        terminal: int | None = None,
        ignoring: Sequence[signal.Signals] = (),
    ) -> Child:
        """Run ``ferryman WORDS`` in this folder, in a session of its own.

        Args:
            folder: The working folder.
            words: The command line.
            streams: What its standard input, output and error are; None is a closed one.
            terminal: What becomes its controlling terminal.
            ignoring: The signals that it is started to ignore.
        """
        wanted = (*streams, terminal)
        given = sorted({each for each in wanted if each is not None})
        order = {
            "words": list(words),
            "folder": str(folder),
            "places": [None if each is None else given.index(each) for each in wanted],
            "ignoring": list(ignoring),
        }
        child = Child(self.ask(order, given), self)
        self.children.append(child)
        return child

    def ask(self, order: dict[str, Any], descriptors: Sequence[int] = ()) -> int:
        """Send an order; every answer is a number."""
        socket.send_fds(self._line, [json.dumps(order).encode()], list(descriptors))
        return self.answer()

    def answer(self) -> int:
        """Wait for the next answer of the fork server, and return its number."""
        return int(self._line.recv(100))


def serve(line: socket.socket) -> list[str]:
    """Take orders until nobody gives any; returns in each child, with the words of its command line."""
    while True:
        text, descriptors, _, _ = socket.recv_fds(line, 65536, 8)
        if not text:
            os._exit(0)
        order = json.loads(text)
        if "wait" in order:
            line.send(str(os.waitpid(order["wait"], 0)[1]).encode())
        elif pid := os.fork():
            for each in descriptors:
                os.close(each)
            line.send(str(pid).encode())
        else:
            line.close()
            become(order, descriptors)
            return list(order["words"])


def become(order: dict[str, Any], descriptors: Sequence[int]) -> None:
    """Take on the session, folder, signals and streams of an order, in the forked child."""
    os.setsid()
    os.chdir(order["folder"])
    for number in order["ignoring"]:
        signal.signal(number, signal.SIG_IGN)
    given = [fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, 10) for each in descriptors]  # clear of 0, 1 and 2
    *streams, terminal = [None if place is None else given[place] for place in order["places"]]
    if terminal is not None:
        fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
    for place, stream in enumerate(streams):
        if stream is None:
            os.close(place)
        else:
            os.dup2(stream, place)
    for each in (*descriptors, *given):
        os.close(each)
    names = ("stdin", "stdout", "stderr")
    for place, (name, stream) in enumerate(zip(names, streams, strict=True)):
        opened = None if stream is None else as_python_does(place)
        setattr(sys, name, opened)
        setattr(sys, f"__{name}__", opened)


def as_python_does(place: int) -> TextIO:
    """A standard stream, buffered by lines on a terminal, and standard error always."""
    by_lines = place == 2 or os.isatty(place)
    return open(place, "r" if place == 0 else "w", 1 if by_lines else -1, encoding="utf-8", closefd=False)


if __name__ == "__main__":
    import ferryman.cli.root
    import ferryman.cli.run
    import ferryman.cli.runs
    import ferryman.config
    import ferryman.cookbook
    import ferryman.inventory.folder  # noqa: F401
    from ferryman.cli import main

    gc.freeze()  # what was imported need not be looked through by every child
    sys.argv[1:] = serve(socket.socket(fileno=os.dup(0)))
    main()
