"""Draw docs/migrate.svg: what a terminal shows at the end of a real migration in the lab.

The lab of the configuration must be up, and FERRYMAN_CONFIG names a copy that may be changed, as demo.sh's.
"""  # noqa: INP001  # a program, imported by nothing

from __future__ import annotations

import io
import os
import pty
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
COLUMNS = 130
COMMAND = (str(ROOT / ".venv/bin/ferryman"), "migrate", "web", "--site", "lab", "--yes")


def terminal_output() -> str:
    """Everything that the migration writes to a terminal of 130 columns, which has colours and no cursor."""
    written: list[bytes] = []

    def read(descriptor: int) -> bytes:
        written.append(os.read(descriptor, 1 << 16))
        return written[-1]

    os.environ |= {"COLUMNS": str(COLUMNS), "LINES": "60", "TERM": "dumb", "FORCE_COLOR": "1"}
    status = os.waitstatus_to_exitcode(pty.spawn(COMMAND, read))
    if status:
        sys.exit(f"picture: the migration ended with exit code {status}; nothing was drawn")
    return b"".join(written).decode().replace("\r\n", "\n")


if __name__ == "__main__":
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    shown = terminal_output()
    steps = shown[shown.rindex("\n\n", 0, shown.index("verified")) :].strip()
    console.print("$ ferryman migrate web --site lab --yes", "[dim]…", Text.from_ansi(steps), sep="\n")
    console.save_svg(str(ROOT / "docs/migrate.svg"), title="ferryman")
