"""When hooks are called, and that no hook changes anything about a run."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from ferryman.engine.plan import Plan
from ferryman.engine.process import ProcessId
from ferryman.engine.runner import Runner
from ferryman.errors import UnknownOutcomeError, VerifyError
from ferryman.hooks import Hook, HookError, Notifier, RunAction, RunNotice
from ferryman.state import RunRequest, SqliteStore
from ferryman.testing import Becomes, Cut, Cuts, FakeWorld, Harness, Is, Killed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ferryman.engine.runner import OnDoubt
    from ferryman.outcomes import RunResult

REQUEST = RunRequest(cookbook="test", operator="tester")
TWO_WRITES = ["a", "b"]


@dataclass
class Listens:
    """Remembers what it was told, and how the world was then."""

    world: FakeWorld
    heard: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def begun(self, notice: RunNotice) -> str:
        return self._hear(notice.action)

    def ended(self, notice: RunNotice) -> str:
        assert notice.finished is not None
        return self._hear(notice.finished.outcome)

    def _hear(self, word: str) -> str:
        self.heard.append((word, dict(self.world.values)))
        return ""

    @property
    def words(self) -> list[str]:
        return [word for word, _ in self.heard]


@dataclass
class Fails:
    """Raises, whatever it is told."""

    error: BaseException

    def begun(self, notice: RunNotice) -> str:
        raise self.error

    def ended(self, notice: RunNotice) -> str:
        raise self.error


@dataclass
class Hangs:
    """Does not come back until it is let go."""

    let_go: threading.Event
    heard: list[str] = field(default_factory=list)

    def begun(self, notice: RunNotice) -> str:
        self.let_go.wait()
        self.heard.append("begun")
        return ""

    def ended(self, notice: RunNotice) -> str:
        self.heard.append("ended")
        return ""


@dataclass
class Stage:
    """A world of two values, a plan that changes both, and the hooks of its runs."""

    world: FakeWorld
    hooks: dict[str, Hook]
    harness: Harness = field(default_factory=Harness)
    limit_s: float = 20.0

    @property
    def plan(self) -> Plan:
        return Plan(
            [Is(self.world, "c", "x"), *(Becomes(self.world, key, "new") for key in TWO_WRITES)], ["x"]
        )

    def perform(self, request: RunRequest = REQUEST, on_doubt: OnDoubt = "hold") -> RunResult:
        runner = self.harness.runner(on_doubt)
        return replace(runner, subscribers=[self.notifier(request, "begins")]).perform(request, self.plan)

    def resume(self) -> RunResult:
        runner = replace(self.harness.runner(), subscribers=[self.notifier(REQUEST, "goes on")])
        return runner.resume(self.run, self.plan)

    def roll_back(self) -> RunResult:
        runner = replace(self.harness.runner(), subscribers=[self.notifier(REQUEST, "goes back")])
        return runner.roll_back(self.run, self.plan)

    def notifier(self, request: RunRequest, action: RunAction) -> Notifier:
        return Notifier(self.hooks, request, "tester", action, self.limit_s)

    @property
    def run(self) -> str:
        return self.harness.journal.runs()[0].id


def raising(error: BaseException) -> Callable[[], None]:
    def fault() -> None:
        raise error

    return fault


def stage(*cuts: Cut, c: str = "x", **values: str) -> tuple[Stage, Listens]:
    world = FakeWorld(Cuts(*cuts), **({"a": "old", "b": "old"} | values), c=c)
    listens = Listens(world)
    return Stage(world, {"listens": listens}), listens


DO_B = 10
"""The call to the outside that writes b: three looks, and then for each change a look, a look and the write,
and between them the look that verifies, and one more at a before b is made."""
VERIFY_B = DO_B + 1


def test_the_hooks_are_called_before_the_first_change_and_after_the_run() -> None:
    here, listens = stage()
    assert here.perform().outcome == "done"
    old, new = {"a": "old", "b": "old", "c": "x"}, {"a": "new", "b": "new", "c": "x"}
    assert listens.heard == [("begins", old), ("done", new)]


def test_a_run_that_changes_nothing_makes_no_noise() -> None:
    refused, listens = stage(c="y")
    assert refused.perform().outcome == "refused"
    assert listens.heard == []
    already, listens = stage(a="new", b="new")
    assert already.perform().outcome == "done"
    assert listens.heard == []


def test_a_dry_run_makes_no_noise() -> None:
    here, listens = stage()
    assert here.perform(replace(REQUEST, dry_run=True)).outcome == "done"
    assert listens.heard == []


def test_a_run_that_goes_back_is_told_of_twice() -> None:
    here, listens = stage(Cut(DO_B, "before", raising(VerifyError("no"))))
    assert here.perform().outcome == "rolled-back"
    assert listens.words == ["begins", "rolled-back"]


ERRORS = [HookError("the server said no"), ZeroDivisionError("a bug"), SystemExit(3)]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("trouble", [None, VerifyError("no"), UnknownOutcomeError("lost")], ids=str)
@pytest.mark.parametrize("on_doubt", ["hold", "rollback"])
def test_a_hook_that_fails_changes_nothing_and_is_warned_of(
    error: BaseException, trouble: Exception | None, on_doubt: OnDoubt, caplog: pytest.LogCaptureFixture
) -> None:
    cuts = [Cut(VERIFY_B, "before", raising(trouble))] if trouble else []
    alone, _ = stage(*cuts)
    alone.hooks = {}
    wanted = alone.perform(on_doubt=on_doubt)
    here, listens = stage(*cuts)
    here.hooks = {"broken": Fails(error), **here.hooks}
    ending = here.perform(on_doubt=on_doubt)
    assert (ending.outcome, ending.exit_code) == (wanted.outcome, wanted.exit_code)
    assert ending.reason.replace(ending.run, "RUN") == wanted.reason.replace(wanted.run, "RUN")
    assert here.world.values == alone.world.values
    assert listens.words == ["begins", wanted.outcome]  # those after it are told all the same
    first, second = (record.getMessage() for record in caplog.records)
    said = "the server said no" if isinstance(error, HookError) else f"a bug: {type(error).__name__}"
    assert first == f"broken: {said}; the run goes on"
    assert second == f"broken: {said}; the run has ended as it says"


@pytest.fixture
def let_go() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def test_a_hook_that_hangs_is_given_up(let_go: threading.Event, caplog: pytest.LogCaptureFixture) -> None:
    here, listens = stage()
    here.limit_s = 0.05
    here.hooks |= {"hangs": Hangs(let_go)}
    assert here.perform().outcome == "done"
    assert listens.words == ["begins", "done"]
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        "hangs: not done within 0.05 s, and not waited for; the run goes on",
        "hangs: not done within 0.05 s, and not waited for; the run has ended as it says",
    ]


def test_what_a_late_hook_began_it_finishes_before_it_hears_of_the_end(let_go: threading.Event) -> None:
    here, _ = stage()
    late = Hangs(let_go)
    here.limit_s = 0.05
    here.hooks = {"late": late}
    here.perform()
    assert late.heard == []
    let_go.set()
    while (thread := of_a_hook()) is not None:
        thread.join()
    assert late.heard == ["begun", "ended"]


def of_a_hook() -> threading.Thread | None:
    return next((each for each in threading.enumerate() if each.name == "ferryman-hook"), None)


def test_what_a_hook_has_to_say_is_said(caplog: pytest.LogCaptureFixture) -> None:
    @dataclass
    class Speaks(Listens):
        def ended(self, notice: RunNotice) -> str:
            return "the silence stays"

    here, _ = stage()
    here.hooks = {"speaks": Speaks(here.world)}
    here.perform()
    assert [record.getMessage() for record in caplog.records] == ["speaks: the silence stays"]


@pytest.mark.parametrize(("action", "outcome"), [("goes on", "done"), ("goes back", "rolled-back")])
def test_a_run_whose_process_died_is_told_of_when_it_is_resumed(action: RunAction, outcome: str) -> None:
    here, listens = stage(Cut(DO_B, "before", raising(Killed())))
    with pytest.raises(Killed):
        here.perform()
    ending = here.resume() if action == "goes on" else here.roll_back()
    assert ending.outcome == outcome
    assert listens.words == ["begins", action, outcome]


def test_a_resumed_run_that_has_nothing_left_to_do_is_told_of_when_it_has_ended() -> None:
    here, listens = stage(Cut(VERIFY_B, "before", raising(Killed())))  # both are written, none is verified
    with pytest.raises(Killed):
        here.perform()
    assert here.resume().outcome == "done"
    assert listens.words == ["begins", "done"]


def test_a_resumed_run_that_has_to_go_back_at_once_says_so() -> None:
    killed, refused = (DO_B, Killed()), (DO_B + 1, VerifyError("no"))
    here, listens = stage(*(Cut(at, "before", raising(error)) for at, error in (killed, refused)))
    with pytest.raises(Killed):
        here.perform()
    assert here.resume().outcome == "rolled-back"
    assert listens.words == ["begins", "goes back", "rolled-back"]


def test_a_run_that_another_process_works_on_is_not_spoken_of() -> None:
    here, listens = stage(Cut(VERIFY_B, "before", raising(UnknownOutcomeError("lost"))))
    assert here.perform().outcome == "held"
    other = here.harness.runner().store
    other.adopt(other.run(here.run), here.plan.keys, "somebody")
    us = SqliteStore(
        here.harness.database, owner=ProcessId("harness", 999, 999, "one boot"), alive=lambda _: True
    )
    runner = Runner(store=us, subscribers=[here.notifier(REQUEST, "goes on")])
    assert runner.resume(here.run, here.plan).outcome == "busy"
    assert listens.words == ["begins", "held"]
