"""A flip on its way through review: merged in every way there is, merged otherwise, turned down."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ferryman.catalog import Proposal, ReviewStatus, TakenBack
from ferryman.catalog.review.git import GitError
from ferryman.errors import (
    DoubtError,
    InventoryError,
    RefusedError,
    UnknownOutcomeError,
    UnreachableError,
    VerifyError,
    WorldChangedError,
)
from tools import first_of
from unit.catalog.git_world import BASE, BRANCH, FLAG, MESSAGE, PATH, REVERT, GitWorld, git

if TYPE_CHECKING:
    from collections.abc import Callable

WITH_FLAG = f"scheduler: wrr\n{FLAG}"


@pytest.fixture(params=first_of(["with a remote", "in one clone"]))
def place(request: pytest.FixtureRequest) -> GitWorld:
    name = "world" if request.param == "with a remote" else "alone"
    world: GitWorld = request.getfixturevalue(name)
    return world


def seen(proposal: Proposal) -> ReviewStatus:
    return proposal.look().status


@pytest.mark.parametrize(
    "merged",
    [
        lambda world: world.merge(),
        lambda world: world.merge(BRANCH, "--ff-only"),
        lambda world: world.squash(),
        lambda world: world.rebase(),
    ],
    ids=["merge commit", "fast-forward", "squash", "cherry-pick"],
)
def test_it_is_merged_however_people_merge(place: GitWorld, merged: Callable[[GitWorld], None]) -> None:
    proposal = place.offered()
    assert seen(proposal) is ReviewStatus.WAITING
    merged(place)
    assert seen(proposal) is ReviewStatus.MERGED


@pytest.mark.parametrize("merged", ["squash", "rebase", "merge"])
def test_it_is_merged_although_others_edited_other_services_meanwhile(place: GitWorld, merged: str) -> None:
    proposal = place.offered()
    place.edit("port: 8080", "port: 8090")
    assert seen(proposal) is ReviewStatus.WAITING
    getattr(place, merged)()
    place.edit("port: 8090", "port: 8091")
    assert seen(proposal) is ReviewStatus.MERGED


def test_it_is_merged_though_its_branch_is_deleted_at_once(place: GitWorld) -> None:
    proposal = place.offered()
    place.squash()
    place.reject()
    assert seen(proposal) is ReviewStatus.MERGED


def test_merged_with_another_scheduler_is_not_what_was_meant(place: GitWorld) -> None:
    proposal = place.offered()
    place.merge_differently("scheduler: wrr", "scheduler: mh")
    look = proposal.look()
    assert look.status is ReviewStatus.OTHERWISE
    assert "-  scheduler: wrr" in look.difference
    assert "+  scheduler: mh" in look.difference


def test_merged_for_another_site_is_not_what_was_meant(place: GitWorld) -> None:
    proposal = place.offered()
    place.merge_differently(FLAG, FLAG.replace("lab", "far"))
    assert seen(proposal) is ReviewStatus.OTHERWISE


def test_merged_in_another_layout_is_what_was_meant(place: GitWorld) -> None:
    proposal = place.offered()
    place.merge_differently(FLAG, "      ipip_encapsulation:  # soon everywhere\n        - 'lab'\n")
    assert seen(proposal) is ReviewStatus.MERGED


def test_an_edit_of_the_same_service_by_someone_else_is_seen_before_any_merge(place: GitWorld) -> None:
    proposal = place.offered()
    place.edit("scheduler: wrr", "scheduler: mh")
    assert seen(proposal) is ReviewStatus.OTHERWISE


def test_a_merge_that_keeps_nothing_of_it_is_told_from_waiting(place: GitWorld) -> None:
    proposal = place.offered()
    place.merge_differently(FLAG, "")
    assert seen(proposal) is ReviewStatus.TAKEN_BACK


def test_what_was_merged_and_reverted_is_told_from_waiting_even_by_the_next_process(place: GitWorld) -> None:
    assert seen(place.offered()) is ReviewStatus.WAITING
    place.squash()
    assert seen(place.proposal()) is ReviewStatus.MERGED
    place.take_back()
    assert seen(place.proposal()) is ReviewStatus.TAKEN_BACK


def test_a_branch_that_was_deleted_is_gone_for_the_next_process_too(place: GitWorld) -> None:
    place.offered()
    place.reject()
    assert seen(place.proposal()) is ReviewStatus.GONE


def test_a_service_that_was_removed_meanwhile_is_an_inventory_error(place: GitWorld) -> None:
    proposal = place.offered()
    place.edit("  web:", "  wab:")
    with pytest.raises(InventoryError, match="no service is called 'web'"):
        proposal.look()


def test_a_base_that_is_gone_is_a_doubt(world: GitWorld) -> None:
    proposal = world.offered()
    git(world.bare, "update-ref", "-d", f"refs/heads/{BASE}")
    with pytest.raises(DoubtError, match=f"origin/{BASE} is gone"):
        proposal.look()


def test_a_remote_that_went_away_is_a_doubt_and_one_that_came_back_is_none(world: GitWorld) -> None:
    proposal = world.offered()
    world.go_away()
    with pytest.raises(UnreachableError, match="ls-remote"):
        proposal.look()
    world.come_back()
    assert seen(proposal) is ReviewStatus.WAITING


def test_a_push_that_a_hook_of_the_remote_refuses_says_so(world: GitWorld) -> None:
    world.hook(world.bare, "pre-receive", "echo not on a friday >&2; exit 1")
    with pytest.raises(VerifyError, match=r"(?s)origin has no such branch.*not on a friday"):
        world.offered()


def test_a_push_that_the_operators_own_hook_refuses_says_so(world: GitWorld) -> None:
    world.hook(world.clone, "pre-push", "echo tests first >&2; exit 1")
    with pytest.raises(VerifyError, match="tests first"):
        world.offered()


def test_a_push_to_a_remote_that_is_away_is_a_doubt(world: GitWorld) -> None:
    proposal = world.proposal()
    proposal.propose(MESSAGE)
    world.go_away()
    with pytest.raises(UnknownOutcomeError, match="cannot be asked"):
        proposal.offer()


def test_a_push_whose_answer_was_lost_is_found_out_and_not_made_again(world: GitWorld) -> None:
    # the hook is called once the branch is there, and ends the command before it can say so
    world.hook(world.bare, "post-update", "kill -9 $(ps -o ppid= -p $PPID) $PPID")
    proposal = world.offered()
    assert proposal.was_pushed
    assert BRANCH in world.branches


def test_killed_between_the_commit_and_the_push_it_is_the_same_commit_that_is_pushed(world: GitWorld) -> None:
    commit = world.proposal().propose(MESSAGE)
    again = world.proposal()
    again.offer()
    assert git(world.bare, "rev-parse", BRANCH) == commit == again.commit


def test_killed_between_the_push_and_its_note_nothing_is_pushed_twice(world: GitWorld) -> None:
    world.offered()
    git(world.clone, "update-ref", "-d", f"refs/ferryman/pushed/{BRANCH}")
    again = world.proposal()
    again.offer()
    assert again.was_pushed


def test_a_rejected_branch_is_not_pushed_again(world: GitWorld) -> None:
    world.offered()
    world.reject()
    world.proposal().offer()
    assert world.branches == {BASE}


def test_without_push_the_branch_stays_here_and_is_merged_when_people_push_it(world: GitWorld) -> None:
    proposal = world.offered(push=False)
    assert world.branches == {BASE}
    assert seen(proposal) is ReviewStatus.WAITING
    git(world.clone, "push", "--quiet", "origin", BRANCH)
    assert seen(proposal) is ReviewStatus.WAITING
    world.merge()
    assert seen(proposal) is ReviewStatus.MERGED


def test_somebody_elses_branch_of_that_name_is_refused_here(place: GitWorld) -> None:
    git(place.clone, "branch", BRANCH)
    with pytest.raises(RefusedError, match=r"is a branch already, at [0-9a-f]{12}"):
        place.proposal().require_free()
    with pytest.raises(GitError, match="reference already exists"):
        place.proposal().propose(MESSAGE)
    assert place.proposal().commit is None


def test_somebody_elses_branch_of_that_name_is_refused_on_the_remote(world: GitWorld) -> None:
    git(world.reviewer, "push", "--quiet", "origin", f"HEAD:refs/heads/{BRANCH}")
    with pytest.raises(RefusedError, match="origin has it already"):
        world.proposal().require_free()
    before = git(world.bare, "rev-parse", BRANCH)
    with pytest.raises(VerifyError, match="was not pushed: origin has"):
        world.offered()
    assert git(world.bare, "rev-parse", BRANCH) == before


def test_a_name_that_is_no_branch_is_refused(world: GitWorld) -> None:
    with pytest.raises(RefusedError, match=r"is no name for a branch; see \[catalog\] branch"):
        replace(world.proposal(), branch="web..lab").require_free()


def test_withdrawn_nothing_is_left_here_or_there(place: GitWorld) -> None:
    before = place.operators(), place.branches
    proposal = place.offered()
    proposal.withdraw()
    proposal.withdraw()
    proposal.forget()
    assert (place.operators(), place.branches) == before
    assert git(place.clone, "for-each-ref", "refs/ferryman") == ""


def test_a_branch_that_others_put_more_on_is_left_alone(world: GitWorld) -> None:
    proposal = world.offered()
    git(world.reviewer, "fetch", "--quiet")
    git(world.reviewer, "checkout", "--quiet", BRANCH)
    git(world.reviewer, "commit", "--quiet", "--allow-empty", "-m", "one thing more")
    git(world.reviewer, "push", "--quiet")
    assert seen(proposal) is ReviewStatus.WAITING
    with pytest.raises(WorldChangedError, match="others have put more on it"):
        proposal.withdraw()
    assert BRANCH in world.branches
    assert proposal.left_on_offer()


def test_a_remote_that_keeps_branches_says_that_it_may_still_be_merged(world: GitWorld) -> None:
    proposal = world.offered()
    git(world.bare, "config", "receive.denyDeletes", "true")
    with pytest.raises(VerifyError, match=rf"may still be merged: git -C .* --delete {BRANCH}"):
        proposal.withdraw()


def test_a_branch_that_the_operator_looks_at_is_not_pulled_from_under_them(alone: GitWorld) -> None:
    proposal = alone.offered()
    git(alone.clone, "checkout", "--quiet", BRANCH)
    before = alone.operators()
    with pytest.raises(GitError, match="checked out"):
        proposal.withdraw()
    assert alone.operators() == before


def test_the_rollback_is_merged_whatever_else_others_made_of_the_service(place: GitWorld) -> None:
    proposal = place.offered()
    place.merge_differently("scheduler: wrr", "scheduler: mh")
    assert seen(proposal) is ReviewStatus.OTHERWISE
    revert = TakenBack(proposal.edit, proposal.catalog.content(f"{proposal.commit}^"))
    back = replace(place.proposal(), edit=revert, branch=REVERT)
    back.propose("back\n")
    back.offer()
    assert seen(back) is ReviewStatus.WAITING
    place.edit("state: production", "state: lvs_setup")
    assert seen(back) is ReviewStatus.WAITING
    place.merge(REVERT)
    assert seen(back) is ReviewStatus.MERGED
    assert "ipip_encapsulation" not in place.text
    assert "scheduler: mh" in place.text
    assert "state: lvs_setup" in place.text


def second_host(world: GitWorld) -> Proposal:
    """The same run, as another control host sees it from a clone of its own."""
    other = replace(world.proposal(), catalog=GitWorld(world.folder).catalog())
    clone = world.folder / "second"
    git(world.folder, "clone", "--quiet", str(world.bare), str(clone))
    other.catalog.file = clone / PATH
    return other


TRAILER = MESSAGE.splitlines()[-1]


def test_another_control_host_finds_the_branch_by_the_run(world: GitWorld) -> None:
    proposal = world.offered()
    other = second_host(world)
    other.adopt(TRAILER)
    assert other.commit == proposal.commit
    assert other.was_pushed


def test_another_control_host_finds_what_was_merged_by_the_run(world: GitWorld) -> None:
    proposal = world.offered()
    world.merge()
    world.reject()
    other = second_host(world)
    other.adopt(TRAILER)
    assert other.commit == proposal.commit
    assert other.was_merged


def test_another_control_host_takes_nothing_for_the_runs_that_is_not(world: GitWorld) -> None:
    git(world.reviewer, "push", "--quiet", "origin", f"HEAD:refs/heads/{BRANCH}")
    other = second_host(world)
    other.adopt(TRAILER)
    assert other.commit is None
