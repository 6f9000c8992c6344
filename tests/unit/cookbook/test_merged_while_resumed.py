"""People merge a proposal while its own run is taken up again: at each moment of that it is the run's own.

git is real. The merge falls right before a command of git that could see it; each such command has its turn.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import pytest

from ferryman.catalog.review.git import Git
from ferryman.config import Config
from ferryman.cookbook import Ferry, Plan, catalog_step
from ferryman.cookbook.provenance import Provenance
from ferryman.hosts.fake import FakeHosts
from ferryman.inventory import GitCatalog
from unit.cookbook.test_git_catalog_step import FLIPPED, RUN, SERVICE, WAITING, Crossing
from unit.inventory.git_world import PATH, REVERT, GitWorld, git, made

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ferryman.catalog.review.git import Said
    from ferryman.engine.endings import Ending


SEEING = {"fetch", "ls-remote", "push"}
"""The commands that see what people did at a remote."""
SEEING_HERE = {"cat-file", "merge-base"}
"""Without a remote: those that come between two looks at what people did in the clone."""


@dataclass
class Moment:
    """What people do once so many commands have been given that could see it."""

    crossing: Crossing
    after: int
    does: Callable[[GitWorld], None]
    given: list[str] = field(default_factory=list)
    waited: bool = False
    """Whether the run was waiting for them by then."""

    def look(self, command: str) -> None:
        """Do it, if it is time."""
        world = self.crossing.world
        if len(self.given) > self.after or command not in (SEEING if world.with_remote else SEEING_HERE):
            return
        self.given.append(command)
        if len(self.given) > self.after:
            self.waited = self.crossing.people.told(WAITING)
            self.does(world)


@dataclass(frozen=True)
class WatchedGit(Git):
    moment: Moment | None = None

    def _run(self, command: tuple[str, ...], stdin: bytes, limit_s: float, *, finish: bool) -> Said:
        assert self.moment
        self.moment.look(command[0])
        return super()._run(command, stdin, limit_s, finish=finish)


class WatchedCatalog(GitCatalog):
    moment: Moment

    @cached_property
    def git(self) -> Git:
        plain = super().git
        return WatchedGit(plain.folder, plain.rehearsal, plain.remote_s, self.moment)


class WatchedFerry(Ferry):
    moment: Moment

    @cached_property
    def git_catalog(self) -> GitCatalog:
        catalog = WatchedCatalog(self.config.inventory / "services.yaml", self.config.catalog)
        catalog.moment = self.moment
        return catalog


def resumed(crossing: Crossing, moment: Moment) -> Ending:
    """The run taken up again, with that in it; it waits long enough for a merge that comes late."""
    world = crossing.world
    config = Config(file=world.folder / "f", inventory=world.file.parent, catalog=world.config())
    ferry = WatchedFerry(config, FakeHosts(), resumed=True, provenance=Provenance(RUN))
    ferry.moment = moment
    return crossing.dock.go_on(Plan([catalog_step(ferry, SERVICE)], locks=["web"]), "resume")


def held(world: GitWorld) -> Crossing:
    """A run of which the proposal waits to be merged."""
    crossing = Crossing(world, keys={"merge_timeout": 0})
    assert crossing.perform().outcome == "held"
    crossing.people.clear()
    return crossing


def held_elsewhere(world: GitWorld) -> Crossing:
    """As above; and it is taken up on another control host, from a clone of its own."""
    crossing = held(world)
    git(world.folder, "clone", "--quiet", str(world.bare), "second")
    world.file.unlink()
    world.file.symlink_to(world.folder / "second" / PATH)
    return crossing


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
    [
        (held, GitWorld.merge),
        (held, rebased_and_deleted),
        (held_elsewhere, merged_and_deleted),
        (held_elsewhere, rebased_and_deleted),
    ],
)
def test_whenever_it_is_merged_while_the_run_is_resumed_the_run_takes_it_for_its_own(
    tmp_path: Path,
    world: GitWorld,
    begin: Callable[[GitWorld], Crossing],
    does: Callable[[GitWorld], None],
) -> None:
    del world  # its environment is what is wanted
    assert until_it_waits(tmp_path, begin, does) > 2


def test_without_a_remote_too(tmp_path: Path, alone: GitWorld) -> None:
    del alone
    assert until_it_waits(tmp_path, held, GitWorld.merge, with_remote=False) > 2


def until_it_waits(
    folder: Path,
    begin: Callable[[GitWorld], Crossing],
    does: Callable[[GitWorld], None],
    *,
    with_remote: bool = True,
) -> int:
    """Have people do it at each moment before the run waits for them; how many moments there are."""
    for after in range(100):
        (there := folder / f"moment-{after}").mkdir()
        crossing = begin(made(there, with_remote=with_remote))
        moment = Moment(crossing, after, does)
        ending = resumed(crossing, moment)
        where = f"before the last of {moment.given}: {ending.reason}"
        assert ending.outcome == "done", where
        assert crossing.world.text == FLIPPED, where
        assert REVERT not in crossing.world.branches, where
        if moment.waited:
            return after
    raise AssertionError("it never waits")
