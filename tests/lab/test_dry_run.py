"""What a dry run foretells is what the run then does, in the same order, with every kind of director."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

import pytest

from lab.liberica_site import LibericaSite
from lab.migration import events
from lab.pybal_site import PybalSite
from lab.test_command_driver import FLIP, KEYS
from lab.test_git_catalog import Review, review

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from subprocess import CompletedProcess

    from lab.running import RunningLab

__all__ = ["review"]

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]  # whole migrations, on a guest of one CPU

SERVICES = ("web", "maps", "static", "k8s-ingress-staging")
ENCAPSULATED = "search"
RUN_S = 400.0
WEIGHS = "ipvsadm -e -t 10.99.0.3:8081 -r 10.10.0.21:8081 -g -w"
RUN = "<run>"

Event = dict[str, Any]


def migrated(lab: RunningLab, *arguments: str) -> list[Event]:
    """The events of a migration that ended well."""
    return ended_well(lab.ferryman("--output", "json", *arguments, "--site", "lab", "--yes", timeout_s=RUN_S))


def foretold_by(lab: RunningLab, *arguments: str) -> list[Event]:
    """The events of the dry run."""
    return ended_well(
        lab.ferryman("--output", "json", *arguments, "--site", "lab", "--dry-run", timeout_s=RUN_S)
    )


def ended_well(done: CompletedProcess[str]) -> list[Event]:
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    return events(done)


def put_back(lab: RunningLab, run: list[Event]) -> None:
    done = lab.ferryman("rollback", str(run[0]["run"]), timeout_s=RUN_S)
    assert done.returncode == 0, done.stdout + done.stderr


def edit_of(event: Event, run: str) -> tuple[str, str, str]:
    text = event.get("diff") or event["command"]
    return event["kind"], event["target"], text.replace(run, RUN)


def foretold(dry_run: list[Event]) -> list[tuple[int, str, list[tuple[str, str, str]]]]:
    """Of each change of the plan, in order: its step, what was said of it, and the edits."""
    said: list[tuple[int, str, list[tuple[str, str, str]]]] = []
    run = dry_run[0]["run"]
    for event in dry_run:
        match event["event"]:
            case "change":
                assert event["applied"] is False
                if not said or said[-1][:2] != (event["step"], "change"):
                    said.append((event["step"], "change", []))
                said[-1][2].append(edit_of(event, run))
            case "no-change":
                assert event["reason"]
                said.append((event["step"], "no-change", []))
            case "cannot-tell":
                assert event["before"]
                said.append((event["step"], "cannot-tell", [edit_of(edit, run) for edit in event["edits"]]))
    return said


def made(run: list[Event]) -> dict[int, list[tuple[str, str, str]]]:
    """By step: the edits that were made, in order."""
    by_step: dict[int, list[tuple[str, str, str]]] = {}
    for event in run:
        if event["event"] == "change":
            assert event["applied"] is True
            by_step.setdefault(event["step"], []).append(edit_of(event, run[0]["run"]))
    return by_step


def changes_of(run: list[Event]) -> set[int]:
    """The steps of the plan that are changes: they are verified."""
    return {event["step"] for event in run if event["event"] == "step-started" and event["phase"] == "verify"}


def as_foretold(dry_run: list[Event], run: list[Event]) -> list[str]:
    """Compare them, and return what was said of each change."""
    said, really = foretold(dry_run), made(run)
    steps = [step for step, _, _ in said]
    assert steps == sorted(set(steps)), "each change has exactly one answer, in the plan's order"
    assert set(steps) == changes_of(run)
    for step, answer, edits in said:
        if answer == "cannot-tell":
            assert set(really.get(step, [])) <= set(edits)
        else:
            assert really.get(step, []) == edits
    compared = [event for event in run if event["event"] == "foretold"]
    assert [(event["dry_run"], event["differences"]) for event in compared] == [(dry_run[0]["run"], [])]
    return [answer for _, answer, _ in said]


@pytest.mark.parametrize("service", SERVICES)
def test_a_migration_makes_what_its_dry_run_foretold(
    lab: RunningLab, old_world: dict[str, str], service: str
) -> None:
    assert old_world
    dry_run = foretold_by(lab, "migrate", service)
    run = migrated(lab, "migrate", service)
    said = as_foretold(dry_run, run)
    # Only how long clients keep their connections, and so the host routes, is not known beforehand.
    assert said == [*["change"] * 2, "change", *["change"] * 2, *["cannot-tell"] * 2]
    again = foretold_by(lab, "migrate", service)
    assert {answer for _, answer, _ in foretold(again)} == {"no-change"}
    put_back(lab, run)


def test_of_a_service_that_is_encapsulated_it_says_that_no_change_is_needed(lab: RunningLab) -> None:
    dry_run = foretold_by(lab, "migrate", ENCAPSULATED)
    run = migrated(lab, "migrate", ENCAPSULATED)
    assert set(as_foretold(dry_run, run)) == {"no-change"}


def test_another_scheduler_is_set_as_foretold(lab: RunningLab, old_world: dict[str, str]) -> None:
    assert old_world
    words = ("scheduler", "migrate", "static", "--to", "mh", "--flag", "mh-port")
    dry_run = foretold_by(lab, *words)
    run = migrated(lab, *words)
    assert as_foretold(dry_run, run) == ["change"] * 3
    put_back(lab, run)


@pytest.mark.parametrize("kind", [PybalSite, LibericaSite], ids=["pybal", "liberica"])
def test_of_directors_that_follow_the_catalog_it_cannot_tell_which_commands_are_left(
    lab: RunningLab, kind: type[PybalSite | LibericaSite]
) -> None:
    site = kind(lab)
    site.provision(**({"drain": 0} if kind is PybalSite else {}))
    try:
        dry_run = foretold_by(lab, "migrate", "maps")
        run = migrated(lab, "migrate", "maps")
        said = as_foretold(dry_run, run)
        assert said == [*["change"] * 3, *["cannot-tell"] * 4]
        put_back(lab, run)
    finally:
        site.clear()


@pytest.fixture
def with_commands(lab: RunningLab) -> Iterator[None]:
    """The service ``static`` has directors that the operator's own commands change."""
    lab.console("rt", f"printf %s {shlex.quote(FLIP)} >/usr/local/sbin/flip; chmod +x /usr/local/sbin/flip")
    directors = lab.folder / "inventory" / "directors.yaml"
    keys = "".join(f"      {key}: {json.dumps(value)}\n" for key, value in KEYS.items())
    directors.write_text(
        directors.read_text().replace("      driver: ipvsadm\n", f"      driver: command\n{keys}")
    )
    yield
    lab.console("rt", "rm /usr/local/sbin/flip")


@pytest.mark.usefixtures("with_commands")
def test_the_operators_own_commands_run_as_foretold(lab: RunningLab, old_world: dict[str, str]) -> None:
    assert old_world
    dry_run = foretold_by(lab, "migrate", "static")
    run = migrated(lab, "migrate", "static")
    as_foretold(dry_run, run)
    put_back(lab, run)


def test_a_catalog_that_people_review_is_proposed_as_foretold_as_far_as_the_last_fetch_tells(
    review: Review,
) -> None:
    words = ("migrate", "static", "--reason", "it is time", "--task", "T123")
    dry_run = foretold_by(review.lab, *words)
    status, run = review.migrate(review.merge)
    assert status == 0, run[-1]
    said = as_foretold(dry_run, run)
    assert said == [*["change"] * 2, "cannot-tell", *["change"] * 2, *["cannot-tell"] * 2]
    _merge_back(review, run[0]["run"])


def _merge_back(review: Review, run: str) -> None:
    file: Path = review.lab.folder / "ferryman.toml"
    file.write_text(file.read_text().replace("merge_timeout = 60", "merge_timeout = 0"))
    assert review.lab.ferryman("rollback", run).returncode == 5
    review.merge(f"ferryman/static-lab-{run}-revert")
    assert review.lab.ferryman("rollback", run).returncode == 0


def test_a_run_says_where_it_went_differently(lab: RunningLab, old_world: dict[str, str]) -> None:
    assert old_world
    dry_run = foretold_by(lab, "migrate", "static")
    lab.console("lvs2", f"{WEIGHS} 7")
    run = migrated(lab, "migrate", "static")
    put_back(lab, run)
    lab.console("lvs2", f"{WEIGHS} 1")
    compared = next(event for event in run if event["event"] == "foretold")
    assert compared["dry_run"] == dry_run[0]["run"]
    assert compared["age_seconds"] > 0
    verdict, edit = compared["differences"]
    assert [verdict[key] for key in ("difference", "target", "foretold", "found")] == [
        *("verdict", "ipvs-table lvs2", "pass", "warn")
    ]
    assert (edit["difference"], edit["target"]) == ("other-edit", "lvs2")
    assert (edit["foretold"].split("-w")[1][:2], edit["found"].split("-w")[1][:2]) == (" 1", " 7")
