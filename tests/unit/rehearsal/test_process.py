"""A process of the real command stands still at each of its events: what strikes there is never too late."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ferryman.rehearsal.process import Process
from unit.cli.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

ACKNOWLEDGED = {"PYTHONDONTWRITEBYTECODE": ""}
KILLED = -signal.SIGKILL


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    made = Workspace(tmp_path / "workspace")
    yield made
    made.close()


def started(workspace: Workspace, *words: str) -> Process:
    return Process.start(
        words,
        workspace.folder / "ferryman.toml",
        workspace.folder / "said",
        control="",
        environment=ACKNOWLEDGED,
    )


def never() -> bool:
    return False


def test_at_every_event_the_world_is_as_the_event_says(workspace: Workspace) -> None:
    """Not one is late: when the run tells that it begins a change, the change is not there yet."""
    seen: list[tuple[str, tuple[str, str]]] = []

    def look(event: Mapping[str, Any]) -> None:
        if event["event"] in ("step-started", "step-finished") and event["phase"] == "do":
            seen.append((f"{event['event']} {event['step']}", workspace.files))

    assert started(workspace, "waiting", "--yes").follow(look, [], never) == 0
    assert seen == [
        ("step-started 1", ("old", "old")),
        ("step-finished 1", ("new", "old")),
        ("step-started 2", ("new", "old")),
        ("step-finished 2", ("new", "new")),
    ]


def at_do_of(step: int, act: Callable[[], object]) -> Callable[[Mapping[str, Any]], None]:
    def strike(event: Mapping[str, Any]) -> None:
        if (event["event"], event.get("phase"), event.get("step")) == ("step-started", "do", step):
            act()

    return strike


def test_a_run_that_is_killed_at_an_event_has_done_nothing_after_it(workspace: Workspace) -> None:
    process = started(workspace, "waiting", "--yes")
    assert process.follow(at_do_of(2, lambda: process.signal(signal.SIGKILL)), [], never) == KILLED
    assert workspace.files == ("new", "old")
    assert process.run is not None
    back = started(workspace, "rollback", process.run)
    assert back.follow(lambda _: None, [], never) == 0
    assert workspace.files == ("old", "old")


@pytest.fixture(params=["heeded", "ignored"])
def _in_the_background(request: pytest.FixtureRequest) -> Iterator[None]:
    """A rehearsal in the background of a script ignores the signals of the terminal."""
    before = signal.getsignal(signal.SIGINT)
    if request.param == "ignored":
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_in_the_background")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_at_an_event_is_acted_on_before_the_next_change(
    workspace: Workspace, number: signal.Signals
) -> None:
    process = started(workspace, "waiting", "--yes")
    assert process.follow(at_do_of(1, lambda: process.signal(number)), [], never) == 130
    assert workspace.files == ("old", "old")
    assert [event["step"] for event in process.events if event.get("phase") == "do"] == [1, 1]


def test_what_comes_after_some_seconds_finds_the_process_stopped(workspace: Workspace) -> None:
    process, states = started(workspace, "waiting", "--yes"), []

    def act() -> None:
        text = Path(f"/proc/{process.popen.pid}/stat").read_text()
        states.append(text.rpartition(")")[2].split()[0])

    assert process.follow(lambda _: None, [(0.0, act)], never) == 0
    assert states == ["T"]


def test_a_rehearsal_that_is_given_up_leaves_no_process(workspace: Workspace) -> None:
    process = started(workspace, "waiting", "--yes")
    with pytest.raises(KeyboardInterrupt):
        process.follow(lambda _: None, [], lambda: True)
    assert process.is_over


def test_a_command_that_is_no_run_tells_what_it_said(workspace: Workspace) -> None:
    process = started(workspace, "resume", "no-such-run")
    assert process.follow(lambda _: None, [], never) == 2
    assert process.run is None
    assert "no-such-run" in process.last_words()
