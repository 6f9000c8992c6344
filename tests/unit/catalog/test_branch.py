"""A catalog in a clone: what is read, what is committed, and what of the operator's is never touched."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from ferryman.catalog import Flipped
from ferryman.catalog.review.branch import GitCatalog, entry_of
from ferryman.catalog.review.git import GitError
from ferryman.config import CatalogConfig
from ferryman.errors import DryRunError, InventoryError, RefusedError, UnreachableError
from unit.catalog.git_world import (
    BASE,
    BRANCH,
    FLAG,
    MESSAGE,
    PATH,
    SERVICES,
    GitWorld,
    git,
)

if TYPE_CHECKING:
    from pathlib import Path


def test_a_file_in_no_clone_is_refused_with_what_to_do(world: GitWorld) -> None:
    world.file.unlink()
    world.file.write_text(SERVICES)
    with pytest.raises(RefusedError, match=r"is in no git clone.*symbolic link to the file in the clone"):
        world.catalog().refresh()


def test_what_git_says_of_a_file_system_of_its_own_stays_in_the_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_lines = "fatal: not a git repository (or any parent up to mount point /)\nStopping at a boundary."
    (tmp_path / "git").write_text(f"#!/bin/sh\necho '{two_lines}' >&2\nexit 128\n")
    (tmp_path / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    catalog = GitCatalog(tmp_path / "services.yaml", CatalogConfig(base=BASE))
    with pytest.raises(RefusedError, match=r"mount point /\) Stopping at a boundary\.; put the inventory's"):
        catalog.base()


def test_a_base_that_is_not_there_is_refused(world: GitWorld) -> None:
    with pytest.raises(RefusedError, match=r"there is no origin/main, which \[catalog\] base names"):
        world.catalog(base="main").base()


def test_a_remote_that_is_not_configured_is_refused(world: GitWorld) -> None:
    with pytest.raises(RefusedError, match="has no remote upstream"):
        world.catalog(remote="upstream").refresh()


def test_a_remote_that_does_not_answer_is_a_doubt(world: GitWorld) -> None:
    world.go_away()
    with pytest.raises(UnreachableError, match="fetch"):
        world.catalog().refresh()


def test_a_base_without_the_file_is_refused(world: GitWorld) -> None:
    git(world.clone, "checkout", "--quiet", "-b", "empty")
    git(world.clone, "rm", "--quiet", PATH)
    git(world.clone, "commit", "--quiet", "-m", "gone")
    catalog = world.catalog(base="empty", remote="", push=False)
    world.file.unlink()
    git(world.clone, "checkout", "--quiet", BASE)
    world.file.symlink_to(world.clone / PATH)
    with pytest.raises(RefusedError, match=f"empty .* has no {PATH}"):
        catalog.entry(catalog.base(), "web")


def test_a_service_that_the_base_does_not_have_is_an_inventory_error(world: GitWorld) -> None:
    with pytest.raises(InventoryError, match="no service is called 'wbe'"):
        world.catalog().entry(f"origin/{BASE}", "wbe")


@pytest.mark.parametrize("content", [b"\xff", b"a: [", b"[1, 2]", b"{}"])
def test_what_is_no_catalog_is_an_inventory_error(content: bytes) -> None:
    with pytest.raises(InventoryError):
        entry_of(content, "web", "services.yaml")


def test_git_that_does_not_know_a_name_is_refused_before_anything_else(
    world: GitWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    with pytest.raises(RefusedError, match=r"git config --global user\.name"):
        world.catalog().require_identity()


def test_a_name_from_the_environment_is_enough(world: GitWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "Olga")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "olga@example.org")
    world.catalog().require_identity()


def test_layout_and_comments_do_not_count_but_the_order_of_sites_does() -> None:
    entry = b"service::catalog:\n  web: {sites: [a, b]}  # here\n"
    assert entry_of(entry, "web", "x") == entry_of(b"service::catalog: {web: {'sites': [a, b]}}", "web", "x")
    assert entry_of(entry, "web", "x") != entry_of(b"service::catalog: {web: {sites: [b, a]}}", "web", "x")


def test_a_commit_has_the_lines_of_the_flag_and_not_one_other_byte(world: GitWorld) -> None:
    world.offered()
    assert git(world.bare, "show", f"{BRANCH}:{PATH}") + "\n" == SERVICES.replace(
        "      scheduler: wrr\n", f"      scheduler: wrr\n{FLAG}", 1
    )
    assert git(world.bare, "diff", "--stat", BASE, BRANCH).splitlines()[-1].strip() == (
        "1 file changed, 1 insertion(+)"
    )


def test_every_other_file_keeps_its_mode_and_its_strange_name(world: GitWorld) -> None:
    strange = world.clone / "hieradata" / "common" / "\u00fc \t\n\udcff"
    strange.write_text("#!/bin/sh\n")
    strange.chmod(0o755)
    (world.clone / "link").symlink_to("README")
    git(world.clone, "add", ".")
    git(world.clone, "commit", "--quiet", "-m", "strange things")
    git(world.clone, "push", "--quiet")
    world.offered()
    assert git(world.bare, "diff", "--name-only", BASE, BRANCH) == PATH


def test_nothing_of_the_operators_is_touched_however_dirty_it_is(world: GitWorld) -> None:
    git(world.clone, "checkout", "--quiet", "-b", "own-work")
    (world.clone / "README").write_text("half done\n")
    git(world.clone, "add", "README")
    (world.clone / "README").write_text("half done, and more\n")
    (world.clone / PATH).write_text(SERVICES + "# a note of my own\n")
    (world.clone / "untracked").write_text("mine\n")
    before = world.operators()
    proposal = world.offered()
    world.merge()
    proposal.look()
    proposal.catalog.fast_forward()
    proposal.withdraw()
    assert world.operators() == before


def test_a_dry_run_reads_and_makes_no_file_at_all(world: GitWorld) -> None:
    before = world.objects()
    catalog = world.dry_run()
    assert FLAG.strip() in catalog.edited(catalog.base(), Flipped("web", "lab")).diff
    for write in (
        catalog.refresh,
        lambda: catalog.heads(BRANCH),
        lambda: catalog.committed(catalog.base(), b"x", MESSAGE),
        lambda: catalog.git.write("update-ref", "refs/heads/x", catalog.base()),
        lambda: catalog.git.try_write("push", "origin", BASE),
    ):
        with pytest.raises(DryRunError):
            write()
    assert world.objects() == before


def test_a_command_that_may_write_is_not_taken_for_one_that_reads(world: GitWorld) -> None:
    with pytest.raises(ValueError, match="git tag may write"):
        world.catalog().git.read("tag", "x")


def test_the_operators_hook_may_add_to_the_message(world: GitWorld) -> None:
    world.hook(world.clone, "commit-msg", 'echo "Change-Id: I0123" >> "$1"')
    world.offered()
    assert "Change-Id: I0123" in git(world.bare, "log", "-1", "--format=%B", BRANCH)


def test_the_operators_hook_may_refuse_the_message_and_then_there_is_no_branch(world: GitWorld) -> None:
    world.hook(world.clone, "commit-msg", "echo no ticket, no commit >&2; exit 1")
    with pytest.raises(GitError, match="no ticket, no commit"):
        world.offered()
    assert world.proposal().commit is None
    assert world.branches == {BASE}


def test_commits_are_signed_where_the_operator_signs(world: GitWorld) -> None:
    key = world.folder / "key"
    world.hook(world.clone, "sign", 'cat >/dev/null; touch "$0".called; exit 1')
    for name, value in (
        ("commit.gpgSign", "true"),
        ("gpg.program", str(world.clone / ".git/hooks/sign")),
        ("user.signingKey", str(key)),
    ):
        git(world.clone, "config", name, value)
    with pytest.raises(GitError, match="gpg failed to sign"):
        world.proposal().propose(MESSAGE)
    assert (world.clone / ".git/hooks/sign.called").exists()


def test_a_clean_tree_on_the_base_follows_it(world: GitWorld) -> None:
    proposal = world.offered()
    world.merge()
    proposal.catalog.refresh()
    assert proposal.catalog.fast_forward() is None
    assert (world.clone / PATH).read_text() == world.text
    assert git(world.clone, "status", "--porcelain") == ""


@pytest.mark.parametrize(
    ("doing", "why"),
    [
        (["checkout", "--quiet", "-b", "own"], "it is on own, not on production"),
        (["checkout", "--quiet", "--detach"], "it is on no branch, not on production"),
        (
            ["commit", "--quiet", "--allow-empty", "-m", "own"],
            "it has commits that are not in origin/production",
        ),
    ],
)
def test_a_tree_that_cannot_follow_is_left_and_says_why(world: GitWorld, doing: list[str], why: str) -> None:
    proposal = world.offered()
    world.merge()
    proposal.catalog.refresh()
    git(world.clone, *doing)
    before = world.operators()
    assert proposal.catalog.fast_forward() == why
    assert world.operators() == before


def test_a_file_that_is_not_tracked_and_in_the_way_is_left(world: GitWorld) -> None:
    world._on_base()
    (world.reviewer / "new").write_text("theirs\n")
    git(world.reviewer, "add", "new")
    git(world.reviewer, "commit", "--quiet", "-m", "a new file")
    world._published()
    (world.clone / "new").write_text("mine\n")
    before = world.operators()
    catalog = world.catalog()
    catalog.refresh()
    assert "would be overwritten" in str(catalog.fast_forward())
    assert world.operators() == before


def test_a_hook_that_calls_ferryman_does_not_lead_it_to_another_repository(
    world: GitWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(world.folder / "elsewhere.git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(world.folder / "index"))
    assert world.catalog().path == PATH
