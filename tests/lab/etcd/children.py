"""Programs beside this file, run as processes of their own that speak line by line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Self

REPOSITORY = Path(__file__).parents[3]


class Child:
    """One process; entered and left, which ends it."""

    def __init__(self, program: str, *arguments: object) -> None:
        paths = [os.environ.get("PYTHONPATH", ""), str(REPOSITORY / "lib"), str(REPOSITORY / "tests")]
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"lab.etcd.{program}", *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def go(self) -> None:
        """Let the process begin, or continue."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def word(self) -> str:
        """The next thing it says; empty when it has ended."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def freeze(self) -> None:
        """Stop it where it stands, with all of its threads."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Continue a process that was stopped."""
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End the process with SIGKILL."""
        self._process.kill()
        self._process.communicate()
