"""Another scheduler in the catalog, in the file in place and under review: there, and back to the byte."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from ferryman.config import Config
from ferryman.cookbook import CatalogRescheduled, Ferry, Plan, Verdict, scheduled, scheduler_catalog_step
from ferryman.cookbook.steps.git_catalog import ReschedulingMerged
from ferryman.cookbook.steps.scheduler import SchedulerImpact
from ferryman.events import FindingMade
from ferryman.hosts.fake import FakeHosts
from ferryman.testing import Harness
from unit.catalog.git_world import BRANCH, REVERT, SERVICES, GitWorld, git
from unit.cookbook.test_git_catalog_step import SERVICE, WAITING, WAITING_BACK, Migration

if TYPE_CHECKING:
    from pathlib import Path

MH = scheduled("mh", ["mh-port"])
RESCHEDULED = SERVICES.replace("scheduler: wrr\n", "scheduler: mh\n      scheduler_flag: mh-port\n", 1)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    found = tmp_path / "services.yaml"
    found.write_text(SERVICES)
    return found


def in_place(file: Path) -> CatalogRescheduled:
    config = Config(file=file.parent / "ferryman.toml", inventory=file.parent)
    step = scheduler_catalog_step(Ferry(config, FakeHosts()), SERVICE, MH)
    assert isinstance(step, CatalogRescheduled)
    return step


def test_it_is_written_seen_to_be_so_already_and_put_back_to_the_byte(file: Path) -> None:
    harness = Harness()
    assert harness.perform(Plan([in_place(file)])).outcome == "done"
    assert file.read_text() == RESCHEDULED
    assert Harness().perform(Plan([in_place(file)])).reason.startswith("no change needed")
    assert harness.recover(Plan([in_place(file)]), "rollback").outcome == "rolled-back"
    assert file.read_text() == SERVICES


def test_what_somebody_else_wrote_into_the_file_meanwhile_stays_there_during_the_rollback(file: Path) -> None:
    step, harness = in_place(file), Harness()
    assert harness.perform(Plan([step])).outcome == "done"
    file.write_text(RESCHEDULED.replace("port: 8080", "port: 8081"))
    step.undo({"sha256": "", "text": SERVICES})
    assert file.read_text() == SERVICES.replace("port: 8080", "port: 8081")


def test_the_other_sites_that_it_counts_for_are_told_of(file: Path) -> None:
    harness = Harness()
    step = in_place(file)
    harness.perform(Plan([SchedulerImpact(step.ferry, replace(SERVICE, directors=()), MH)]), dry_run=True)
    found = [one.event.finding for one in harness.events if isinstance(one.event, FindingMade)]
    assert [(one.check, one.verdict, one.remedy) for one in found] == [
        ("scheduler-sites", Verdict.WARN, "run the same there next: far")
    ]


@dataclass
class Rescheduling(Migration):
    """A plan with another scheduler under review."""

    def step(self, *, dry_run: bool = False, resumed: bool = False) -> ReschedulingMerged:  # type: ignore[override]
        ferry = super().step(dry_run=dry_run, resumed=resumed).ferry
        step = scheduler_catalog_step(ferry, SERVICE, MH)
        assert isinstance(step, ReschedulingMerged)
        return step


def test_under_review_it_is_merged_and_taken_back_through_the_same_gate(world: GitWorld) -> None:
    does = {WAITING: world.merge, WAITING_BACK: lambda: world.merge(REVERT)}
    migration = Rescheduling(world, does=does)
    assert migration.perform().outcome == "done"
    assert world.text == RESCHEDULED
    assert git(world.bare, "log", "-1", "--format=%s", BRANCH) == "web: scheduler mh mh-port"
    ending = migration.roll_back()
    assert ending.outcome == "rolled-back", ending.reason
    assert world.text == SERVICES


def test_during_the_rollback_what_others_made_of_the_service_is_theirs_to_keep(world: GitWorld) -> None:
    migration = Rescheduling(world, keys={"merge_timeout": 0})
    assert migration.perform().outcome == "held"
    world.merge_differently("port: 80\n", "port: 81\n")
    migration.keys["merge_timeout"] = 20
    migration.people.does = {WAITING_BACK: lambda: world.merge(REVERT)}
    ending = migration.resume()
    assert ending.outcome == "rolled-back", ending.reason
    assert world.text == SERVICES.replace("port: 80\n", "port: 81\n")
