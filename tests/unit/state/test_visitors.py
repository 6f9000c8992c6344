"""Processes that come and go while a run is at work: whatever it was told is written, is there afterwards."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from ferryman.state import SqliteStore
from unit.state.processes import Process

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VISITS = 20


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
def at_work(path: Path) -> Iterator[Process]:
    with Process(path) as process:
        yield process


@pytest.fixture
def visitor(path: Path) -> Iterator[Process]:
    with Process(path) as process:
        yield process


def recorded(path: Path, run: str) -> list[str]:
    with closing(SqliteStore.at(path)) as store:
        return [record.payload["text"] for record in store.verified_records(store.run(run))]


def test_records_survive_a_kill_though_others_came_and_went_between_all_of_them(
    path: Path, at_work: Process, visitor: Process
) -> None:
    run = at_work.tell("begin", "web")
    written = []
    for number in range(VISITS):
        written.append(at_work.tell("append", f"record-{number}"))
        assert at_work.tell("renew") == "ok"
        assert visitor.tell("visit") == "0"
    written.append(at_work.tell("append", "last"))
    at_work.kill()

    assert recorded(path, run) == written


def test_a_visit_leaves_the_log_of_a_run_that_gave_a_sign_of_life(
    path: Path, at_work: Process, visitor: Process
) -> None:
    at_work.tell("begin", "web")
    at_work.tell("renew")
    log = path.with_name("state.db-wal")
    before = log.stat().st_ino

    visitor.tell("visit")

    assert log.stat().st_ino == before


def test_two_runs_side_by_side_keep_all_of_their_records_with_visitors_about(
    path: Path, at_work: Process, visitor: Process
) -> None:
    with Process(path) as other:
        runs = {process: process.tell("begin", key) for process, key in ((at_work, "web"), (other, "maps"))}
        written: dict[str, list[str]] = {run: [] for run in runs.values()}
        for number in range(VISITS // 2):
            for process, run in runs.items():
                written[run].append(process.tell("append", f"{run}-{number}"))
                assert process.tell("renew") == "ok"
                assert visitor.tell("visit") == "0"
        at_work.kill()
        assert visitor.tell("visit") == "0"
        written[runs[other]].append(other.tell("append", "alone"))
        other.kill()

    assert {run: recorded(path, run) for run in runs.values()} == written


def test_a_run_that_ends_leaves_another_ones_log(path: Path, at_work: Process, visitor: Process) -> None:
    first, second = at_work.tell("begin", "web"), visitor.tell("begin", "maps")
    at_work.tell("renew")
    visitor.tell("renew")
    at_work.tell("close")
    visitor.tell("append", "after")
    visitor.kill()

    assert (recorded(path, first), recorded(path, second)) == ([], ["after"])


def test_a_process_that_sees_its_log_go_says_so_and_spoils_nothing_of_those_who_came_since(
    path: Path, at_work: Process, visitor: Process
) -> None:
    """What it still has open is older than what others wrote: put into the file, it would undo them."""
    run = at_work.tell("begin", "web")
    at_work.tell("append", "before")
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink()
    other = visitor.tell("begin", "maps")
    visitor.tell("append", "theirs")
    visitor.tell("close")

    asked = [at_work.tell(*words) for words in (["require"], ["append", "lost"], ["renew"])]
    at_work.tell("close")
    at_work.end()

    assert all("the journal is no longer the one that this process opened" in answer for answer in asked), (
        asked
    )
    assert recorded(path, other) == ["theirs"]
    with closing(SqliteStore.at(path)) as store:
        store.database.require_sound()
        assert run not in [entry.id for entry in store.runs()], "its records went with its log"
