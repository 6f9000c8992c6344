"""Dry runs of every cookbook wait for nothing and write nothing; the run that follows does as they say."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from ferryman import retry, waits
from ferryman.cookbook import Look, Report
from ferryman.errors import UnreachableError
from ferryman.events import CannotTell, ChangeMade, ForetoldCompared, StepStarted
from ferryman.hosts.fake import FakeHosts
from ferryman.hosts.verbs.agents import AgentRun
from ferryman.state.foretellings import Foretellings
from ferryman.testing import Cuts, Harness
from unit.cookbooks.fake_site import FakeSite

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ferryman.hosts.fake import Call, Reply

OLD_CONNECTION = "TCP 0A1E0002 D431 0A630003 1F91 0A0A0015 1F91 ESTABLISHED 890"
"""A client's, to ``static``, in lvs1's table."""
LONG_S = 3600.0
"""What a run would soak, and wait for connections from before."""


@dataclass(frozen=True)
class Case:
    """A cookbook with arguments."""

    cookbook: str
    service: str
    more: tuple[tuple[str, Any], ...] = ()

    @property
    def arguments(self) -> dict[str, Any]:
        probes = self.cookbook == "probe.py"
        what = {"services": (self.service,)} if probes else {"service": self.service}
        return {**what, "site": "lab", **dict(self.more)}

    def __str__(self) -> str:
        return f"{self.cookbook.removesuffix('.py')} {self.service}"


MIGRATIONS = [Case("migrate.py", name) for name in ("web", "static", "maps")]
RESCHEDULED = [
    Case("scheduler/migrate.py", name, (("to", "mh"), ("flags", ("mh-port",)))) for name in ("web", "static")
]
CHANGES = [*MIGRATIONS, *RESCHEDULED]
LOOKS = [Case("check.py", "web"), Case("probe.py", "web", (("cluster", None), ("nodes", ())))]


def site_with_long_waits() -> FakeSite:
    site = FakeSite(Cuts())
    site.soak_s = site.drain_s = LONG_S
    return site


def migrated(site: FakeSite, case: Case) -> None:
    site.soak_s = site.drain_s = 0.0
    assert Harness().perform(site.scene_with(case.cookbook, case.arguments).plan()).outcome == "done"
    site.soak_s = site.drain_s = LONG_S


def as_it_is(site: FakeSite, case: Case) -> None:
    """Nothing is done yet: everything would be changed."""


def half_migrated(site: FakeSite, case: Case) -> None:
    """One director is as it was: somebody took it back."""
    before = list(site.directors["lvs1"].rules)
    migrated(site, case)
    site.directors["lvs1"].rules = before


def silent(site: FakeSite, case: Case) -> None:
    """A director does not answer."""
    del case
    answer = site.answer

    def unless_silent(call: Call) -> Reply:
        if call.host == "lvs1":
            raise UnreachableError("lvs1: did not answer within 30 seconds")
        return answer(call)

    site.answer = unless_silent  # type: ignore[method-assign]


OUTCOMES: dict[str, Callable[[FakeSite, Case], None]] = {
    "to be changed": as_it_is,
    "migrated already": migrated,
    "half migrated": half_migrated,
    "a director is silent": silent,
}


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever sleeps, or looks again after some time, fails the test; a thread may be waited for briefly."""

    def fail(*seconds: object) -> None:
        pytest.fail(f"a dry run slept: {seconds}")

    monkeypatch.setattr(time, "sleep", fail)
    monkeypatch.setattr(waits.RealWaits, "sleep", fail)

    def look_once(look: Callable[[], Any], *_: object, **__: object) -> Any:  # noqa: ANN401  # as what it is for
        pytest.fail(f"a dry run polled: {look}")

    monkeypatch.setattr(retry, "poll_until", look_once)
    wait = threading.Event.wait

    def brief(self: threading.Event, timeout: float | None = None) -> bool:
        if timeout is not None and timeout >= LONG_S / 2:
            pytest.fail(f"a dry run waited {timeout} s")
        return wait(self, timeout)

    monkeypatch.setattr(threading.Event, "wait", brief)


@pytest.mark.parametrize(
    ("case", "outcome"),
    [
        *((case, outcome) for case in CHANGES for outcome in OUTCOMES),
        *((case, outcome) for case in LOOKS for outcome in ("to be changed", "a director is silent")),
    ],
    ids=str,
)
def test_it_sleeps_nowhere_polls_nothing_and_writes_nothing(
    case: Case, outcome: str, request: pytest.FixtureRequest
) -> None:
    site = site_with_long_waits()
    OUTCOMES[outcome](site, case)
    request.getfixturevalue("no_waiting")
    before, site.dry_run = site.state, True
    harness = Harness()
    ending = harness.perform(site.scene_with(case.cookbook, case.arguments).plan(), dry_run=True)
    assert ending.outcome in ("done", "refused"), ending.reason
    assert site.state == before
    assert not any(
        isinstance(line.event, StepStarted) and line.event.phase == "do" for line in harness.events
    )


@pytest.mark.parametrize("case", CHANGES, ids=str)
def test_the_run_that_follows_does_what_was_foretold(case: Case, tmp_path: Path) -> None:
    site, harness = FakeSite(Cuts()), Harness(foretellings=Foretellings(tmp_path))
    site.dry_run = True
    scene = site.scene_with(case.cookbook, case.arguments)
    assert harness.perform(scene.plan(), dry_run=True).outcome == "done"
    site.dry_run = False
    assert harness.perform(scene.plan()).outcome == "done"
    (compared,) = [line.event for line in harness.events if isinstance(line.event, ForetoldCompared)]
    assert compared.differences == ()


@dataclass(frozen=True)
class AgentRunsByItself(Look):
    """The agent of {host} runs by itself, as its timer has it."""

    site: FakeSite
    host: str

    def look(self, report: Report) -> None:
        """It writes what the catalog says by now."""
        del report
        hosts = FakeHosts()
        hosts.answer("*", None, self.site.answer)
        hosts.write(self.host, AgentRun(("apply-catalog",), 1.0))


def test_an_agent_that_ran_by_itself_is_not_run_again_and_that_is_no_difference(tmp_path: Path) -> None:
    case = Case("migrate.py", "maps")
    site, harness = FakeSite(Cuts()), Harness(foretellings=Foretellings(tmp_path))
    scene = site.scene_with(case.cookbook, case.arguments)
    site.dry_run = True
    harness.perform(scene.plan(), dry_run=True)
    told = [line.event for line in harness.events if isinstance(line.event, CannotTell)]
    follows = [event for event in told if "the director follows it" in event.before]
    assert [[edit.command for edit in event.edits] for event in follows] == [
        ["apply-catalog", "restart-pybal"]
    ] * 2
    site.dry_run = False
    plan = scene.plan()
    after_the_catalog = (
        next(place for place, title in enumerate(plan.titles) if "The catalog says" in title) + 1
    )
    steps = list(plan.steps)
    steps.insert(after_the_catalog, AgentRunsByItself(site, "lvs1"))
    harness.events.clear()
    assert harness.perform(replace(plan, steps=steps)).outcome == "done"
    made = [line.event.edit for line in harness.events if isinstance(line.event, ChangeMade)]
    assert [edit.command for edit in made if edit.target == "lvs1" and "ip " not in str(edit.command)] == [
        "restart-pybal"
    ]
    (compared,) = [line.event for line in harness.events if isinstance(line.event, ForetoldCompared)]
    assert compared.differences == ()


def test_host_routes_that_old_connections_keep_are_not_told_as_removed(tmp_path: Path) -> None:
    case = Case("migrate.py", "static")
    site, harness = FakeSite(Cuts()), Harness(foretellings=Foretellings(tmp_path))
    scene = site.scene_with(case.cookbook, case.arguments)
    site.dry_run = True
    harness.perform(scene.plan(), dry_run=True)
    told = [line.event for line in harness.events if isinstance(line.event, CannotTell)]
    assert [event.before.partition(":")[0] for event in told] == ["connections from before have ended"] * 2
    site.dry_run = False
    site.directors["lvs1"].connections.append(OLD_CONNECTION)
    harness.events.clear()
    assert harness.perform(scene.plan()).outcome == "done"
    made = [
        (line.event.edit.target, str(line.event.edit.command).split()[:3])
        for line in harness.events
        if isinstance(line.event, ChangeMade) and "route del" in str(line.event.edit.command)
    ]
    assert {host for host, _ in made} == {"lvs2"}
    (compared,) = [line.event for line in harness.events if isinstance(line.event, ForetoldCompared)]
    assert compared.differences == ()
