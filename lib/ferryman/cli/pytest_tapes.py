"""pytest's plugin: each ``*.tape`` file of Ferryman's is a test, which replays it.

pytest loads this wherever Ferryman is installed: it imports nothing that takes a while until there is a tape.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from _pytest._code.code import ExceptionInfo, TerminalRepr

SUFFIX = ".tape"
STARTS = (b"\x1f\x8b", b"{")
"""gzip, or a line of JSON. Other programs have files of that suffix too."""


class TapeDifferentError(Exception):
    """A replay went otherwise than recorded; the message is the first difference, in words."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the setting that keeps tapes from being collected."""
    parser.addini("ferryman_tapes", "Collect *.tape files and replay them.", type="bool", default=True)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """The file as a collector, where it looks like a tape."""
    if file_path.suffix != SUFFIX or not parent.config.getini("ferryman_tapes"):
        return None
    with file_path.open("rb") as file:
        start = file.read(2)
    return TapeFile.from_parent(parent, path=file_path) if start.startswith(STARTS) else None


class TapeFile(pytest.File):
    """The file of a tape: it has one test."""

    def collect(self) -> Iterator[pytest.Item]:
        """The test that replays it."""
        yield TapeItem.from_parent(self, name="replay")


class TapeItem(pytest.Item):
    """A test that fails with the first difference, in words."""

    def runtest(self) -> None:
        """Replay the tape.

        Raises:
            TapeDifferentError: It went otherwise than recorded.
            UsageError: The tape cannot be read, or its cookbook is not there.
        """
        # It brings in everything, which whoever has no tapes must not wait for.
        from ferryman.cli.replay import difference_of  # noqa: PLC0415

        difference = difference_of(self.path)
        if difference is not None:
            raise TapeDifferentError(difference)

    def repr_failure(self, excinfo: ExceptionInfo[BaseException]) -> str | TerminalRepr:  # type: ignore[override]
        """What pytest prints of a failure: the difference, or the error's message; of a bug the traceback."""
        from ferryman.errors import FerrymanError  # noqa: PLC0415  # as above

        if isinstance(excinfo.value, TapeDifferentError | FerrymanError):
            return str(excinfo.value)
        return super().repr_failure(excinfo)

    def reportinfo(self) -> tuple[Path, None, str]:
        """Where the test is, and what it is called in reports."""
        return self.path, None, f"tape: {self.path.name}"
