"""The journal from the command line."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

import pytest

from ferryman.cli import main
from ferryman.engine.plan import Plan
from ferryman.engine.process import ProcessId
from ferryman.state import NewRecord, RunRequest, SqliteStore
from ferryman.state.sqlite.database import Database
from ferryman.testing import Becomes, FakeWorld

if TYPE_CHECKING:
    from pathlib import Path

DEAD = ProcessId(socket.gethostname(), 4242, 1, "an earlier boot")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "ferryman.toml"
    file.write_text('state = "sqlite:state.db"\n')
    return file


@pytest.fixture
def left(config: Path) -> str:
    """A run that its process left open, with a lock."""
    with_it = store(config)
    run = with_it.begin(
        RunRequest(cookbook="migrate", operator="alice"), Plan([Becomes(FakeWorld(), "a", "b")])
    )
    with_it.acquire(run, ["web"], "alice")
    with_it.append(run, [NewRecord("2026-11-22T22:19:43.000Z", "intent", {"title": "a becomes b"}, step=0)])
    with_it.close()
    return run


def store(config: Path) -> SqliteStore:
    return SqliteStore(Database.at(config.with_name("state.db")), owner=DEAD)


def ferryman(config: Path, *words: str) -> int:
    with pytest.raises(SystemExit) as leaving:
        main(["--config", str(config), "--output", "json", *words])
    return int(leaving.value.code or 0)


def test_a_run_put_right_by_hand_is_closed_and_its_lock_is_free(
    config: Path, left: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ferryman(config, "close", left, "--reason", "the director is scrapped") == 0

    entry = store(config).run(left)
    assert (entry.outcome, store(config).locks()) == ("error", [])
    assert "the director is scrapped" in entry.ending
    assert ferryman(config, "close", left, "--reason", "again") == 2
    assert "is over" in capsys.readouterr().err


def test_a_run_is_not_closed_without_a_reason(config: Path, left: str) -> None:
    assert ferryman(config, "close", left) == 2
    assert store(config).run(left).is_open


def test_a_run_is_listed_and_shown(config: Path, left: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ferryman(config, "runs") == 0
    listed = json.loads(capsys.readouterr().out)
    assert (listed["outcome"], listed["process"]) == (
        "open",
        f"dead: {DEAD.host} has been booted since",
    )
    assert ferryman(config, "show", left) == 0
    assert json.loads(capsys.readouterr().out)["kind"] == "intent"


def test_damage_is_told_by_show(config: Path, left: str, capsys: pytest.CaptureFixture[str]) -> None:
    damaged = store(config).database
    damaged.execute("DROP TRIGGER records_are_never_removed")
    damaged.execute("DELETE FROM records")
    damaged.close()

    with pytest.raises(SystemExit):
        main(["--config", str(config), "show", left])
    assert "it had 1 records, and 0 are there" in capsys.readouterr().out
