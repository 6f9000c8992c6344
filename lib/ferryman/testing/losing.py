"""A journal that has lost its latest records, all that is left of it being sound: nobody acts on it blindly.

So is a file that is put back from a backup, or written on into after somebody unlinked it.
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, get_args

from ferryman.engine.progress import ChangeState
from ferryman.state.database import Database
from ferryman.testing.fakes import Cut, Harness
from ferryman.testing.observing import AGAIN, Observed, commanded, in_a_row, kill, observed, warnings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ferryman.engine.endings import Ending
    from ferryman.testing.fakes import Cuts, Scene, WayOn

_TOLD = 3
"""How many of the faults that were found are told in full."""
_WAYS: tuple[WayOn, ...] = ("rollback", "resume")
_THERE_AND_BACK = ("perform", "rollback")


def lose_records_everywhere(build: Callable[[Cuts], Scene], *, first: int = 0, every: int = 1) -> int:
    """Take up, with a journal from earlier, a run that ended, or was killed when it had changed something.

    Whatever was recorded last before each record that moves a change on: with no more than that the run is
    resumed, and rolled back, in the world as it is. "Done" and "rolled back" must be true, or not be said;
    and who says something else says where something of the run is in place.

    Args:
        build: Makes a fresh scene, the same each time, whose every outside call goes through the cuts; it
            says what is its ``own``.
        first: With ``every``: a share of the trials, which are dealt out like cards.
        every: The number of shares.

    Returns:
        How many trials there were.

    Raises:
        AssertionError: Something that was said was not so.
    """
    trials = list(_trials(build))[first::every]
    faults = [fault for trial in trials for fault in _faults(build, trial)]
    if faults:
        raise AssertionError("\n".join([f"{len(faults)} in {len(trials)} trials:", *faults[:_TOLD]]))
    return len(trials)


@dataclass(frozen=True, slots=True)
class _Trial:
    at: int | None
    """The call at which the run is killed, after its effect; None: it ended."""
    commands: Sequence[str]
    """What was done until then."""
    journal: bytes
    records: int
    """How many of its records move a change on."""
    way: WayOn

    def __str__(self) -> str:
        until = f"killed at call {self.at}" if self.at is not None else "that ended"
        what = f"{' and '.join(self.commands)} {until}"
        return f"{what}, {self.records} records that count are left, then {self.way}"


@dataclass(frozen=True, slots=True)
class _Copy:
    """A journal as it was."""

    calls: int
    """How many calls to the outside had been made by then."""
    records: int
    """How many records that move a change on it had."""
    journal: bytes


class _Kept(Database):
    """Keeps a copy of itself after each commit."""

    def __init__(self, cuts: Observed) -> None:
        super().__init__(Database.in_memory().where)
        self._cuts = cuts
        self.copies: list[_Copy] = []

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """As a database's; then it is copied."""
        with super().transaction():
            yield
        assert self._connection
        if not self._connection.in_transaction:
            records = sum(
                row["kind"] in get_args(ChangeState) for row in self.query("SELECT kind FROM records")
            )
            self.copies.append(_Copy(self._cuts.calls, records, self._connection.serialize()))


@dataclass
class _FromACopy:
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
    dock = Harness(database)
    commanded(dock, scene, "perform")
    there, calls = len(database.copies), cuts.calls
    commanded(dock, scene, "rollback")
    for records, journal in _earlier(database.copies[:there]):
        for way in _WAYS:
            yield _Trial(None, _THERE_AND_BACK[:1], journal, records, way)
    for at in cuts.changes:
        commands = _THERE_AND_BACK[: 1 if at < calls else 2]
        for records, journal in _earlier([copy for copy in database.copies if copy.calls <= at]):
            for way in _WAYS[: 3 - len(commands)]:
                yield _Trial(at, commands, journal, records, way)


def _earlier(copies: Sequence[_Copy]) -> list[tuple[int, bytes]]:
    """The journal before each record that counts, but for the last, which would have lost nothing."""
    by_records = {copy.records: copy.journal for copy in copies}
    return list(by_records.items())[:-1]


def _made(
    build: Callable[[Cuts], Scene], commands: Sequence[str], at: int | None, dock: Harness
) -> tuple[Observed, Scene]:
    """The world as these commands leave it."""
    cuts = Observed(None, *([] if at is None else [Cut(at, "after", kill)]))
    scene = observed(build, cuts)
    for command in commands:
        commanded(dock, scene, command)
    return cuts, scene


def _faults(build: Callable[[Cuts], Scene], trial: _Trial) -> Iterator[str]:
    cuts, scene = _made(build, trial.commands, trial.at, Harness())
    copied = _FromACopy(trial.journal)
    dock = Harness(copied.database, _born=len(trial.commands))
    said: list[str] = []
    ending: Ending | None = None
    while ending is None or ending.outcome in {"held", "stranded"}:
        if len(said) >= AGAIN:
            return
        began, heard = cuts.calls, len(dock.heard)
        try:
            ending = commanded(dock, scene, trial.way)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is a fault to be told
            yield f"{trial}: raised {type(error).__name__}: {error}"
            return
        assert ending
        said.append(f"{ending.outcome}: {ending.reason}")
        changed = any(number >= began for number in cuts.changes)
        told = "\n".join([ending.reason, *warnings(dock.heard[heard:])])
        if wrong := _wrong(cuts, ending.outcome, told, changed=changed):
            yield f"{trial}: {wrong}\n    it said: {in_a_row(said)}"
            return


def _wrong(cuts: Observed, outcome: str, told: str, *, changed: bool) -> str | None:
    """What of an ending is not so, if anything."""
    there, missing = sorted(cuts.own.in_place()), sorted(cuts.own.missing())
    if outcome not in {"done", "rolled-back", "refused", "held", "stranded"}:
        return f"it ended {outcome}"
    if outcome == "done":
        return f"done, and the world is otherwise: {'; '.join(missing)}" if missing else None
    if outcome == "rolled-back" and there and missing:
        return f"rolled back, and the world is torn; there is still: {'; '.join(there)}"
    if outcome == "refused" and changed:
        return "refused, and it changed something"
    unnamed = sorted({line.partition(": ")[0] for line in there if line.partition(": ")[0] not in told})
    return f"{outcome}, and not a word of {', '.join(unnamed)}" if unnamed else None
