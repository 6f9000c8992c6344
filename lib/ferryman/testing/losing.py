"""A journal that has lost its latest records, the rest of it being sound: no run acts on it blindly.

An example is a file that is restored from a backup, or one that was unlinked and is still written to.
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, get_args

from ferryman.engine.progress import ChangeState
from ferryman.state.sqlite.database import Database
from ferryman.testing.fakes import Cut, Harness
from ferryman.testing.observing import (
    ATTEMPTS,
    Observed,
    kill,
    observed,
    run_command,
    warnings,
    without_repeats,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ferryman.outcomes import RunResult
    from ferryman.testing.fakes import Cuts, RecoveryCommand, Scene

_SHOWN = 3
"""How many of the faults that were found are shown in full."""
_RECOVERIES: tuple[RecoveryCommand, ...] = ("rollback", "resume")
_COMMANDS = ("perform", "rollback")


def lose_records_everywhere(build: Callable[[Cuts], Scene], *, first: int = 0, every: int = 1) -> int:
    """Resume or roll back, with an earlier journal, a run that ended, or was killed after a change.

    The journal is cut before each record of a ``ChangeState``; with that much the run is resumed, and rolled
    back, in the world as it is. "Done" and "rolled back" must be true, or not be said; any other outcome
    must say where a part of the run's change is in place.

    Args:
        build: Makes a fresh scene, the same each time, whose every outside call goes through the cuts; it
            says what is its ``own``.
        first: With ``every``: a share of the trials: those number ``first``, ``first + every`` and so on.
        every: The number of shares.

    Returns:
        How many trials there were.

    Raises:
        AssertionError: Something that a run said was not true.
    """
    trials = list(_trials(build))[first::every]
    faults = [fault for trial in trials for fault in _faults(build, trial)]
    if faults:
        raise AssertionError("\n".join([f"{len(faults)} in {len(trials)} trials:", *faults[:_SHOWN]]))
    return len(trials)


@dataclass(frozen=True, slots=True)
class _Trial:
    at: int | None
    """The call at which the run is killed, after its effect; None: it ended."""
    commands: Sequence[str]
    """What was done until then."""
    journal: bytes
    records: int
    """How many of its records are of a ``ChangeState``."""
    way: RecoveryCommand

    def __str__(self) -> str:
        until = f"killed at call {self.at}" if self.at is not None else "that ended"
        what = f"{' and '.join(self.commands)} {until}"
        return f"{what}, {self.records} records that count are left, then {self.way}"


@dataclass(frozen=True, slots=True)
class _Copy:
    """A journal as it was at one moment."""

    calls: int
    """How many calls to the outside had been made by then."""
    records: int
    """How many records of a ``ChangeState`` it had."""
    journal: bytes


class _Kept(Database):
    """Keeps a copy of itself after each commit."""

    def __init__(self, cuts: Observed) -> None:
        super().__init__(Database.in_memory().where)
        self._cuts = cuts
        self.copies: list[_Copy] = []

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """As ``Database.transaction``; then the database is copied."""
        with super().transaction():
            yield
        assert self._connection
        if not self._connection.in_transaction:
            records = sum(
                row["kind"] in get_args(ChangeState) for row in self.query("SELECT kind FROM records")
            )
            self.copies.append(_Copy(self._cuts.calls, records, self._connection.serialize()))


@dataclass
class _DatabaseFromCopy:
    """A database in memory that begins as another one was."""

    journal: bytes
    database: Database = field(default_factory=Database.in_memory)

    def __post_init__(self) -> None:
        # A database in memory is there for as long as somebody has it open.
        self._open = sqlite3.connect(self.database.where, uri=True)
        copy = sqlite3.connect(":memory:")
        copy.deserialize(self.journal)
        copy.backup(self._open)
        copy.close()


def _trials(build: Callable[[Cuts], Scene]) -> Iterator[_Trial]:
    cuts = Observed()
    scene, database = observed(build, cuts), _Kept(cuts)
    harness = Harness(database)
    run_command(harness, scene, "perform")
    after_perform, calls = len(database.copies), cuts.calls
    run_command(harness, scene, "rollback")
    for records, journal in _earlier(database.copies[:after_perform]):
        for way in _RECOVERIES:
            yield _Trial(None, _COMMANDS[:1], journal, records, way)
    for at in cuts.changes:
        commands = _COMMANDS[: 1 if at < calls else 2]
        for records, journal in _earlier([copy for copy in database.copies if copy.calls <= at]):
            for way in _RECOVERIES[: 3 - len(commands)]:
                yield _Trial(at, commands, journal, records, way)


def _earlier(copies: Sequence[_Copy]) -> list[tuple[int, bytes]]:
    """The journal before each record that counts, but for the last, which would have lost nothing."""
    by_records = {copy.records: copy.journal for copy in copies}
    return list(by_records.items())[:-1]


def _made(
    build: Callable[[Cuts], Scene], commands: Sequence[str], at: int | None, harness: Harness
) -> tuple[Observed, Scene]:
    """Run these commands in a fresh world, and return it with its calls."""
    cuts = Observed(None, *([] if at is None else [Cut(at, "after", kill)]))
    scene = observed(build, cuts)
    for command in commands:
        run_command(harness, scene, command)
    return cuts, scene


def _faults(build: Callable[[Cuts], Scene], trial: _Trial) -> Iterator[str]:
    cuts, scene = _made(build, trial.commands, trial.at, Harness())
    copied = _DatabaseFromCopy(trial.journal)
    harness = Harness(copied.database, _processes=len(trial.commands))
    messages: list[str] = []
    result: RunResult | None = None
    while result is None or result.outcome in {"held", "stranded"}:
        if len(messages) >= ATTEMPTS:
            return
        began, earlier = cuts.calls, len(harness.events)
        try:
            result = run_command(harness, scene, trial.way)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is a fault to report
            yield f"{trial}: raised {type(error).__name__}: {error}"
            return
        assert result
        messages.append(f"{result.outcome}: {result.reason}")
        changed = any(number >= began for number in cuts.changes)
        text = "\n".join([result.reason, *warnings(harness.events[earlier:])])
        if wrong := _wrong(cuts, result.outcome, text, changed=changed):
            yield f"{trial}: {wrong}\n    it said: {without_repeats(messages)}"
            return


def _wrong(cuts: Observed, outcome: str, text: str, *, changed: bool) -> str | None:
    """What of a result is not true; None when all of it is."""
    in_place, missing = sorted(cuts.own.in_place()), sorted(cuts.own.missing())
    if outcome not in {"done", "rolled-back", "refused", "held", "stranded"}:
        return f"it ended {outcome}"
    if outcome == "done":
        return f"done, and the world is otherwise: {'; '.join(missing)}" if missing else None
    if outcome == "rolled-back" and in_place and missing:
        return f"rolled back, and the world is torn; there is still: {'; '.join(in_place)}"
    if outcome == "refused" and changed:
        return "refused, and it changed something"
    unnamed = sorted({line.partition(": ")[0] for line in in_place if line.partition(": ")[0] not in text})
    return f"{outcome}, and not a word of {', '.join(unnamed)}" if unnamed else None
