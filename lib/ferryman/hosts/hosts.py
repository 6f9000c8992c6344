"""Hosts, as everybody else sees them: who can be asked, and how what ran there ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from ferryman.errors import CommandFailedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ferryman.errors import DoubtError, VerifyError
    from ferryman.hosts.verbs import ReadVerb, WriteVerb

T = TypeVar("T")

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
    port: int = 22
    user: str | None = None
    """The user to log in as; None: that of ``[ssh]``."""
    sudo: bool | None = None
    """Whether that user has no root of its own and asks sudo for it; None: as ``[ssh]`` says."""

    @property
    def target(self) -> str:
        """The address or name that is connected to."""
        return self.address or self.name


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


class Hosts(Protocol):
    """Whoever can ask hosts: the fleet, or a fake of it.

    What is asked, and done, is a verb; each call ends within the verb's deadline.
    """

    def read(self, host: str, verb: ReadVerb[T]) -> T:
        """Ask a host something; changes nothing.

        Raises:
            UnreachableError: The host could not be asked; nothing ran.
            UnknownOutcomeError: It was asked, and its answer was lost, or is longer than the verb's limit.
            VerifyError: The answer is an error (CommandFailedError), or is not understood.
        """

    def write(self, host: str, verb: WriteVerb[T]) -> T:
        """Do something to a host; raises as ``read`` does.

        Raises:
            DryRunError: This is a dry run; nothing ran.
            BusyError: Another process has resumed the run; nothing ran.
        """

    def read_all(self, verbs: Mapping[str, ReadVerb[T]]) -> dict[str, T | DoubtError | VerifyError]:
        """Ask each host its question, in parallel; one that gives no value has its error instead."""


def shown(command: str) -> str:
    """A command as an error message shows it: one line, not too long."""
    line = " ".join(command.split())
    return repr(line if len(line) <= SHOWN_COMMAND else line[:SHOWN_COMMAND] + " …")
