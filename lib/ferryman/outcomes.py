"""The one table of how a command can end: the outcome's word, the exit code, and what both mean.

Errors, engine, journal and command line read it from here, and a test holds the table of docs/reference.md to
it. Words and codes are a contract that other programs rely on.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal

RunOutcome = Literal[
    "done", "refused", "rolled-back", "stranded", "held", "busy", "interrupted", "error", "different"
]
"""The word for how a run ended, in ``run-finished`` events and in the journal; no run ends ``different``: a
rehearsal or a replay does."""


class Outcome(Enum):
    """How a command ended. Two rows may share a word (``error``) or a code (0), never both."""

    DONE = ("done", 0, "done; for a dry run or a check: nothing blocks")
    ROLLED_BACK_AS_ASKED = ("rolled-back", 0, "rolled back by `ferryman rollback`, verified")
    ERROR = ("error", 1, "a bug: a short message, the traceback in a file that it names")
    USAGE = ("error", 2, "usage, configuration or inventory error; nothing was changed")
    REFUSED = ("refused", 3, "a check failed, or could not look, before anything was changed")
    ROLLED_BACK = ("rolled-back", 4, "something failed after a change, and all is as before, verified")
    STRANDED = ("stranded", 5, "the rollback could not be completed; the output says what to do by hand")
    BUSY = ("busy", 6, "another run holds a lock; says who, where, since when")
    HELD = ("held", 7, "something could not be determined; nothing is torn; resume or roll back")
    DIFFERENT = ("different", 8, "a rehearsal or a replay did not go as expected or as recorded")
    INTERRUPTED = (
        "interrupted",
        130,
        "interrupted by the operator; nothing changed, or put back and verified",
    )

    def __init__(self, word: RunOutcome, exit_code: int, meaning: str) -> None:
        self.word: RunOutcome = word
        self.exit_code = exit_code
        self.meaning = meaning


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a command about a run ended."""

    ended: Outcome
    reason: str
    """For people; several lines when several things block the run or are not restored."""
    run: str
    """The run's id."""

    @property
    def outcome(self) -> RunOutcome:
        """The outcome's word, as in ``run-finished``."""
        return self.ended.word

    @property
    def exit_code(self) -> int:
        """The exit code that the command ends with."""
        return self.ended.exit_code
