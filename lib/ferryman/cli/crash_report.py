"""A bug: a short message for the operator, the traceback in a file."""

from __future__ import annotations

import os
import tempfile
import traceback
from pathlib import Path

from ferryman import __version__
from ferryman.events import utc_now
from ferryman.printable import printable


def record(error: BaseException) -> str:
    """Write the traceback to a file of its own; returns one line that says what happened and where it is."""
    trace = printable("".join(traceback.format_exception(error)))
    text = f"{utc_now()} ferryman {__version__}\n{trace}\n"
    try:
        handle, name = tempfile.mkstemp(prefix="ferryman-bug-", suffix=".log")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError:
        return f"a bug: {type(error).__name__}: {error}\n{text}"
    return f"a bug: {type(error).__name__}: {error}; the traceback is in {Path(name)}"
