"""Commands on hosts, as everybody else sees them: what is asked, and what comes back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ferryman.errors import CommandFailedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ferryman.errors import DoubtError

SHOWN_COMMAND = 160
"""Characters of a command that an error message shows."""
SHOWN_LINES = 3
"""Lines of what a command printed that an error message shows."""


@dataclass(frozen=True, slots=True)
class HostAddress:
    """The address, port and user with which a host of the inventory is reached."""

    name: str
    address: str | None = None
    """An IP address or a DNS name; None: the host's own name."""
    port: int | None = None
    """None: what ssh_config says, else 22."""
    user: str | None = None
    """The user to log in as; None: that of ``[ssh]``."""
    jump: tuple[str, ...] | None = None
    """The hosts to go through, in the order in which they are passed; None: those of ``[ssh]``."""

    @property
    def target(self) -> str:
        """The address or name that is connected to."""
        return self.address or self.name


@dataclass(frozen=True, slots=True)
class Completed:
    """A command that ran to its end.

    Output that is not UTF-8 is kept byte for byte as lone surrogates (``surrogateescape``), so that a file
    that was read can be written back as it was.
    """

    host: str
    command: str
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
            f"{self.host}: {shown(self.command)} ended with status {self.status}: {self._complaint()}"
        )

    def _complaint(self) -> str:
        lines = [line.strip() for line in (self.stderr or self.stdout).splitlines() if line.strip()]
        return " / ".join(lines[:SHOWN_LINES]) or "it printed nothing"


class Hosts(Protocol):
    """Whoever can run commands on hosts: the fleet, or a fake of it.

    A command is one string for the host's shell; callers quote with ``shlex``. Every call ends within its
    deadline: ``timeout_s`` seconds for the whole command, or what ``[ssh]`` says.
    """

    def read(self, host: str, command: str, *, stdin: str = "", timeout_s: float | None = None) -> Completed:
        """Run a command that changes nothing.

        Raises:
            UnreachableError: The host could not be asked; nothing ran.
            UnknownOutcomeError: It was asked, and its answer was lost.
        """

    def write(self, host: str, command: str, *, stdin: str = "", timeout_s: float | None = None) -> Completed:
        """Run a command that changes something; raises as ``read`` does.

        Raises:
            DryRunError: This is a dry run; nothing ran.
            BusyError: Another process has resumed the run; nothing ran.
        """

    def read_all(self, commands: Mapping[str, str]) -> dict[str, Completed | DoubtError]:
        """Run one command on each host, in parallel; a host that cannot be asked has its error instead."""


def shown(command: str) -> str:
    """A command as an error message shows it: one line, not too long."""
    line = " ".join(command.split())
    return repr(line if len(line) <= SHOWN_COMMAND else line[:SHOWN_COMMAND] + " …")
