"""Runs ``program.py`` as processes of their own, which are told what to do and killed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Self

REPOSITORY = Path(__file__).parents[3]


class Process:
    """One process that uses the journal at this path; leaving it kills it."""

    def __init__(self, path: Path) -> None:
        paths = [str(REPOSITORY / "lib"), str(REPOSITORY / "tests")]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "unit.state.program", str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def tell(self, *words: str) -> str:
        """Give one command; its answer, once it is done."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(" ".join(words) + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().rstrip("\n")

    def end(self) -> None:
        """Close its input, and wait until it has ended."""
        self._process.communicate()

    def kill(self) -> None:
        """End the process with SIGKILL and wait for its end."""
        self._process.kill()
        self._process.communicate()
