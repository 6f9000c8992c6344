"""Every error that Ferryman raises on purpose, and the exit code that each one ends the command with.

The split is by the state that the hosts are in, because an operator asks for that first. On the right is the
row of the table of outcomes (``outcomes.py``), which has the exit code::

    FerrymanError                  ERROR        a bug, unless a family below says otherwise
    ├── UsageError                 USAGE        arguments or files are wrong; nothing was changed
    │   ├── ConfigError            USAGE
    │   ├── InventoryError         USAGE        carries every problem found, not the first alone
    │   ├── JournalError           USAGE        cannot be written or trusted; after a change: rollback first
    │   ├── LabError               USAGE        the lab is not up, or cannot be
    │   └── TapeError              USAGE        a tape cannot be read; nothing was started
    ├── RefusedError               REFUSED      a check failed, or could not look; nothing was changed
    ├── VerifyError                ROLLED_BACK  not as wanted; before the first change: refused
    │   ├── CommandFailedError     ROLLED_BACK  a command ran on a host and failed
    │   └── ArgumentError          ROLLED_BACK  a value must not become a part of a command: nothing ran
    ├── WorldChangedError          ROLLED_BACK  someone else wrote meanwhile: never overwritten
    ├── BusyError                  BUSY         another run holds the lock
    ├── DoubtError                 HELD         could not be determined: held, or rolled back (``--on-doubt``)
    │   ├── NotFollowedError       HELD         a director was reloaded and stays as it was
    │   ├── UnreachableError       HELD         a host could not be asked: nothing ran there
    │   └── UnknownOutcomeError    HELD         the answer was lost: the command may have run
    ├── InterruptedRunError        INTERRUPTED  the operator said stop
    └── DryRunError                ERROR        a dry run tried to write: a bug in a step

``exit_code`` is what the command ends with when the error reaches the command line. The engine turns what a
step raises into the run's outcome: the same ``UnreachableError`` refuses the run before the first change and
is a doubt after it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from ferryman.outcomes import Outcome

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


class FerrymanError(Exception):
    """Something went wrong; the message says where, what is, what was wanted, and what to do next."""

    exit_code: ClassVar[int] = Outcome.ERROR.exit_code


class UsageError(FerrymanError):
    """The command's arguments are wrong; nothing was changed."""

    exit_code = Outcome.USAGE.exit_code


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


class TapeError(UsageError):
    """A tape cannot be read: it is none, newer, damaged or edited; the message names file, line and key."""


class RefusedError(FerrymanError):
    """A check blocks the run; nothing was changed."""

    exit_code = Outcome.REFUSED.exit_code


class VerifyError(FerrymanError):
    """A change, or a look after one, did not find what was wanted."""

    exit_code = Outcome.ROLLED_BACK.exit_code


class CommandFailedError(VerifyError):
    """A command ran on a host and ended with an error; names host, command, status, output."""


class ArgumentError(VerifyError):
    """A value has not the form that a command on a host takes; nothing was sent to a host."""


class WorldChangedError(FerrymanError):
    """Someone else changed what the run was about to overwrite; it was left alone."""

    exit_code = Outcome.ROLLED_BACK.exit_code


class BusyError(FerrymanError):
    """Another run holds a lock, or took over this one's; the message says who, where and since when."""

    exit_code = Outcome.BUSY.exit_code

    def __init__(self, message: str, *, keys: Collection[str] = (), at_work: bool = False) -> None:
        self.keys = frozenset(keys)
        """The locks that others have."""
        self.at_work = at_work
        """Whether all of those others are still running, so that waiting may help."""
        super().__init__(message)


class DoubtError(FerrymanError):
    """Something could not be determined; realservers accept both forwarding methods meanwhile."""

    exit_code = Outcome.HELD.exit_code


class NotFollowedError(DoubtError):
    """A director was reloaded and does not follow, whole or in part; names the state of each destination.

    Whether it will follow later is unknown, so no other director is changed before it has.
    """


class UnreachableError(DoubtError):
    """A host could not be asked, and nothing of this command ran there; names host and phase."""


class UnknownOutcomeError(DoubtError):
    """A command may have run, but its outcome was lost; read the state back, never repeat it blindly."""


class InterruptedRunError(FerrymanError):
    """The operator stopped the run, by a signal or by not confirming it."""

    exit_code = Outcome.INTERRUPTED.exit_code


class DryRunError(FerrymanError):
    """A dry run tried to write: a step has a bug. Nothing was written."""
