"""A journal that is lost in the middle: what cannot be written is spooled, in order, and written at last."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ferryman.engine.plan import Plan
from ferryman.engine.runner import Runner
from ferryman.errors import JournalError
from ferryman.state import RunRequest, SqliteStore
from ferryman.state.sqlite.database import Database
from ferryman.testing import Becomes, Cut, Cuts, FakeWorld

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ferryman.state import NewRecord

REQUEST = RunRequest(cookbook="test", operator="tester")
WRITES_FIRST, UNDOES_FIRST = 3, 5


class Spooling(SqliteStore):
    """A store that can be out of reach, and has a spool beside it."""

    def __init__(self) -> None:
        super().__init__(Database.in_memory())
        self.is_out = False
        self.tried_in_vain = 0
        self.beside: list[NewRecord] = []

    def lose(self) -> None:
        """Make every append fail from now on."""
        self.is_out = True

    def come_back(self) -> None:
        """Make every append succeed from now on."""
        self.is_out = False

    def append(self, run: str, notes: Sequence[NewRecord]) -> None:
        """Write the records, unless the store is out of reach."""
        if self.is_out:
            self.tried_in_vain += 1
            self.beside += notes
            raise JournalError("out of reach")
        super().append(run, notes)

    def spool(self, run: str, notes: Sequence[NewRecord]) -> bool:
        """Keep these records beside the store."""
        del run
        self.beside += notes
        return True

    def replay_spool(self, run: str) -> str:
        """Write the records that are kept beside the store."""
        if self.is_out:
            raise JournalError("out of reach")
        super().append(run, self.beside)
        self.beside.clear()
        return ""

    def spooled(self) -> str:
        """How many records are kept beside the store."""
        return f"{len(self.beside)} records are beside" if self.beside else ""


@pytest.fixture
def store() -> Spooling:
    return Spooling()


def two(world: FakeWorld) -> Plan:
    return Plan([Becomes(world, "a", "new"), Becomes(world, "b", "new")], ["web"])


def a_world(*cuts: Cut) -> FakeWorld:
    return FakeWorld(Cuts(*cuts), a="old", b="old")


def of_changes(kinds: Sequence[str]) -> list[str]:
    return [
        kind
        for kind in kinds
        if kind in {"intent", "made", "verified", "trouble", "undoing", "undone", "ended"}
    ]


def test_once_it_is_lost_it_is_asked_no_more_and_everything_is_spooled_in_order(store: Spooling) -> None:
    world = a_world(Cut(WRITES_FIRST, "before", store.lose))

    result = Runner(store=store).perform(REQUEST, two(world))

    assert (result.outcome, world.values) == ("rolled-back", {"a": "old", "b": "old"})
    assert store.tried_in_vain == 1
    assert of_changes([record.kind for record in store.show(result.run)]) == ["intent"]
    assert of_changes([note.kind for note in store.beside]) == [
        "made",
        "trouble",
        "undoing",
        "undone",
        "ended",
    ]


def test_the_end_says_that_the_run_is_open_there_and_where_the_records_are(store: Spooling) -> None:
    result = Runner(store=store).perform(REQUEST, two(a_world(Cut(WRITES_FIRST, "before", store.lose))))

    assert f"still open there: when it can be written again, ferryman rollback {result.run}" in result.reason
    assert result.reason.endswith(store.spooled())
    assert store.run(result.run).is_open


def test_one_that_is_back_at_the_end_has_everything_and_the_run_is_closed(store: Spooling) -> None:
    world = a_world(Cut(WRITES_FIRST, "before", store.lose), Cut(UNDOES_FIRST, "before", store.come_back))

    result = Runner(store=store).perform(REQUEST, two(world))

    kinds = of_changes([record.kind for record in store.show(result.run)])
    assert kinds == ["intent", "made", "trouble", "undoing", "undone"]
    assert store.faults(result.run) == []
    assert (store.run(result.run).outcome, store.locks()) == ("rolled-back", [])
    assert "still open" not in result.reason


def test_an_intent_that_could_not_be_written_is_not_acted_on(store: Spooling) -> None:
    checked_again = 2
    world = a_world(Cut(checked_again, "after", store.lose))

    result = Runner(store=store).perform(REQUEST, two(world))

    assert (result.outcome, result.exit_code, world.values) == ("error", 2, {"a": "old", "b": "old"})
    assert store.tried_in_vain == 1


def test_a_later_process_has_what_was_spooled_before_it_looks(store: Spooling) -> None:
    world = a_world(Cut(WRITES_FIRST, "before", store.lose))
    run = Runner(store=store).perform(REQUEST, two(world)).run
    store.come_back()

    result = Runner(store=store).roll_back(run, two(world))

    kinds = [record.kind for record in store.show(run)]
    assert (result.outcome, result.exit_code) == ("rolled-back", 0)
    assert kinds.count("undone") == 1
    assert kinds.index("ended") < kinds.index("taken-up")
    assert store.run(run).outcome == "rolled-back"
