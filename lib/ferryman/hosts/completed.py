"""How a script on a host ended, and what messages show of it."""

from __future__ import annotations

from dataclasses import dataclass

from ferryman.errors import CommandFailedError

SHOWN_COMMAND = 160
"""Characters of a command that an error message shows."""
SHOWN_LINES = 3
"""Lines of what a command printed that an error message shows."""


@dataclass(frozen=True, slots=True)
class Completed:
    """A script that ran to its end on a host.

    Output that is not UTF-8 is kept byte for byte as lone surrogates (``surrogateescape``), so that a file
    that was read can be written back as it was.
    """

    host: str
    command: str
    """What people are told of: the verb's name, or an operator's own command."""
    status: int
    stdout: str
    stderr: str

    def checked(self) -> Completed:
        """Return itself when the command succeeded.

        Raises:
            CommandFailedError: It ended with another status than 0.
        """
        if self.status == 0:
            return self
        raise CommandFailedError(
            f"{self.host}: {shown(self.command)} ended with status {self.status}: {self.complaint}"
        )

    @property
    def complaint(self) -> str:
        """The first lines of what it complained of, in one line."""
        lines = [line.strip() for line in (self.stderr or self.stdout).splitlines() if line.strip()]
        return " / ".join(lines[:SHOWN_LINES]) or "it printed nothing"


def shown(command: str) -> str:
    """A command as an error message shows it: one line, not too long."""
    line = " ".join(command.split())
    return repr(line if len(line) <= SHOWN_COMMAND else line[:SHOWN_COMMAND] + " …")
