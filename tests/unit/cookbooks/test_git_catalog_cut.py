"""Cut wherever git is called to write, or asked for what the remote has: the catalog ends old or new.

People merge whatever branch is on offer, a while after it is. git is real; a call is cut where the process
would be killed: before the command, or after it.
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
from ferryman.testing import Cuts, Scene, cut_everywhere
from unit.catalog.git_world import BASE, GitWorld, as_nobody_else, git, made
from unit.cookbook.test_git_catalog_step import REQUEST, SERVICE

if TYPE_CHECKING:
    from pathlib import Path

    from ferryman.catalog.review.git import GitResult

PATIENCE = 3
"""How often a branch is seen on offer before people merge it."""


@dataclass
class Site:
    """A world with people in it."""

    world: GitWorld
    cuts: Cuts
    seen: dict[str, int] = field(default_factory=dict)

    def people_look(self) -> None:
        """Whatever has been on offer for a while is merged."""
        waiting = git(self.world.bare, "branch", "--format=%(refname:short)", "--no-merged", BASE)
        for branch in waiting.splitlines():
            self.seen[branch] = self.seen.get(branch, 0) + 1
            if self.seen[branch] > PATIENCE:
                self.world.merge(branch)

    def plan(self) -> Plan:
        """As a new process builds it."""
        self.processes = getattr(self, "processes", 0) + 1
        config = Config(
            file=self.world.folder / "f", inventory=self.world.file.parent, catalog=self.world.config()
        )
        ferry = CutFerry(config, FakeHosts(), resumed=self.processes > 1, request=REQUEST)
        ferry.site = self
        return Plan([catalog_step(ferry, SERVICE)], locks=["web"])

    @property
    def state(self) -> object:
        """What the base says, and what could still be merged into it."""
        return self.world.text, git(self.world.bare, "branch", "--no-merged", BASE)


@dataclass(frozen=True)
class CutGit(Git):
    """git, whose writing and asking can be cut."""

    site: Site | None = None

    def remote_read(self, *command: str) -> str:
        assert self.site
        if command[0] == "ls-remote":
            self.site.people_look()
        return self.site.cuts.call(lambda: super(CutGit, self).remote_read(*command))

    def write(self, *command: str, stdin: bytes = b"") -> str:
        assert self.site
        return self.site.cuts.call(lambda: super(CutGit, self).write(*command, stdin=stdin))

    def try_write(self, *command: str) -> GitResult:
        assert self.site
        return self.site.cuts.call(lambda: super(CutGit, self).try_write(*command))


class CutCatalog(GitCatalog):
    site: Site

    @cached_property
    def git(self) -> Git:
        plain = super().git
        return CutGit(plain.folder, plain.dry_run, plain.remote_s, self.site)


class CutFerry(Ferry):
    site: Site

    @cached_property
    def git_catalog(self) -> GitCatalog:
        catalog = CutCatalog(self.config.inventory / "services.yaml", self.config.catalog)
        catalog.site = self.site
        return catalog


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_wherever_it_is_cut_the_base_ends_old_or_new(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    as_nobody_else(tmp_path / "home", monkeypatch.setenv)

    def build(cuts: Cuts) -> Scene:
        site = Site(made(tmp_path_factory.mktemp("cut")), cuts)
        return Scene(site.plan, lambda: site.state)

    assert cut_everywhere(build, briefly=True) > 30
