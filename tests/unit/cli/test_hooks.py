"""Hooks from the command line: what ``[hooks]`` says happens, and what hangs or fails is a warning."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from ferryman.cli import main
from ferryman.cli.operator import operator
from ferryman.engine.plan import Plan
from ferryman.engine.process import ProcessId
from ferryman.state import RunRequest, SqliteStore
from ferryman.state.sqlite.database import Database
from ferryman.testing import FakeWorld, Is
from unit.cli.workspace import Workspace
from unit.hooks.web_server import HANGS, fails, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from unit.hooks.web_server import WebServer

HOOKS = """
[hooks]
timeout = {timeout}
[hooks.webhook.sre]
url = "{url}/services/T0SECRET"
[hooks.log.sal]
file = "sal.log"
"""
ROLLED_BACK = "rolled back: all is as before, verified"


@dataclass
class Here:
    """A folder with the cookbook of ``waiting_cookbook.py``, two hooks, and the server of one of them."""

    workspace: Workspace
    server: WebServer

    def configure(self, timeout: float = 20) -> None:
        config = self.workspace.folder / "ferryman.toml"
        config.write_text(config.read_text() + HOOKS.format(url=self.server.url, timeout=timeout))

    def ferryman(self, *words: str) -> int:
        with pytest.raises(SystemExit) as leaving:
            main(["--config", str(self.workspace.folder / "ferryman.toml"), *words])
        return int(leaving.value.code or 0)

    @property
    def logged(self) -> list[str]:
        """The lines of the log, without their times."""
        file = self.workspace.folder / "sal.log"
        lines = file.read_text().splitlines() if file.exists() else []
        return [line.partition(" ")[2] for line in lines]

    @property
    def run(self) -> str:
        return self.logged[0].partition("(run ")[2].partition(")")[0]


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Here]:
    with closing(Workspace(tmp_path)) as workspace, serving() as server:
        yield Here(workspace, server)


def test_a_run_and_its_rollback_are_told_of(here: Here) -> None:
    here.configure()
    assert here.ferryman("waiting", "--yes", "--reason", "to <test>", "--task", "T1") == 0
    assert here.ferryman("rollback", here.run) == 0
    me, run = operator(), here.run
    assert here.logged == [
        f"{me} START - waiting (run {run}) - begins: to <test> (T1)",
        f"{me} END (done, exit code 0) - waiting (run {run}) - done: every change is made and verified",
        f"{me} START - waiting (run {run}) - goes back: to <test> (T1)",
        f"{me} END (rolled-back, exit code 0) - waiting (run {run}) - {ROLLED_BACK}",
    ]
    assert [body["text"].splitlines()[0] for body in here.server.bodies] == [
        f"ferryman waiting: begins (run {run}, {me})",
        f"ferryman waiting: ended done (exit code 0) (run {run}, {me})",
        f"ferryman waiting: goes back (run {run}, {me})",
        f"ferryman waiting: ended rolled-back (exit code 0) (run {run}, {me})",
    ]
    assert here.server.bodies[0]["text"].endswith("\nto &lt;test&gt; (T1)")


def test_a_dry_run_and_a_refused_run_are_not_told_of(here: Here) -> None:
    here.configure()
    assert here.ferryman("waiting", "--dry-run") == 0
    here.workspace.have("fault-before")
    assert here.ferryman("waiting", "--yes") == 3
    assert here.logged == []
    assert here.server.asked == []


def test_the_rollback_is_made_whatever_the_hooks_do(here: Here, caplog: pytest.LogCaptureFixture) -> None:
    here.configure()
    here.server.answers["POST"] = fails(500, "no such channel: /services/T0SECRET")
    (here.workspace.folder / "sal.log").mkdir()
    here.workspace.have("fault-after")
    assert here.ferryman("waiting", "--yes") == 4
    assert here.workspace.files == ("old", "old")
    said = caplog.text
    assert f"hooks.webhook.sre ({here.server.url}/…): answered 500" in said
    assert f"hooks.log.sal ({here.workspace.folder}/sal.log): Is a directory; the run goes on" in said
    assert "SECRET" not in said


def test_a_run_that_is_closed_by_hand_is_told_of_as_every_end(here: Here) -> None:
    here.configure()
    run = left_open(here.workspace.folder / "state.db")
    assert here.ferryman("close", run, "--reason", "rowed over") == 0
    said = f"closed by {operator()}, who put it right by hand: rowed over"
    assert here.logged == [f"{operator()} END (error, exit code 1) - waiting (run {run}) - {said}"]
    assert here.server.bodies[0]["text"].endswith(said)


def test_a_run_that_cannot_be_closed_is_not_told_of(here: Here) -> None:
    here.configure()
    assert here.ferryman("waiting", "--yes") == 0
    told = here.logged
    assert here.ferryman("close", here.run, "--reason", "rowed over") == 2
    assert here.logged == told


def left_open(state: Path) -> str:
    """A run whose process is gone."""
    with closing(SqliteStore(Database.at(state), owner=ProcessId("elsewhere", 4242, 1, "a boot"))) as store:
        return store.begin(
            RunRequest(cookbook="waiting", operator="alice"), Plan([Is(FakeWorld(), "a", "b")])
        )


def test_a_server_that_hangs_is_not_waited_for(here: Here, caplog: pytest.LogCaptureFixture) -> None:
    here.configure(timeout=0.1)
    here.server.answers["POST"] = HANGS
    assert here.ferryman("waiting", "--yes") == 0
    assert here.workspace.files == ("new", "new")
    assert f"hooks.webhook.sre ({here.server.url}/…)" in caplog.text
