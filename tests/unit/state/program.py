"""A process that uses a journal as a run does, or as a command that only reads it; it is told what to do.

Each line on standard input is a command, and is answered by one line. See ``processes.py``.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from ferryman.engine.plan import Plan
from ferryman.errors import FerrymanError
from ferryman.state import NewRecord, RunRequest, SqliteStore
from ferryman.testing import FakeWorld, Is

if TYPE_CHECKING:
    from collections.abc import Callable


class Program:
    """The commands, each answered with a line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.store = SqliteStore.at(path)
        self.run = ""

    def begin(self, key: str) -> str:
        """A new run with one lock; its id."""
        self.run = self.store.begin(
            RunRequest(cookbook="test", operator="alice"), Plan([Is(FakeWorld(), "a", "b")])
        )
        self.store.acquire(self.run, [key], "alice")
        return self.run

    def append(self, text: str) -> str:
        """One more record, on disk before the answer: the text."""
        self.store.append(self.run, [NewRecord("2026-11-22T22:19:43.000Z", "remark", {"text": text})])
        return text

    def renew(self) -> str:
        """Renew the lease from a thread of its own."""
        answers: list[str] = []
        thread = threading.Thread(target=lambda: answers.append(answer(self.store.renew)))
        thread.start()
        thread.join()
        return answers[0]

    def require(self) -> None:
        """Check what is checked before each change."""
        self.store.require_owned()

    def close(self) -> None:
        """End as a run's process does."""
        self.store.close()

    def visit(self) -> str:
        """A process of its own that lists and shows everything, and goes; how it went."""
        if (child := os.fork()) == 0:
            os._exit(look(self.path))
        return str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def look(path: Path) -> int:
    """Read what ``ferryman runs`` and ``show`` read; returns how many faults there are."""
    store = SqliteStore.at(path)
    for entry in store.runs():
        store.show(entry.id)
    faults = [fault for entry in store.runs() for fault in store.faults(entry.id)]
    store.close()
    return len(faults)


def answer(command: Callable[..., str | None], *words: str) -> str:
    """What a command says, or what it raises, in one line."""
    try:
        return command(*words) or "ok"
    except FerrymanError as error:
        return f"{type(error).__name__}: {error}".replace("\n", " ")


def main() -> None:
    """Answer commands until standard input ends."""
    program = Program(Path(sys.argv[1]))
    for line in sys.stdin:
        name, *words = line.split()
        print(answer(getattr(program, name), *words), flush=True)  # noqa: T201  # its answer


if __name__ == "__main__":
    main()
