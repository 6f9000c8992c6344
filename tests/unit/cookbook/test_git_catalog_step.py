"""The flag in a catalog that people review: proposed, waited for, and taken back through the same gate.

People act the moment that the run says what it waits for, so that no test waits for them.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from ferryman.config import Config
from ferryman.cookbook import CatalogFlipped, CatalogMerged, Ferry, Plan, catalog_step
from ferryman.errors import RefusedError, UnreachableError, VerifyError
from ferryman.events import CannotTell, ChangeMade, FindingMade, Occurrence
from ferryman.hosts.fake import FakeHosts
from ferryman.model import Director, Role, Service
from ferryman.state import RunRequest
from ferryman.testing import Becomes, FakeWorld, Harness, Is
from unit.catalog.git_world import BASE, BRANCH, FLAG, PATH, REVERT, SERVICES, GitWorld, git

if TYPE_CHECKING:
    from collections.abc import Callable

    from ferryman.cookbook.steps.git_catalog import ReviewBefore
    from ferryman.engine.plan import Step
    from ferryman.outcomes import RunResult


FLIPPED = SERVICES.replace("scheduler: wrr\n", f"scheduler: wrr\n{FLAG}", 1)
RUN = BRANCH.removeprefix("ferryman/web-lab-")
REQUEST = RunRequest(cookbook="", operator="olga@control", reason="it is time", task="T123", run_id=RUN)
SERVICE = Service(
    name="web",
    site="lab",
    encryption=False,
    lvs_class="low-traffic",
    encapsulated=False,
    virtual_services=(),
    realservers=(),
    directors=(Director("lvs1", Role.PRIMARY, "ipvsadm"),),
)


class People(list["Occurrence"]):
    """Hears everything, and does what it was told to as soon as it hears some words."""

    def __init__(self, does: dict[str, Callable[[], None]]) -> None:
        super().__init__()
        self.does = does

    def append(self, occurrence: Occurrence) -> None:
        super().append(occurrence)
        event = occurrence.event
        if isinstance(event, FindingMade):
            for words in [words for words in self.does if words in event.finding.seen]:
                self.does.pop(words)()

    @property
    def findings(self) -> list[str]:
        """The verdict and the text of each finding, in order."""
        found = [record.event.finding for record in self if isinstance(record.event, FindingMade)]
        return [f"{finding.verdict.value}: {finding.seen}" for finding in found]

    def told(self, words: str) -> bool:
        """Whether a finding had these words."""
        return any(words in finding for finding in self.findings)


@dataclass
class Migration:
    """A plan with the step in it, and more steps where a test needs them."""

    world: GitWorld
    keys: dict[str, object] = field(default_factory=dict)
    more: list[Step] = field(default_factory=list)
    does: dict[str, Callable[[], None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.harness = Harness(events=People(self.does))

    @property
    def people(self) -> People:
        people = self.harness.events
        assert isinstance(people, People)
        return people

    def step(self, *, dry_run: bool = False, resumed: bool = False) -> CatalogMerged:
        """The step, as a new process has it."""
        catalog = self.world.config(**self.keys)
        config = Config(file=self.world.folder / "f", inventory=self.world.file.parent, catalog=catalog)
        ferry = Ferry(config, FakeHosts(), dry_run=dry_run, resumed=resumed, request=REQUEST)
        step = catalog_step(ferry, SERVICE)
        assert isinstance(step, CatalogMerged)
        return step

    def plan(self, *, dry_run: bool = False, resumed: bool = False) -> Plan:
        return Plan([self.step(dry_run=dry_run, resumed=resumed), *self.more], locks=["web"])

    def perform(self) -> RunResult:
        return self.harness.perform(self.plan())

    def resume(self) -> RunResult:
        return self.harness.recover(self.plan(resumed=True), "resume")

    def roll_back(self) -> RunResult:
        return self.harness.recover(self.plan(resumed=True), "rollback")


WAITING = f"waiting for {BRANCH}"
WAITING_BACK = f"waiting for {REVERT}"


def test_it_waits_until_people_have_merged_and_brings_the_clean_tree_along(world: GitWorld) -> None:
    migration = Migration(world, does={WAITING: world.merge})
    ending = migration.perform()
    assert (ending.outcome, ending.exit_code) == ("done", 0), ending.reason
    assert world.text == FLIPPED
    assert world.file.read_text() == FLIPPED
    assert migration.people.told(f"pass: merged: origin/{BASE}")


def test_the_commit_says_run_service_site_reason_task_and_operator(world: GitWorld) -> None:
    assert Migration(world, does={WAITING: world.merge}).perform().outcome == "done"
    assert git(world.bare, "log", "-1", "--format=%B", BRANCH).splitlines() == [
        "web: IPIP encapsulation at lab",
        "",
        "it is time",
        "",
        f"Ferryman-Run: {RUN}",
        "Service: web",
        "Site: lab",
        "Task: T123",
        "Operator: olga@control",
    ]


def test_without_a_remote_the_clones_own_base_is_watched(alone: GitWorld) -> None:
    ending = Migration(alone, does={WAITING: alone.merge}).perform()
    assert ending.outcome == "done", ending.reason
    assert alone.text == FLIPPED


def test_what_is_in_the_base_already_needs_no_proposal(world: GitWorld) -> None:
    world.edit("scheduler: wrr\n", f"scheduler: wrr\n{FLAG}")
    git(world.clone, "pull", "--quiet")
    ending = Migration(world).perform()
    assert ending.reason == "no change needed: all is as wanted, verified"
    assert world.branches == {BASE}


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda world: world.edit("port: 80\n", "port: 81\n"), "the clone is behind"),
        (lambda world: world.file.write_text(SERVICES.replace("wrr", "mh")), "edits of its own"),
        (lambda world: world.go_away(), "does not appear to be a git repository"),
        (lambda world: git(world.clone, "branch", BRANCH), "is a branch already"),
    ],
    ids=["behind", "own edits", "remote away", "branch there"],
)
def test_what_stands_in_the_way_refuses_before_anything_is_changed(
    world: GitWorld, spoil: Callable[[GitWorld], None], said: str
) -> None:
    spoil(world)
    before = world.operators()
    ending = Migration(world).perform()
    assert (ending.outcome, ending.exit_code) == ("refused", 3)
    assert said in ending.reason
    assert world.operators() == before


def test_edits_of_other_services_in_the_working_tree_do_not_matter_and_stay(world: GitWorld) -> None:
    mine = SERVICES.replace("port: 8080", "port: 8090")
    world.file.write_text(mine)
    migration = Migration(world, does={WAITING: world.merge})
    assert migration.perform().outcome == "done"
    assert world.file.read_text() == mine
    assert migration.people.told("warn: the working tree was left as it is: it has changes")


def test_others_merges_in_between_are_told_and_stop_nothing(world: GitWorld) -> None:
    migration = Migration(
        world,
        does={WAITING: lambda: world.edit("port: 8080", "port: 8090"), "moved on to": world.merge},
    )
    assert migration.perform().outcome == "done"
    assert world.text == FLIPPED.replace("port: 8080", "port: 8090")


def test_a_merge_of_another_service_between_the_survey_and_the_commit_stops_nothing(world: GitWorld) -> None:
    migration = Migration(world, does={WAITING: world.merge})

    def confirm(edits: object) -> bool:
        del edits
        world.edit("port: 8080", "port: 8090")
        return True

    runner = replace(migration.harness.runner(), confirm=confirm)
    ending = runner.perform(RunRequest(cookbook="test", operator="tester"), migration.plan())
    assert ending.outcome == "done", ending.reason
    assert world.text == FLIPPED.replace("port: 8080", "port: 8090")


def test_merged_differently_everything_goes_back_through_the_same_gate(world: GitWorld) -> None:
    migration = Migration(
        world,
        does={
            WAITING: lambda: world.merge_differently("scheduler: wrr", "scheduler: mh"),
            WAITING_BACK: lambda: world.merge(REVERT),
        },
    )
    ending = migration.perform()
    assert (ending.outcome, ending.exit_code) == ("rolled-back", 4), ending.reason
    assert "is not what was meant" in ending.reason
    assert "+  scheduler: mh" in ending.reason
    assert world.text == SERVICES.replace("scheduler: wrr", "scheduler: mh", 1)
    assert f"Ferryman-Way-Back: {RUN}" in git(world.bare, "log", "-1", "--format=%B", REVERT)


def test_rejected_it_is_rolled_back_and_leaves_no_branch(world: GitWorld) -> None:
    ending = Migration(world, does={WAITING: world.reject}).perform()
    assert (ending.outcome, ending.exit_code) == ("rolled-back", 4)
    assert "was it rejected?" in ending.reason
    assert (world.text, world.branches) == (SERVICES, {BASE})
    assert git(world.clone, "branch", "--list", "ferryman/*") == ""


def test_an_edit_of_the_same_service_by_someone_else_withdraws_the_proposal(world: GitWorld) -> None:
    ending = Migration(world, does={WAITING: lambda: world.edit("port: 80\n", "port: 81\n")}).perform()
    assert ending.outcome == "rolled-back", ending.reason
    assert "+port: 81" in ending.reason
    assert (world.text, world.branches) == (SERVICES.replace("port: 80\n", "port: 81\n"), {BASE})


def test_a_push_that_is_refused_leaves_nothing_behind(world: GitWorld) -> None:
    world.hook(world.bare, "pre-receive", "echo not on a friday >&2; exit 1")
    ending = Migration(world).perform()
    assert ending.outcome == "rolled-back"
    assert "not on a friday" in ending.reason
    assert git(world.clone, "for-each-ref", "refs/heads/ferryman", "refs/ferryman") == ""


def test_a_remote_that_goes_away_while_it_waits_is_waited_for(world: GitWorld) -> None:
    def back_and_merged() -> None:
        world.come_back()
        world.merge()

    migration = Migration(world, does={WAITING: world.go_away, "cannot be asked": back_and_merged})
    assert migration.perform().outcome == "done"


def test_nobody_merges_for_too_long_the_run_is_held_and_says_what_to_do(world: GitWorld) -> None:
    migration = Migration(world, keys={"merge_timeout": 0})
    held = migration.perform()
    assert (held.outcome, held.exit_code) == ("held", 7)
    assert f"not merged into origin/{BASE} within 0 seconds" in held.reason
    assert f"review {BRANCH} at origin, and merge it into {BASE}" in held.reason
    assert f"ferryman resume {RUN}" in held.reason
    assert f"git push origin --delete {BRANCH}" in held.reason, "the rollback by hand"


def test_a_held_run_goes_on_with_the_same_commit_when_it_is_resumed_days_later(world: GitWorld) -> None:
    migration = Migration(world, keys={"merge_timeout": 0})
    assert migration.perform().outcome == "held"
    commit = git(world.bare, "rev-parse", BRANCH)
    world.edit("port: 8080", "port: 8090")
    assert migration.resume().outcome == "held"
    assert git(world.bare, "rev-parse", BRANCH) == commit
    world.merge()
    world.reject()
    ending = migration.resume()
    assert ending.outcome == "done", ending.reason


@pytest.mark.parametrize("merged", [True, False], ids=["merged", "not merged"])
def test_a_held_run_is_taken_back_whether_it_was_merged_meanwhile_or_not(
    world: GitWorld, merged: bool
) -> None:
    does = {WAITING_BACK: lambda: world.merge(REVERT)}
    migration = Migration(world, keys={"merge_timeout": 0}, does=does)
    assert migration.perform().outcome == "held"
    if merged:
        world.merge()
    migration.keys["merge_timeout"] = 20
    ending = migration.roll_back()
    assert ending.outcome == "rolled-back", ending.reason
    assert world.text == SERVICES
    assert (REVERT in world.branches) == merged
    assert (BRANCH in world.branches) == merged


def test_merged_differently_while_it_was_held_is_seen_when_it_is_resumed(world: GitWorld) -> None:
    migration = Migration(world, keys={"merge_timeout": 0}, does={WAITING_BACK: lambda: world.merge(REVERT)})
    assert migration.perform().outcome == "held"
    world.merge_differently("scheduler: wrr", "scheduler: mh")
    migration.keys["merge_timeout"] = 20
    ending = migration.resume()
    assert ending.outcome == "rolled-back", ending.reason
    assert "is not what was meant" in ending.reason


def test_what_fails_later_takes_the_flag_out_again_on_the_base_of_now(world: GitWorld) -> None:
    broken = FakeWorld(x="broken")
    migration = Migration(world, more=[Is(broken, "x", "whole")])

    def edited_and_merged() -> None:
        world.edit("port: 8080", "port: 8090")
        world.merge(REVERT)

    migration.people.does = {WAITING: world.merge, WAITING_BACK: edited_and_merged}
    ending = migration.perform()
    assert (ending.outcome, ending.exit_code) == ("rolled-back", 4), ending.reason
    assert world.text == SERVICES.replace("port: 8080", "port: 8090")
    assert world.file.read_text() == world.text, "the clean tree follows the rollback too"


def test_a_revert_that_nobody_merges_is_stranded_and_finished_by_the_next_rollback(world: GitWorld) -> None:
    broken = FakeWorld(x="broken")
    migration = Migration(world, more=[Is(broken, "x", "whole")], does={WAITING: world.merge})
    migration.people.does[WAITING_BACK] = lambda: world.reject(REVERT)
    stranded = migration.perform()
    assert (stranded.outcome, stranded.exit_code) == ("stranded", 5), stranded.reason
    assert "was it rejected?" in stranded.reason
    assert "ferryman inventory flip web --site lab --to direct --write" in stranded.reason
    migration.people.does = {WAITING_BACK: lambda: world.merge(REVERT)}
    ending = migration.roll_back()
    assert ending.outcome == "rolled-back", ending.reason
    assert world.text == SERVICES


def interrupted_twice() -> None:
    signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGINT)


def test_a_rollback_that_is_resumed_as_a_migration_warns_of_what_is_still_on_offer(world: GitWorld) -> None:
    broken = FakeWorld(x="broken")
    migration = Migration(world, more=[Is(broken, "x", "whole")], does={WAITING: world.merge})
    migration.people.does[WAITING_BACK] = interrupted_twice
    stranded = migration.perform()
    assert stranded.outcome == "stranded", stranded.reason
    assert REVERT in world.branches
    broken.values["x"] = "whole"
    ending = migration.resume()
    assert ending.outcome == "done", ending.reason
    assert migration.people.told(f"warn: {REVERT} is still on offer")


def test_a_run_that_is_done_is_taken_back_days_later(world: GitWorld) -> None:
    migration = Migration(world, does={WAITING: world.squash, WAITING_BACK: lambda: world.merge(REVERT)})
    assert migration.perform().outcome == "done"
    world.reject()
    git(world.clone, "branch", "-D", BRANCH)
    ending = migration.roll_back()
    assert ending.outcome == "rolled-back", ending.reason
    assert world.text == SERVICES


def test_a_run_that_is_done_and_was_changed_since_is_not_taken_back(world: GitWorld) -> None:
    migration = Migration(world, does={WAITING: world.squash})
    assert migration.perform().outcome == "done"
    world.edit("scheduler: wrr", "scheduler: mh")
    ending = migration.roll_back()
    assert ending.outcome == "refused", ending.reason
    assert "+  scheduler: mh" in ending.reason


def test_a_dry_run_asks_no_remote_so_it_cannot_tell_and_shows_diff_branch_and_message(
    world: GitWorld,
) -> None:
    before = world.objects(), world.branches
    migration = Migration(world)
    world.go_away()
    ending = migration.harness.perform(migration.plan(dry_run=True), dry_run=True)
    world.come_back()
    assert ending.outcome == "done", ending.reason
    assert (world.objects(), world.branches) == before
    told = next(record.event for record in migration.people if isinstance(record.event, CannotTell))
    assert told.before.startswith("origin/production is fetched: this is on top of the last fetch (")
    assert f"+{FLAG}" in str(told.edits[0].diff)
    assert str(told.edits[0].target) == str(world.clone / PATH)
    assert f"Ferryman-Run: {RUN}" in str(told.edits[1].command)
    assert told.edits[2].command == f"git push origin {BRANCH}"
    assert not any(isinstance(record.event, ChangeMade) for record in migration.people)
    assert migration.people.told("skip: as of the last fetch")


def test_another_control_host_goes_on_with_it_from_a_clone_of_its_own(world: GitWorld) -> None:
    migration = Migration(world, keys={"merge_timeout": 0})
    assert migration.perform().outcome == "held"
    git(world.folder, "clone", "--quiet", str(world.bare), "second")
    world.file.unlink()
    world.file.symlink_to(world.folder / "second" / PATH)
    world.merge()
    ending = migration.resume()
    assert ending.outcome == "done", ending.reason
    migration.keys["merge_timeout"] = 20
    migration.people.does = {WAITING_BACK: lambda: world.merge(REVERT)}
    ending = migration.roll_back()
    assert ending.outcome == "rolled-back", ending.reason
    assert world.text == SERVICES


def test_ctrl_c_while_it_waits_withdraws_it(world: GitWorld) -> None:
    migration = Migration(world, does={WAITING: lambda: signal.raise_signal(signal.SIGINT)})
    ending = migration.perform()
    assert (ending.outcome, ending.exit_code) == ("interrupted", 130), ending.reason
    assert (world.text, world.branches) == (SERVICES, {BASE})


def test_changes_before_it_go_back_too(world: GitWorld) -> None:
    other = FakeWorld(x="old")
    migration = Migration(world, does={WAITING: world.reject})
    plan = Plan([Becomes(other, "x", "new"), migration.step()])
    assert migration.harness.perform(plan).outcome == "rolled-back"
    assert other.values == {"x": "old"}


def test_the_catalog_is_no_lock_that_runs_wait_days_for(world: GitWorld) -> None:
    ferry = Migration(world).step().ferry
    assert ferry.writes(SERVICE) == ["director lvs1"]


def test_the_run_s_name_and_reason_are_no_part_of_what_the_plan_is(world: GitWorld) -> None:
    migration = Migration(world)
    step = migration.step()
    another = replace(step.ferry, request=RunRequest(cookbook="", operator="somebody", run_id="another"))
    plans = [Plan([step]), Plan([replace(step, ferry=another)])]
    assert plans[0].fingerprint == plans[1].fingerprint


def test_without_a_base_it_is_the_file_in_place(world: GitWorld) -> None:
    config = Config(file=world.folder / "f", inventory=world.file.parent)
    assert isinstance(catalog_step(Ferry(config, FakeHosts()), SERVICE), CatalogFlipped)


class SilentReport:
    def finding(self, finding: object) -> None: ...
    def probe(self, result: object) -> None: ...


def before_of(migration: Migration) -> ReviewBefore:
    """The before as the journal has it."""
    (intent,) = [
        record
        for record in migration.harness.journal.show(migration.harness.journal.runs()[0].id)
        if record.kind == "intent"
    ]
    before: ReviewBefore = intent.payload["before"]
    return before


def test_what_was_merged_and_taken_back_since_does_not_stand(world: GitWorld) -> None:
    migration = Migration(world, does={WAITING: world.merge})
    assert migration.perform().outcome == "done"
    step, before = migration.step(resumed=True), before_of(migration)
    step.verify_again(before, SilentReport())
    world.edit(FLAG, "")
    with pytest.raises(VerifyError, match=f"{BRANCH}: was merged and taken back"):
        step.verify_again(before, SilentReport())
    world.go_away()
    with pytest.raises(UnreachableError):
        step.verify_again(before, SilentReport())


def test_a_proposal_is_an_effect_while_it_can_be_merged_and_once_it_is(world: GitWorld) -> None:
    migration = Migration(world, keys={"merge_timeout": 0})
    step = migration.step()
    assert step.effect_seen(None, SilentReport()) is None
    assert migration.perform().outcome == "held"
    before = before_of(migration)
    for known in (before, None):
        assert f"{BRANCH} is on offer, and can be merged" in str(step.effect_seen(known, SilentReport()))
    world.merge()
    assert f"by {BRANCH}" in str(step.effect_seen(before, SilentReport()))


def test_a_branch_is_found_again_by_the_before_whatever_branches_are_called_by_now(world: GitWorld) -> None:
    migration = Migration(world, does={WAITING: world.merge})
    assert migration.perform().outcome == "done"
    migration.keys["branch"] = "other/{run}"
    migration.people.does = {WAITING_BACK: lambda: world.merge(REVERT)}
    ending = migration.roll_back()
    assert ending.outcome == "rolled-back", ending.reason
    assert world.text == SERVICES


def test_a_revert_that_cannot_be_made_is_known_before_anything_is_restored(world: GitWorld) -> None:
    migration = Migration(world, does={WAITING: world.merge})
    assert migration.perform().outcome == "done"
    step, before = migration.step(resumed=True), before_of(migration)
    step.require_undoable(before, SilentReport())
    git(world.clone, "branch", REVERT)
    with pytest.raises(RefusedError, match=f"{REVERT}: is a branch already"):
        step.require_undoable(before, SilentReport())
    world.go_away()
    with pytest.raises(UnreachableError):
        step.require_undoable(before, SilentReport())


def test_what_is_told_as_taken_back_is_what_git_was_told(world: GitWorld) -> None:
    migration = Migration(world, keys={"merge_timeout": 0})
    assert migration.perform().outcome == "held"
    step, before = migration.step(resumed=True), before_of(migration)
    (edit,) = step.undo(before)
    assert edit.command == f"git push origin --delete {BRANCH}\ngit branch -D {BRANCH}"
    assert list(step.undo(before)) == []
