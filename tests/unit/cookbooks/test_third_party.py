"""Somebody else writes while a service is taken across: the run stops and says so, and theirs stays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from ferryman.errors import VerifyError
from ferryman.events import FindingMade
from ferryman.model import Verdict
from ferryman.testing import Cut, Cuts, Harness
from unit.cookbooks.fake_site import FakeSite
from unit.cookbooks.third_parties import OTHER_FILE
from unit.cookbooks.third_party import HOST, THIRD_PARTIES, ThirdParty

if TYPE_CHECKING:
    from collections.abc import Callable

    from ferryman.engine.endings import Ending

T = TypeVar("T")
BOOK = "migrate.py"
SERVICES = ("static", "web")
CATALOG, NOTE, WEIGHT, OUT = THIRD_PARTIES
AT_A_DIRECTOR = [(service, one) for service in SERVICES for one in (WEIGHT, OUT)] + [("web", NOTE)]


def calls(service: str) -> int:
    """How many calls to the outside a whole migration makes."""
    cuts = Cuts()
    Harness().perform(whole(cuts).scene(BOOK, service).plan())
    return cuts.calls


def whole(cuts: Cuts) -> FakeSite:
    """A site where nobody comes between the lines of a script."""
    return FakeSite(cuts, scripts_tear=False)


def bank(service: str, stranger: ThirdParty, *, new: bool) -> dict[str, Any]:
    """How the site is before or after a migration, with what the stranger wrote."""
    site = whole(Cuts())
    if new:
        assert Harness().perform(site.scene(BOOK, service).plan()).outcome == "done"
    stranger.write(site)
    return site.state


def edits(service: str) -> list[int]:
    """The calls that change something: routes up, the catalog, each director, routes down."""
    found: list[int] = []

    class Spy(Cuts):
        def call(self, effect: Callable[[], T]) -> T:
            number, before = self.calls, site.state
            result = super().call(effect)
            if site.state != before:
                found.append(number)
            return result

    site = whole(Spy())
    Harness().perform(site.scene(BOOK, service).plan())
    return found


def refuse() -> None:
    raise VerifyError("the host said no")


def migrated(
    service: str, stranger: ThirdParty, at: int, *, refused_at: int | None
) -> tuple[Ending, dict[str, Any]]:
    """A migration during which somebody writes at this call, and a host refuses a later one."""
    cut = [Cut(refused_at, "before", refuse)] if refused_at is not None else []
    cuts = Cuts(Cut(at, "before", lambda: stranger.write(site)), *cut)
    site = whole(cuts)
    return Harness().perform(site.scene(BOOK, service).plan()), site.state


def judge(ending: Ending, seen: dict[str, Any], old: dict[str, Any], new: dict[str, Any]) -> str:
    """What is wrong with an ending; empty when nothing is."""
    if ending.outcome == "stranded":
        # What they wrote stands where this run's part would go back: nobody but a person can say what now.
        others = {name: state for name, state in seen.items() if name != HOST}
        told = HOST in ending.reason and "someone else changed it since it was read" in ending.reason
        return "" if told and others == {name: old[name] for name in others} else "stranded otherwise"
    wanted = {"done": new, "refused": old, "rolled-back": old}.get(ending.outcome)
    return "" if seen == wanted else f"{ending.outcome}, and left {seen}"


def sweep(service: str, stranger: ThirdParty, every: int, *, refused: bool) -> dict[str, int]:
    """A stranger at every n-th call: how often it ended how, and anything that was wrong."""
    count, endings = calls(service), dict[str, int]()
    old, new = bank(service, stranger, new=False), bank(service, stranger, new=True)
    for at in range(0, count, every):
        ending, seen = migrated(service, stranger, at, refused_at=count - 8 if refused else None)
        assert stranger.stays(seen), f"{stranger} at call {at}: it was overwritten"
        wrong = judge(ending, seen, old, new)
        assert not wrong, f"{stranger} at call {at}: {wrong}\n{ending.reason}"
        endings[ending.outcome] = endings.get(ending.outcome, 0) + 1
    return endings


@pytest.mark.parametrize("service", SERVICES)
def test_a_catalog_edited_between_check_and_do_is_left_alone_and_the_run_goes_back(service: str) -> None:
    catalog = edits(service)[2]
    ending, seen = migrated(service, CATALOG, catalog, refused_at=None)
    assert ending.outcome == "rolled-back"
    assert "services.yaml: someone else changed it since it was read; it was left alone" in ending.reason
    assert seen == bank(service, CATALOG, new=False)


@pytest.mark.parametrize(("service", "stranger"), AT_A_DIRECTOR, ids=str)
def test_a_director_edited_between_check_and_do_is_left_alone_and_the_run_goes_back(
    service: str, stranger: ThirdParty
) -> None:
    director = edits(service)[3]
    ending, seen = migrated(service, stranger, director - 1, refused_at=None)
    assert ending.outcome == "rolled-back"
    assert f"{HOST}: " in ending.reason
    assert "someone else changed it since it was read" in ending.reason
    assert seen == bank(service, stranger, new=False)


@pytest.mark.parametrize(("service", "stranger"), AT_A_DIRECTOR, ids=str)
def test_a_director_edited_after_a_run_is_done_is_told_and_left_alone_by_its_rollback(
    service: str, stranger: ThirdParty
) -> None:
    site, dock = whole(Cuts()), Harness()
    scene = site.scene(BOOK, service)
    assert dock.perform(scene.plan()).outcome == "done"
    stranger.write(site)
    ending = dock.go_on(scene.plan(), "rollback")
    assert stranger.stays(site.state)
    told = [
        one.event.finding
        for one in dock.heard
        if isinstance(one.event, FindingMade) and one.event.finding.verdict is Verdict.WARN
    ]
    if ending.outcome == "rolled-back":
        assert site.state == bank(service, stranger, new=False)
        assert {one.host for one in told if one.check == "changed-by-others"} == {HOST}
        return
    assert ending.outcome in {"refused", "stranded"}
    assert f"{HOST}: " in ending.reason
    assert "changed it since" in ending.reason


@pytest.mark.parametrize("service", SERVICES)
def test_a_catalog_edited_after_a_run_is_done_loses_the_flag_alone(service: str) -> None:
    site, dock = whole(Cuts()), Harness()
    scene = site.scene(BOOK, service)
    assert dock.perform(scene.plan()).outcome == "done"
    CATALOG.write(site)
    assert dock.go_on(scene.plan(), "rollback").outcome == "rolled-back"
    assert site.state == bank(service, CATALOG, new=False)


def test_another_services_edit_that_waits_for_a_reload_is_never_taken_up_by_a_run_that_ends_done() -> None:
    def edit(site: FakeSite) -> None:
        files = site.directors[HOST].files
        files[OTHER_FILE] = files[OTHER_FILE].replace("DR", "TUN")

    def theirs(state: dict[str, Any]) -> list[str]:
        return [line for line in state[HOST]["rules"] if "10.99.0.3:8081" in line]

    before, ends = theirs(whole(Cuts()).state), set[str]()
    stranger = ThirdParty("edits another service's file", edit, lambda _: True)
    for at in range(0, calls("web"), 7):
        ending, state = migrated("web", stranger, at, refused_at=None)
        assert ending.outcome != "done" or theirs(state) == before, at
        ends.add(ending.outcome)
    assert ends >= {"done", "refused"}


@pytest.mark.parametrize("stranger", THIRD_PARTIES, ids=str)
@pytest.mark.parametrize("service", SERVICES)
def test_whenever_somebody_writes_nothing_of_theirs_is_overwritten(
    service: str, stranger: ThirdParty
) -> None:
    assert sweep(service, stranger, 16, refused=False)


@pytest.mark.parametrize("stranger", THIRD_PARTIES, ids=str)
@pytest.mark.parametrize("service", SERVICES)
def test_nor_is_it_on_the_way_back(service: str, stranger: ThirdParty) -> None:
    assert "done" not in sweep(service, stranger, 16, refused=True)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("refused", [False, True])
@pytest.mark.parametrize("stranger", THIRD_PARTIES, ids=str)
@pytest.mark.parametrize("service", SERVICES)
def test_at_any_call_nothing_of_theirs_is_overwritten(
    service: str, stranger: ThirdParty, refused: bool
) -> None:
    assert sweep(service, stranger, 1, refused=refused)
