"""Somebody else writes while a service is migrated: the run stops and says so, and theirs stays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from ferryman.errors import VerifyError
from ferryman.events import FindingMade
from ferryman.model import Verdict
from ferryman.testing import Cut, Cuts, Harness
from tools import first_of
from unit.cookbooks.fake_site import FakeSite
from unit.cookbooks.third_parties import OTHER_FILE
from unit.cookbooks.third_party import HOST, THIRD_PARTIES, ThirdParty

if TYPE_CHECKING:
    from collections.abc import Callable

    from ferryman.outcomes import RunResult

T = TypeVar("T")
BOOK = "migrate.py"
SERVICES = ("static", "web")
CATALOG, NOTE, WEIGHT, OUT = THIRD_PARTIES
AT_A_DIRECTOR = [(service, third_party) for service in SERVICES for third_party in (WEIGHT, OUT)] + [
    ("web", NOTE)
]


def calls(service: str) -> int:
    """How many calls to the outside a whole migration makes."""
    cuts = Cuts()
    Harness().perform(whole(cuts).scene(BOOK, service).plan())
    return cuts.calls


def whole(cuts: Cuts) -> FakeSite:
    """A site where nobody comes between the lines of a script."""
    return FakeSite(cuts, scripts_tear=False)


def expected_state(service: str, third_party: ThirdParty, *, new: bool) -> dict[str, Any]:
    """How the site is before or after a migration, with what the third party wrote."""
    site = whole(Cuts())
    if new:
        assert Harness().perform(site.scene(BOOK, service).plan()).outcome == "done"
    third_party.write(site)
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
    service: str, third_party: ThirdParty, at: int, *, refused_at: int | None
) -> tuple[RunResult, dict[str, Any]]:
    """A migration during which somebody writes at this call, and a host refuses a later one."""
    cut = [Cut(refused_at, "before", refuse)] if refused_at is not None else []
    cuts = Cuts(Cut(at, "before", lambda: third_party.write(site)), *cut)
    site = whole(cuts)
    return Harness().perform(site.scene(BOOK, service).plan()), site.state


def judge(ending: RunResult, seen: dict[str, Any], old: dict[str, Any], new: dict[str, Any]) -> str:
    """What is wrong with an ending; empty when nothing is."""
    if ending.outcome == "stranded":
        # What they wrote stands where this run's part would go back: nobody but a person can say what now.
        others = {name: state for name, state in seen.items() if name != HOST}
        told = HOST in ending.reason and "someone else changed it since it was read" in ending.reason
        return "" if told and others == {name: old[name] for name in others} else "stranded otherwise"
    wanted = {"done": new, "refused": old, "rolled-back": old}.get(ending.outcome)
    return "" if seen == wanted else f"{ending.outcome}, and left {seen}"


def sweep(service: str, third_party: ThirdParty, every: int, *, refused: bool) -> dict[str, int]:
    """A third party at every n-th call: how often it ended how, and anything that was wrong."""
    count, endings = calls(service), dict[str, int]()
    old, new = expected_state(service, third_party, new=False), expected_state(service, third_party, new=True)
    for at in range(0, count, every):
        ending, seen = migrated(service, third_party, at, refused_at=count - 8 if refused else None)
        assert third_party.stays(seen), f"{third_party} at call {at}: it was overwritten"
        wrong = judge(ending, seen, old, new)
        assert not wrong, f"{third_party} at call {at}: {wrong}\n{ending.reason}"
        endings[ending.outcome] = endings.get(ending.outcome, 0) + 1
    return endings


@pytest.mark.parametrize("service", first_of(SERVICES))
def test_a_catalog_edited_between_check_and_do_is_left_alone_and_the_run_goes_back(service: str) -> None:
    catalog = edits(service)[2]
    ending, seen = migrated(service, CATALOG, catalog, refused_at=None)
    assert ending.outcome == "rolled-back"
    assert "services.yaml: someone else changed it since it was read; it was left alone" in ending.reason
    assert seen == expected_state(service, CATALOG, new=False)


@pytest.mark.parametrize(("service", "third_party"), first_of(AT_A_DIRECTOR, 2), ids=str)
def test_a_director_edited_between_check_and_do_is_left_alone_and_the_run_goes_back(
    service: str, third_party: ThirdParty
) -> None:
    director = edits(service)[3]
    ending, seen = migrated(service, third_party, director - 1, refused_at=None)
    assert ending.outcome == "rolled-back"
    assert f"{HOST}: " in ending.reason
    assert "someone else changed it since it was read" in ending.reason
    assert seen == expected_state(service, third_party, new=False)


@pytest.mark.parametrize(("service", "third_party"), first_of(AT_A_DIRECTOR, 2), ids=str)
def test_a_director_edited_after_a_run_is_done_is_told_and_left_alone_by_its_rollback(
    service: str, third_party: ThirdParty
) -> None:
    site, harness = whole(Cuts()), Harness()
    scene = site.scene(BOOK, service)
    assert harness.perform(scene.plan()).outcome == "done"
    third_party.write(site)
    ending = harness.recover(scene.plan(), "rollback")
    assert third_party.stays(site.state)
    told = [
        one.event.finding
        for one in harness.events
        if isinstance(one.event, FindingMade) and one.event.finding.verdict is Verdict.WARN
    ]
    if ending.outcome == "rolled-back":
        assert site.state == expected_state(service, third_party, new=False)
        assert {one.host for one in told if one.check == "changed-by-others"} == {HOST}
        return
    assert ending.outcome in {"refused", "stranded"}
    assert f"{HOST}: " in ending.reason
    assert "changed it since" in ending.reason


@pytest.mark.parametrize("service", first_of(SERVICES))
def test_a_catalog_edited_after_a_run_is_done_loses_the_flag_alone(service: str) -> None:
    site, harness = whole(Cuts()), Harness()
    scene = site.scene(BOOK, service)
    assert harness.perform(scene.plan()).outcome == "done"
    CATALOG.write(site)
    assert harness.recover(scene.plan(), "rollback").outcome == "rolled-back"
    assert site.state == expected_state(service, CATALOG, new=False)


def test_another_services_edit_that_waits_for_a_reload_is_never_loaded_by_a_run_that_ends_done() -> None:
    def edit(site: FakeSite) -> None:
        files = site.directors[HOST].files
        files[OTHER_FILE] = files[OTHER_FILE].replace("DR", "TUN")

    def theirs(state: dict[str, Any]) -> list[str]:
        return [line for line in state[HOST]["rules"] if "10.99.0.3:8081" in line]

    before, ends = theirs(whole(Cuts()).state), set[str]()
    third_party = ThirdParty("edits another service's file", edit, lambda _: True)
    for at in range(0, calls("web"), 7):
        ending, state = migrated("web", third_party, at, refused_at=None)
        assert ending.outcome != "done" or theirs(state) == before, at
        ends.add(ending.outcome)
    assert ends >= {"done", "refused"}


@pytest.mark.parametrize("third_party", first_of(THIRD_PARTIES, 2), ids=str)
@pytest.mark.parametrize("service", first_of(SERVICES))
def test_whenever_somebody_writes_nothing_of_theirs_is_overwritten(
    service: str, third_party: ThirdParty
) -> None:
    assert sweep(service, third_party, 16, refused=False)


@pytest.mark.parametrize("third_party", first_of((OUT, WEIGHT, NOTE, CATALOG)), ids=str)
@pytest.mark.parametrize("service", first_of(SERVICES))
def test_nor_is_it_during_the_rollback(service: str, third_party: ThirdParty) -> None:
    assert "done" not in sweep(service, third_party, 16, refused=True)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("refused", [False, True])
@pytest.mark.parametrize("third_party", THIRD_PARTIES, ids=str)
@pytest.mark.parametrize("service", first_of(SERVICES))
def test_at_any_call_nothing_of_theirs_is_overwritten(
    service: str, third_party: ThirdParty, refused: bool
) -> None:
    assert sweep(service, third_party, 1, refused=refused)
