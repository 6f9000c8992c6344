"""The watch: what fails while a run asks, waits or soaks rolls it back, whatever it was doing."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from ferryman.engine.plan import Plan, Watch
from ferryman.engine.steps import Look, Report
from ferryman.errors import DoubtError
from ferryman.events import FindingMade
from ferryman.model import RETRIED, Finding, Verdict
from ferryman.state import RunRequest
from ferryman.testing import Becomes, FakeWorld, Harness

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ferryman.model import Edit

LONG_S = 10.0
"""Longer than any test may take: whoever waits for it to end was not woken."""


@dataclass(frozen=True)
class Watched(Look):
    """The realserver answers."""

    verdicts: Iterator[Verdict | Exception]
    seen: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    """Released once after each look."""
    met: threading.Event = field(default_factory=threading.Event)
    """Set when the run has got to where the watch is to meet it; no look is made before."""

    def meets(self, action: Callable[[], None]) -> Callable[[], None]:
        """The same action, and the watch looks from then on."""

        def met() -> None:
            self.met.set()
            action()

        return met

    def look(self, report: Report) -> None:
        """Report the next of the verdicts."""
        assert self.met.wait(LONG_S)
        verdict = next(self.verdicts, Verdict.PASS)
        try:
            if isinstance(verdict, Exception):
                raise verdict
            report.finding(Finding("probe", "rs1", verdict, "silent", "an answer"))
        finally:
            self.seen.release()


@dataclass(frozen=True)
class Waits(Look):
    """It takes its time."""

    until: Callable[[], object]

    def look(self, report: Report) -> None:
        """Wait until the watch has an error."""
        del report
        self.until()


def watched(*verdicts: Verdict | Exception) -> Watched:
    return Watched(iter(verdicts))


def watching(look: Look) -> Watch:
    return Watch([look], every_s=0.001)


def for_a_moment() -> None:
    """Long enough for many looks."""
    threading.Event().wait(0.05)


def for_long() -> None:
    assert not threading.Event().wait(LONG_S), "never set"
    pytest.fail("nobody woke it")


def looked(watch: Watched, times: int) -> Callable[[], None]:
    def wait() -> None:
        for _ in range(times):
            assert watch.seen.acquire(timeout=LONG_S)

    return wait


def test_what_turns_bad_while_the_run_waits_sends_it_back(harness: Harness, world: FakeWorld) -> None:
    bad = watched(Verdict.PASS, Verdict.FAIL, Verdict.FAIL)

    result = harness.perform(
        Plan([Becomes(world, "a", "new"), Waits(bad.meets(for_long))], ["web"], watch=watching(bad))
    )

    assert (result.outcome, result.exit_code) == ("rolled-back", 4)
    assert result.reason.startswith("the watch: rs1: probe: silent; wanted an answer")
    assert world.values["a"] == "old"
    found = [line.event for line in harness.events if isinstance(line.event, FindingMade)]
    assert [(event.step, event.finding.verdict) for event in found if event.finding.check == "probe"] == [
        (1, Verdict.FAIL),
        (1, Verdict.FAIL),
    ]


def test_what_turns_bad_while_the_operator_is_asked_changes_nothing(
    harness: Harness, world: FakeWorld
) -> None:
    bad = watched(Verdict.FAIL, Verdict.FAIL)

    def ask(edits: Sequence[Edit]) -> bool:
        assert edits
        bad.meets(for_long)()
        return True

    plan = Plan([Becomes(world, "a", "new")], ["web"], watch=watching(bad))
    result = replace(harness.runner(), confirm=ask).perform(
        RunRequest(cookbook="test", operator="tester"), plan
    )

    assert (result.outcome, result.exit_code) == ("refused", 3)
    assert world.values["a"] == "old"


def test_a_look_that_fails_once_and_then_passes_stops_nothing(harness: Harness, world: FakeWorld) -> None:
    once = watched(Verdict.FAIL, Verdict.PASS)

    result = harness.perform(
        Plan([Becomes(world, "a", "new"), Waits(once.meets(looked(once, 4)))], ["web"], watch=watching(once))
    )

    assert result.outcome == "done"


def test_what_flaps_holds_the_run(harness: Harness, world: FakeWorld) -> None:
    flapping = watched(*[Verdict.FAIL, Verdict.PASS] * 4)

    result = harness.perform(
        Plan([Becomes(world, "a", "new"), Waits(flapping.meets(for_long))], ["web"], watch=watching(flapping))
    )

    assert (result.outcome, result.exit_code) == ("held", 7)
    assert "it flaps" in result.reason
    assert world.values["a"] == "new"


def test_how_often_a_look_may_fail_and_flap_is_the_watchs_to_say(harness: Harness, world: FakeWorld) -> None:
    patient = watched(*[Verdict.FAIL, Verdict.FAIL, Verdict.PASS] * 5)
    watch = Watch([patient], every_s=0.001, failures=3, flaps=5)
    waiting = Waits(patient.meets(looked(patient, 16)))
    plan = Plan([Becomes(world, "a", "new"), waiting], ["web"], watch=watch)
    assert harness.perform(plan).outcome == "done"

    strict = watched(Verdict.FAIL)
    watch = Watch([strict], every_s=0.001, failures=1)
    result = harness.perform(
        Plan([Becomes(world, "a", "newer"), Waits(strict.meets(for_long))], ["web"], watch=watch)
    )
    assert result.outcome == "rolled-back"


@pytest.mark.parametrize(("on_doubt", "outcome"), [("hold", "held"), ("rollback", "rolled-back")])
def test_what_cannot_be_determined_is_the_operators_choice(
    harness: Harness, world: FakeWorld, on_doubt: str, outcome: str
) -> None:
    silent = watched(DoubtError("no answer"), DoubtError("no answer"))
    plan = Plan([Becomes(world, "a", "new"), Waits(silent.meets(for_long))], ["web"], watch=watching(silent))

    result = harness.perform(plan, on_doubt="rollback" if on_doubt == "rollback" else "hold")

    assert result.outcome == outcome


@dataclass(frozen=True)
class BecomesSlowly(Becomes):
    """{key} becomes {wanted}, in two halves."""

    between: Callable[[], None] = lambda: None

    def do(self, before: str) -> None:
        """Let the watch fail between the halves."""
        self.world.values["half"] = "begun"
        self.between()
        del self.world.values["half"]
        super().do(before)


def test_a_change_under_way_is_finished_before_the_watch_is_heeded(
    harness: Harness, world: FakeWorld
) -> None:
    bad = watched(Verdict.FAIL, Verdict.FAIL)
    slow = BecomesSlowly(world, "a", "new", bad.meets(looked(bad, 2)))

    result = harness.perform(Plan([slow, Waits(bad.meets(for_long))], ["web"], watch=watching(bad)))

    assert result.outcome == "rolled-back"
    assert "half" not in world.values
    assert world.values["a"] == "old"


@dataclass(frozen=True)
class GoesBackSlowly(Becomes):
    """{key} becomes {wanted}, and goes back while the watch cries."""

    meanwhile: Callable[[], None] = lambda: None

    def undo(self, before: str) -> None:
        """Wait for the watch to fail again."""
        self.meanwhile()
        super().undo(before)


def test_on_the_rollback_nobody_watches(harness: Harness, world: FakeWorld) -> None:
    bad = watched(*[Verdict.FAIL] * 1000)
    back = GoesBackSlowly(world, "a", "new", for_a_moment)

    result = harness.perform(Plan([back, Waits(bad.meets(for_long))], ["web"], watch=watching(bad)))

    assert result.outcome == "rolled-back"
    assert world.values["a"] == "old"


def test_a_bug_in_the_watch_goes_back_like_any_other(harness: Harness, world: FakeWorld) -> None:
    broken = watched(ZeroDivisionError("in the watch"))

    result = harness.perform(
        Plan([Becomes(world, "a", "new"), Waits(broken.meets(for_long))], ["web"], watch=watching(broken))
    )

    assert result.outcome == "rolled-back"
    assert "a bug: ZeroDivisionError" in result.reason
    assert world.values["a"] == "old"


def test_a_dry_run_and_a_run_without_changes_have_no_watch(harness: Harness, world: FakeWorld) -> None:
    bad = watched(*[Verdict.FAIL] * 1000)
    plan = Plan([Becomes(world, "a", "new")], ["web"], watch=watching(bad))

    assert harness.perform(plan, dry_run=True).outcome == "done"
    world.values["a"] = "new"
    assert harness.perform(plan).outcome == "done"
    assert not bad.seen.acquire(blocking=False)


@dataclass(frozen=True)
class AskedAgain(Look):
    """The realserver answers in the end."""

    turns: Iterator[bool]
    met: threading.Event = field(default_factory=threading.Event)

    def look(self, report: Report) -> None:
        """Report whether it answered only on a retry this time."""
        assert self.met.wait(LONG_S)
        if next(self.turns, False):
            report.finding(Finding(RETRIED, "rs1", Verdict.WARN, "asked again", "an answer to the first SYN"))

    def then(self, action: Callable[[], None]) -> Callable[[], None]:
        """The same action, and the watch looks from then on."""

        def met() -> None:
            self.met.set()
            action()

        return met


@pytest.mark.parametrize("often", [True, False])
@pytest.mark.parametrize(
    ("turns", "outcome"),
    [([True, False, True, False, True], "held"), ([True, True, True], "rolled-back")],
    ids=["now and then", "always"],
)
def test_a_host_that_is_asked_again_too_often_is_a_doubt_and_one_that_always_is_a_failure(
    harness: Harness, world: FakeWorld, often: bool, turns: list[bool], outcome: str
) -> None:
    again = AskedAgain(iter(turns))
    pace = (
        Watch([], 3600, often=[again], often_s=0.001, retries=2)
        if often
        else Watch([again], 0.001, retries=2)
    )
    result = harness.perform(
        Plan([Becomes(world, "a", "new"), Waits(again.then(for_long))], ["web"], watch=pace)
    )

    assert result.outcome == outcome, result.reason
    assert "the watch: The realserver answers in the end: rs1: in 3 rounds" in result.reason
    found = [line.event.finding for line in harness.events if isinstance(line.event, FindingMade)]
    assert [finding.verdict for finding in found if finding.check == RETRIED] == [Verdict.WARN] * 3


def test_a_host_that_is_asked_again_now_and_then_is_told_and_stops_nothing(
    harness: Harness, world: FakeWorld
) -> None:
    again = AskedAgain(iter([True, False, True]))
    watch = Watch([again], 0.001, retries=2)
    plan = Plan([Becomes(world, "a", "new"), Waits(again.then(for_a_moment))], ["web"], watch=watch)
    assert harness.perform(plan).outcome == "done"
    found = [line.event.finding for line in harness.events if isinstance(line.event, FindingMade)]
    assert any(finding.check == RETRIED for finding in found)


def test_a_look_before_the_first_change_that_was_asked_again_refuses_nothing(
    harness: Harness, world: FakeWorld
) -> None:
    again = AskedAgain(iter([True]))
    again.met.set()
    assert harness.perform(Plan([again, Becomes(world, "a", "new")], ["web"])).outcome == "done"
