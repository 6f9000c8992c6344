"""Secrets of what a rollback needs: kept apart in the journal, back in place for it, shown to nobody."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ferryman.cli import main
from ferryman.errors import JournalError
from ferryman.redaction import HIDDEN
from ferryman.state import NewRecord, RunRequest, SqliteStore
from ferryman.state.kept_apart import KIND, split
from ferryman.state.records import Run
from ferryman.state.spool import Spool
from unit.state.etcd_in_memory import ControlHost
from unit.state.test_sqlite import OWNER, PLAN

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ferryman.state import Store

TIME = "2026-11-30T00:00:00.000Z"
FILE = "vrrp_instance a {\n    auth_pass hunter2\n}\n\ue0f00\ue0f1 \udce9"
"""A keepalived file, with characters that hiding must not lose, and a byte that is no UTF-8."""
BEFORE = {
    "files": [{"path": "/etc/keepalived/keepalived.conf", "text": FILE}, {"path": "a.conf", "text": "a"}],
    "auth_pass": "hunter3\nof two lines",
    "weights": [1, None, "https://me:hunter4@example.org/"],
}
REQUEST = RunRequest(cookbook="migrate", operator="alice")


def payload(before: object = BEFORE) -> dict[str, Any]:
    return {"title": "the director follows", "before": before, "edits": []}


def record(kind: str, what: dict[str, Any]) -> NewRecord:
    return NewRecord(TIME, kind, what, step=0)


@pytest.fixture(params=["sqlite", "etcd"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    in_file = request.param == "sqlite"
    found = SqliteStore.at(tmp_path / "state.db") if in_file else ControlHost().store()
    yield found
    found.close()


@pytest.mark.parametrize("kind", ["checked", "intent"])
def test_what_a_rollback_takes_is_as_it_was_and_what_is_shown_has_no_secret(store: Store, kind: str) -> None:
    run = store.begin(REQUEST, PLAN)
    store.append(run, [record("made", {}), record(kind, payload()), record("made", {})])
    for found in (store.verified_records(store.run(run)), store.exact_records(run)):
        assert [each.kind for each in found] == ["made", kind, "made"]
        assert found[1].payload == json.loads(json.dumps(payload()))
    shown = store.show(run)
    assert [(each.kind, each.sound) for each in shown] == [
        (each, True) for each in ("made", KIND, kind, "made")
    ]
    assert shown[1].payload == {"texts": 3}
    assert "hunter" not in repr(shown)
    assert (
        shown[2]
        .payload["before"]["files"][0]["text"]
        .startswith(f"vrrp_instance a {{\n    auth_pass {HIDDEN}")
    )
    assert store.faults(run) == []


def test_a_record_that_nobody_puts_back_from_has_no_secret_at_all(store: Store) -> None:
    run = store.begin(REQUEST, PLAN)
    store.append(run, [record("trouble", {"message": "auth_pass hunter2 is wrong"})])
    (only,) = store.exact_records(run)
    assert only.payload == {"message": f"auth_pass {HIDDEN} is wrong"}


def test_a_record_without_secrets_is_written_as_before() -> None:
    plain = record("intent", payload({"text": "weight 1"}))
    assert split([plain]) == [plain]


def test_splitting_again_changes_nothing() -> None:
    once = split([record("intent", payload())])
    assert [each.kind for each in once] == [KIND, "intent"]
    assert split(once) == once


def test_the_file_of_records_that_the_store_could_not_take_has_them_apart_too(tmp_path: Path) -> None:
    entry = Run.new(REQUEST, PLAN, OWNER, SqliteStore.at(tmp_path / "state.db").clock.now())
    spool = Spool(tmp_path / "spool", entry)
    spool.add([record("intent", payload())])
    apart, intent = (tmp_path / "spool" / f"{entry.id}.jsonl").read_text().splitlines()
    assert "hunter2" in apart
    assert "hunter" not in intent


def test_texts_that_have_no_place_in_their_record_are_not_acted_on(tmp_path: Path) -> None:
    store = SqliteStore.at(tmp_path / "state.db")
    run = store.begin(REQUEST, PLAN)
    for texts in ([[["before", "no", "such"], "x"]], [[[], "x"]], [1], [["before", "x", "y"]]):
        forged = [record(KIND, {"texts": texts}), record("intent", payload({"text": "a"}))]
        store.append(run, forged)
        with pytest.raises(JournalError, match="has no place there"):
            store.verified_records(store.run(run))
    store.append(run, [record(KIND, {"texts": 3}), record("made", {})])
    assert store.show(run)[-2].payload == {"texts": 0}


def test_a_journal_of_an_earlier_version_is_shown_without_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ferryman.toml").write_text('state = "sqlite:state.db"\n')
    (tmp_path / "inventory").mkdir()
    store = SqliteStore.at(tmp_path / "state.db")
    run = store.begin(REQUEST, PLAN)
    monkeypatch.setattr("ferryman.state.kept_apart.split", list)
    store.append(run, [record("intent", payload())])
    store.close()
    for words in (["show", run], ["--output", "json", "show", run]):
        with pytest.raises(SystemExit):
            main(["--config", str(tmp_path / "ferryman.toml"), *words])
    printed = capsys.readouterr().out
    assert "auth_pass" in printed
    assert "hunter2" not in printed
