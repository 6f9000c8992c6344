"""A state file that is damaged, from the command line: it is said, and the file stays as it is."""

from __future__ import annotations

import random
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from ferryman.cli import main
from ferryman.engine.plan import Plan
from ferryman.state import NewRecord, RunRequest, SqliteStore
from ferryman.testing import FakeWorld, Is

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GARBAGE = b"\x7f" * 20_000


@pytest.fixture
def state(tmp_path: Path) -> Path:
    (tmp_path / "ferryman.toml").write_text('state = "sqlite:state.db"\n')
    return tmp_path / "state.db"


@pytest.fixture
def run(state: Path) -> str:
    with closing(SqliteStore.at(state)) as store:
        run = store.begin(
            RunRequest(cookbook="test", operator="alice"), Plan([Is(FakeWorld(), "a", "b")], ["web"])
        )
        store.acquire(run, ["web"], "alice")
        for number in range(8):
            store.append(
                run, [NewRecord("2026-11-22T22:19:43.000Z", "remark", {"n": number, "text": "x" * 500})]
            )
    return run


def ferryman(state: Path, *words: str) -> int:
    with pytest.raises(SystemExit) as leaving:
        main(["--config", str(state.with_name("ferryman.toml")), *words])
    return int(leaving.value.code or 0)


def garbage(state: Path) -> None:
    state.write_bytes(GARBAGE)


def garbage_inside(state: Path) -> None:
    whole = state.read_bytes()
    state.write_bytes(whole[:4096] + GARBAGE + whole[4096 + len(GARBAGE) :])


def cut_off(state: Path) -> None:
    state.write_bytes(state.read_bytes()[:6000])


def garbage_for_a_log(state: Path) -> None:
    state.with_name("state.db-wal").write_bytes(GARBAGE)


@pytest.mark.parametrize("damage", [garbage, garbage_inside, cut_off, garbage_for_a_log])
@pytest.mark.parametrize("command", ["runs", "show", "close"])
def test_damage_is_said_in_one_line_and_kept(
    state: Path, run: str, damage: Callable[[Path], None], command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(state)
    before = {file.name: file.read_bytes() for file in state.parent.iterdir()}
    words = {"runs": ["runs"], "show": ["show", run], "close": ["close", run, "--reason", "put right"]}

    assert ferryman(state, *words[command]) == 2

    said = capsys.readouterr().err
    assert f"{state}: the journal cannot be used: " in said
    assert "it is damaged, and was left as it is" in said
    assert "Traceback" not in said
    assert {file.name: file.read_bytes() for file in state.parent.iterdir()} == before


def test_whatever_bytes_are_others_nobody_sees_a_traceback(
    state: Path, run: str, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, chance = state.read_bytes(), random.Random(4)
    for _ in range(60):
        damaged = bytearray(whole)
        at, length = chance.randrange(len(damaged)), chance.choice([1, 4, 100, 2000])
        damaged[at : at + length] = chance.randbytes(len(damaged[at : at + length]))
        state.write_bytes(damaged)
        for suffix in ("-wal", "-shm"):
            state.with_name(state.name + suffix).unlink(missing_ok=True)

        for words in (["runs"], ["show", run], ["--output", "json", "show", run]):
            assert ferryman(state, *words) in {0, 2}, capsys.readouterr().err
        assert "Traceback" not in capsys.readouterr().err
