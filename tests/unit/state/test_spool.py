"""Records that a store could not be told: whole, private, and taken for nothing that they are not."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from ferryman.engine.plan import Plan
from ferryman.engine.process import ProcessId
from ferryman.state import NewRecord, Run, RunRequest, records
from ferryman.state.spool import Spool
from ferryman.testing import FakeWorld, Is, TurningClock

if TYPE_CHECKING:
    from pathlib import Path

Rows = list[list[Any]]

INTENT, MADE, UNDONE = (
    NewRecord("2026-11-22T22:19:43.000Z", kind, {}, 0) for kind in ("intent", "made", "undone")
)


@pytest.fixture
def entry() -> Run:
    """A run with no records yet."""
    request = RunRequest(cookbook="test", operator="alice")
    plan = Plan([Is(FakeWorld(), "a", "b")])
    return Run.new(request, plan, ProcessId("one", 1, 1, "boot"), TurningClock().now())


def stored(entry: Run, *notes: NewRecord) -> tuple[Run, Rows]:
    """The run once the store has these, and its rows as they are read."""
    rows = records.chained_rows(entry, notes)
    after = replace(entry, records=entry.records + len(rows), last_checksum=rows[-1][-1])
    return after, json.loads(json.dumps(rows))


def left(folder: Path, entry: Run) -> Spool:
    spool = Spool.load(folder, entry)
    assert spool is not None
    return spool


def kinds(rows: Rows | None) -> list[str] | None:
    return None if rows is None else [row[3] for row in rows]


def file_of(folder: Path, entry: Run) -> Path:
    return folder / f"{entry.id}.jsonl"


def test_what_one_process_spooled_the_next_one_has_and_it_follows(tmp_path: Path, entry: Run) -> None:
    now, rows = stored(entry, INTENT)
    spool = Spool(tmp_path, now)
    spool.add([MADE])
    spool.add([UNDONE])

    rest = left(tmp_path, now).unstored(now, rows)

    assert kinds(rest) == ["made", "undone"]
    assert rest is not None
    assert records.faults(replace(now, records=3, last_checksum=rest[-1][-1]), rows + rest) == []


def test_it_is_for_its_owner_alone_from_the_beginning(tmp_path: Path, entry: Run) -> None:
    Spool(tmp_path / "spool", entry).add([INTENT])

    modes = [
        stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "spool", *(tmp_path / "spool").iterdir())
    ]

    assert modes == [0o700, 0o600]


def test_records_that_the_store_had_all_the_same_are_not_told_twice(tmp_path: Path, entry: Run) -> None:
    spool = Spool(tmp_path, entry)
    spool.add([INTENT, MADE, UNDONE])
    now, rows = stored(entry, INTENT, MADE)

    assert kinds(left(tmp_path, now).unstored(now, rows)) == ["undone"]


def test_a_store_that_has_all_of_it_lacks_nothing(tmp_path: Path, entry: Run) -> None:
    Spool(tmp_path, entry).add([INTENT])
    now, rows = stored(entry, INTENT, MADE)

    assert left(tmp_path, now).unstored(now, rows) == []


@pytest.mark.parametrize("others", [[UNDONE], [UNDONE, MADE], [INTENT, UNDONE, UNDONE]])
def test_what_another_process_wrote_meanwhile_is_not_followed(
    tmp_path: Path, entry: Run, others: list[NewRecord]
) -> None:
    Spool(tmp_path, entry).add([INTENT, MADE])
    now, rows = stored(entry, *others)

    assert left(tmp_path, now).unstored(now, rows) is None


def test_a_gap_is_not_followed(tmp_path: Path, entry: Run) -> None:
    ahead, _ = stored(entry, INTENT)
    Spool(tmp_path, ahead).add([MADE])

    assert left(tmp_path, entry).unstored(entry, []) is None


def test_a_line_that_was_torn_is_as_if_it_had_not_been_written(tmp_path: Path, entry: Run) -> None:
    Spool(tmp_path, entry).add([INTENT, MADE])
    file = file_of(tmp_path, entry)
    file.write_bytes(file.read_bytes()[:-10])

    spool = left(tmp_path, entry)
    assert kinds(spool.unstored(entry, [])) == ["intent"]

    spool.add([UNDONE])
    assert kinds(left(tmp_path, entry).unstored(entry, [])) == ["intent", "undone"]


@pytest.mark.parametrize(
    "damage",
    ['"intent"', "null", "[]", "{}", "not JSON", '[["a"]]', '["x", 1]'],
)
def test_a_line_that_is_not_what_was_written_is_not_followed(tmp_path: Path, entry: Run, damage: str) -> None:
    Spool(tmp_path, entry).add([INTENT, MADE])
    file = file_of(tmp_path, entry)
    _, second = file.read_text().splitlines()
    file.write_text(f"{damage}\n{second}\n")

    assert left(tmp_path, entry).unstored(entry, []) is None


def test_a_record_that_was_edited_is_not_followed(tmp_path: Path, entry: Run) -> None:
    Spool(tmp_path, entry).add([INTENT, MADE])
    file = file_of(tmp_path, entry)
    file.write_text(file.read_text().replace('"made"', '"undone"'))

    assert left(tmp_path, entry).unstored(entry, []) is None


def test_what_does_not_follow_is_put_by_and_met_no_more(tmp_path: Path, entry: Run) -> None:
    for number in (1, 2):
        Spool(tmp_path, entry).add([INTENT])
        kept = left(tmp_path, entry).set_aside()
        assert kept == tmp_path / f"{entry.id}.jsonl.kept-{number}"
        assert kept.exists()

    assert Spool.load(tmp_path, entry) is None


def test_a_folder_that_cannot_be_written_keeps_it_in_memory_and_says_so(tmp_path: Path, entry: Run) -> None:
    (tmp_path / "spool").write_text("a file where the folder should be")
    spool = Spool(tmp_path / "spool", entry)
    spool.add([INTENT])
    spool.add([MADE])

    assert kinds(spool.unstored(entry, [])) == ["intent", "made"]
    assert spool.summary().startswith(f"records 1 to 2: not in {tmp_path}/spool/{entry.id}.jsonl either")


def test_without_a_folder_it_is_in_memory_and_says_so(entry: Run) -> None:
    spool = Spool(None, entry)
    spool.add([INTENT])

    assert kinds(spool.unstored(entry, [])) == ["intent"]
    assert spool.summary().startswith("record 1: only in this process's memory")


def test_it_says_where_it_is_and_what_takes_it_from_there(tmp_path: Path, entry: Run) -> None:
    spool = Spool(tmp_path, entry)
    assert spool.summary() == ""

    spool.add([INTENT, MADE])

    assert spool.summary() == (
        f"records 1 to 2: only in {tmp_path}/{entry.id}.jsonl on this control host; the next resume or "
        "rollback of the run here puts them into the journal"
    )


def test_an_id_that_would_lead_elsewhere_makes_no_file(tmp_path: Path, entry: Run) -> None:
    spool = Spool(tmp_path / "spool", replace(entry, id="../elsewhere"))
    spool.add([INTENT])

    assert list(tmp_path.rglob("*")) == []
    assert "only in this process's memory" in spool.summary()


def test_a_link_in_its_place_is_not_followed(tmp_path: Path, entry: Run) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("precious")
    file_of(tmp_path, entry).symlink_to(elsewhere)
    Spool(tmp_path, entry).add([INTENT])

    assert elsewhere.read_text() == "precious"
    assert not file_of(tmp_path, entry).is_symlink()


def test_it_is_gone_when_the_store_has_it(tmp_path: Path, entry: Run) -> None:
    spool = Spool(tmp_path, entry)
    spool.add([INTENT])
    spool.remove()

    assert list(tmp_path.iterdir()) == []
    assert spool.summary() == ""
