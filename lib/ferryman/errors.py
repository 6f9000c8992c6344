"""Every error that Ferryman raises on purpose, and the exit code that each one ends the command with.

The split is by the state the world is in, because that is what the person at 3 a.m. asks first::

    FerrymanError                  1    a bug, unless a family below says otherwise
    ├── UsageError                 2    nothing was changed: the words, the configuration or the files are off
    │   ├── ConfigError            2
    │   ├── InventoryError         2    carries every problem found, not the first alone
    │   ├── JournalError           2    cannot be written or trusted; after a change the run goes back first
    │   └── LabError               2    the lab is not up, or cannot be
    ├── RefusedError               3    a check failed, or could not look, before anything was changed
    ├── VerifyError                4    not as wanted: refused before the first change, goes back after it
    │   └── CommandFailedError     4    a command ran on a host and said no
    ├── WorldChangedError          4    someone else wrote meanwhile: never overwritten
    ├── BusyError                  6    another run holds the lock
    ├── DoubtError                 7    could not be determined: held, or rolled back, as the operator chose
    │   ├── NotFollowedError       7    a director was told, and stays as it was: where it stands is known
    │   ├── UnreachableError       7    a host could not be asked: nothing ran there
    │   └── UnknownOutcomeError    7    the answer was lost: the command may have run
    ├── InterruptedRunError      130    the operator said stop
    └── RehearsalError             1    a rehearsal tried to write: a bug in a step

``exit_code`` is what the command ends with when the error reaches the command line. The engine turns what a
step raises into what became of the run: the same ``UnreachableError`` is ``RefusedError`` before the first
change and a doubt after it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


class FerrymanError(Exception):
    """Something went wrong; the message says where, what is, what was wanted, and what to do next."""

    exit_code: ClassVar[int] = 1


class UsageError(FerrymanError):
    """The command's words do not fit; nothing was changed."""

    exit_code = 2


class ConfigError(UsageError):
    """ferryman.toml cannot be used as it is."""


class InventoryError(UsageError):
    """The inventory cannot be used as it is; ``problems`` has one line for each thing wrong."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class JournalError(UsageError):
    """The state file cannot be written or read, is damaged, or is newer than this program."""


class LabError(UsageError):
    """The lab is not up, or cannot be brought up; the message says what is missing."""


class RefusedError(FerrymanError):
    """A check stands in the way; nothing was changed."""

    exit_code = 3


class VerifyError(FerrymanError):
    """A change, or a look after one, did not find what was wanted."""

    exit_code = 4


class CommandFailedError(VerifyError):
    """A command ran on a host and ended with an error; names host, command, status and what it printed."""


class WorldChangedError(FerrymanError):
    """Someone else changed what we were about to overwrite; it was left alone."""

    exit_code = 4


class BusyError(FerrymanError):
    """Another run holds a lock, or took over this one's; the message says who, where and since when."""

    exit_code = 6

    def __init__(self, message: str, *, keys: Collection[str] = (), at_work: bool = False) -> None:
        self.keys = frozenset(keys)
        """The locks that others have."""
        self.at_work = at_work
        """Whether all of those others still work, so that waiting may help."""
        super().__init__(message)


class DoubtError(FerrymanError):
    """Something could not be determined; realservers take both forms, so nothing is torn."""

    exit_code = 7


class NotFollowedError(DoubtError):
    """A director was told and does not follow, whole or in part; names each destination as it is.

    Whether it will follow later nobody knows, so nobody else is told before it has.
    """


class UnreachableError(DoubtError):
    """A host could not be asked, and nothing of this command ran there; names host and phase."""


class UnknownOutcomeError(DoubtError):
    """A command may have run, but its outcome was lost; read the state back, never repeat it blindly."""


class InterruptedRunError(FerrymanError):
    """The operator said stop."""

    exit_code = 130


class RehearsalError(FerrymanError):
    """A rehearsal tried to write: a step has a bug. Nothing was written."""
