"""Standard output, and whether all of it could be written: incomplete output must not look like success."""

from __future__ import annotations

import io
import sys
from contextlib import suppress


class Output(io.TextIOWrapper):
    """Standard output that remembers why it could not be written, also where the error is suppressed."""

    lost: OSError | None = None

    def write(self, text: str, /) -> int:
        """Write the text and return its length; raises ``OSError`` as any stream does."""
        try:
            return super().write(text)
        except OSError as error:
            self.lost = self.lost or error
            raise

    def flush(self) -> None:
        """Flush the stream; raises ``OSError`` as any stream does."""
        try:
            super().flush()
        except OSError as error:
            self.lost = self.lost or error
            raise


class _Watched:
    output: Output | None = None
    """This process's, once it is watched."""


def watch() -> None:
    """From now on it is known whether standard output can be written."""
    plain = sys.stdout
    if type(plain) is not io.TextIOWrapper:  # somebody else's, such as a test's
        return
    plain.flush()
    raw = io.FileIO(plain.fileno(), "w", closefd=False)
    sys.stdout = _Watched.output = Output(
        io.BufferedWriter(raw),
        encoding=plain.encoding,
        errors="backslashreplace",
        line_buffering=plain.line_buffering,
    )


def lost() -> OSError | None:
    """Why standard output, as far as it was written to, is not whole; None when it is."""
    output = _Watched.output
    if output is None:
        return None
    with suppress(OSError):
        output.flush()
    return output.lost
