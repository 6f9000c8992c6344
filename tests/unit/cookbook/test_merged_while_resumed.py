"""People merge a proposal while its own run is resumed: at each moment of that it is the run's own.

git is real. The merge falls right before a command of git that could see it; each such command has its turn.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import pytest

from ferryman.catalog import GitCatalog
from ferryman.catalog.review.git import Git
from ferryman.config import Config
from ferryman.cookbook import Ferry, Plan, catalog_step
from ferryman.hosts.fake import FakeHosts
from tools import first_of
from unit.catalog.git_world import PATH, REVERT, GitWorld, git, made
from unit.cookbook.test_git_catalog_step import FLIPPED, REQUEST, SERVICE, WAITING, Migration

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ferryman.catalog.review.git import GitResult
    from ferryman.outcomes import RunResult


SEEING = {"fetch", "ls-remote", "push"}
"""The commands that see what people did at a remote."""
SEEING_HERE = {"cat-file", "merge-base"}
"""Without a remote: those that come between two looks at what people did in the clone."""


@dataclass
class Moment:
    """What people do once so many commands have been given that could see it."""

    migration: Migration
    after: int
    does: Callable[[GitWorld], None]
    given: list[str] = field(default_factory=list)
    waited: bool = False
    """Whether the run was waiting for them by then."""

    def look(self, command: str) -> None:
        """Have people merge, if it is this moment's turn."""
        world = self.migration.world
        if len(self.given) > self.after or command not in (SEEING if world.with_remote else SEEING_HERE):
            return
        self.given.append(command)
        if len(self.given) > self.after:
            self.waited = self.migration.people.told(WAITING)
            self.does(world)


@dataclass(frozen=True)
class WatchedGit(Git):
    moment: Moment | None = None

    def _run(self, command: tuple[str, ...], stdin: bytes, limit_s: float, *, finish: bool) -> GitResult:
        assert self.moment
        self.moment.look(command[0])
        return super()._run(command, stdin, limit_s, finish=finish)


class WatchedCatalog(GitCatalog):
    moment: Moment

    @cached_property
    def git(self) -> Git:
        plain = super().git
        return WatchedGit(plain.folder, plain.dry_run, plain.remote_s, self.moment)


class WatchedFerry(Ferry):
    moment: Moment

    @cached_property
    def git_catalog(self) -> GitCatalog:
        catalog = WatchedCatalog(self.config.inventory / "services.yaml", self.config.catalog)
        catalog.moment = self.moment
        return catalog


def resumed(migration: Migration, moment: Moment) -> RunResult:
    """The run resumed, with that in it; it waits long enough for a merge that comes late."""
    world = migration.world
    config = Config(file=world.folder / "f", inventory=world.file.parent, catalog=world.config())
    ferry = WatchedFerry(config, FakeHosts(), resumed=True, request=REQUEST)
    ferry.moment = moment
    return migration.harness.recover(Plan([catalog_step(ferry, SERVICE)], locks=["web"]), "resume")


def held(world: GitWorld) -> Migration:
    """A run of which the proposal waits to be merged."""
    migration = Migration(world, keys={"merge_timeout": 0})
    assert migration.perform().outcome == "held"
    migration.people.clear()
    return migration


def held_elsewhere(world: GitWorld) -> Migration:
    """As above; and it is resumed on another control host, from a clone of its own."""
    migration = held(world)
    git(world.folder, "clone", "--quiet", str(world.bare), "second")
    world.file.unlink()
    world.file.symlink_to(world.folder / "second" / PATH)
    return migration


def merged_and_deleted(world: GitWorld) -> None:
    """As the button does it that people press."""
    world.merge()
    world.reject()


def rebased_and_deleted(world: GitWorld) -> None:
    """Another commit, with the same words."""
    world.rebase()
    world.reject()


@pytest.mark.parametrize(
    ("begin", "does"),
    first_of(
        [
            (held, GitWorld.merge),
            (held, rebased_and_deleted),
            (held_elsewhere, merged_and_deleted),
            (held_elsewhere, rebased_and_deleted),
        ]
    ),
)
def test_whenever_it_is_merged_while_the_run_is_resumed_the_run_takes_it_for_its_own(
    tmp_path: Path,
    world: GitWorld,
    begin: Callable[[GitWorld], Migration],
    does: Callable[[GitWorld], None],
) -> None:
    del world  # its environment is what is wanted
    assert until_it_waits(tmp_path, begin, does) > 2


@pytest.mark.extended
def test_without_a_remote_too(tmp_path: Path, alone: GitWorld) -> None:
    del alone
    assert until_it_waits(tmp_path, held, GitWorld.merge, with_remote=False) > 2


def until_it_waits(
    folder: Path,
    begin: Callable[[GitWorld], Migration],
    does: Callable[[GitWorld], None],
    *,
    with_remote: bool = True,
) -> int:
    """Have people do it at each moment before the run waits for them; how many moments there are."""
    for after in range(100):
        (place := folder / f"moment-{after}").mkdir()
        migration = begin(made(place, with_remote=with_remote))
        moment = Moment(migration, after, does)
        ending = resumed(migration, moment)
        where = f"before the last of {moment.given}: {ending.reason}"
        assert ending.outcome == "done", where
        assert migration.world.text == FLIPPED, where
        assert REVERT not in migration.world.branches, where
        if moment.waited:
            return after
    raise AssertionError("it never waits")
