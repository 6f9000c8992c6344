"""A service catalog under review, with real git: a bare repository, an operator's clone, and a reviewer's."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from ferryman.catalog import Flipped, GitCatalog, Proposal
from ferryman.config import CatalogConfig

if TYPE_CHECKING:
    from collections.abc import Callable

SERVICES = """\
# The catalog of all services.
service::catalog:
  web:
    encryption: false
    ip: {lab: {default: 10.99.0.1}}
    lvs:
      class: low-traffic
      conftool: {cluster: web, service: nginx}
      enabled: true
      scheduler: wrr
    port: 80
    sites: [lab, far]
    state: production
  # Two services that nobody may touch by the way.
  maps:
    encryption: true
    ip: {lab: {default: 10.99.0.2}}
    lvs: {class: low-traffic, conftool: {cluster: web, service: nginx}, enabled: true, scheduler: wrr}
    port: 8080
    sites: [lab]
    state: production
"""
FLAG = "      ipip_encapsulation: [lab]\n"
PATH = "hieradata/common/services.yaml"
BASE = "production"
BRANCH = "ferryman/web-lab-20261123-080000-abcd"
REVERT = f"{BRANCH}-revert"
MESSAGE = "web: IPIP encapsulation at lab\n\nFerryman-Run: 20261123-080000-abcd\n"


def git(folder: Path, *command: str, stdin: str | None = None) -> str:
    """What git prints when a person calls it in a folder."""
    done = subprocess.run(
        ["git", *command], cwd=folder, input=stdin, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, f"git {command}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


def as_nobody_else(home: Path, set_variable: Callable[[str, str], None]) -> None:
    """An environment in which git knows a name, and nothing of this machine's own settings."""
    home.mkdir(exist_ok=True)
    (home / ".gitconfig").write_text("[user]\n\tname = Olga\n\temail = olga@example.org\n")
    set_variable("HOME", str(home))
    set_variable("GIT_CONFIG_NOSYSTEM", "1")
    set_variable("GIT_CONFIG_GLOBAL", str(home / ".gitconfig"))


@dataclass
class GitWorld:
    """Everything there is, and what people do."""

    folder: Path
    with_remote: bool = True

    @property
    def bare(self) -> Path:
        """The bare repository that operator and people push to."""
        return self.folder / "catalog.git"

    @property
    def clone(self) -> Path:
        """The operator's clone of the bare repository."""
        return self.folder / "operator"

    @property
    def reviewer(self) -> Path:
        """Somebody else's clone; without a remote, the operator's own."""
        return self.folder / "reviewer" if self.with_remote else self.clone

    @property
    def file(self) -> Path:
        """The inventory's services.yaml, a symbolic link into the clone."""
        return self.folder / "inventory" / "services.yaml"

    def make(self, text: str = SERVICES) -> GitWorld:
        """Make both repositories and the clones, with one commit."""
        git(self.folder, "init", "--quiet", "--bare", "-b", BASE, str(self.bare))
        git(self.folder, "clone", "--quiet", str(self.bare), str(self.clone))
        git(self.clone, "checkout", "--quiet", "-b", BASE)
        self._write(self.clone, text)
        (self.clone / "README").write_text("read me\n")
        git(self.clone, "add", ".")
        git(self.clone, "commit", "--quiet", "-m", "the catalog")
        if self.with_remote:
            git(self.clone, "push", "--quiet", "-u", "origin", BASE)
            git(self.folder, "clone", "--quiet", str(self.bare), str(self.reviewer))
            for clone in (self.clone, self.reviewer):
                git(clone, "remote", "set-url", "origin", "../catalog.git")
        else:
            git(self.clone, "remote", "remove", "origin")
            shutil.rmtree(self.bare)
        self.file.parent.mkdir(exist_ok=True)
        self.file.symlink_to(Path("..") / self.clone.name / PATH)
        return self

    def config(self, **keys: object) -> CatalogConfig:
        """The configuration's table ``[catalog]`` for this repository."""
        remote = {"remote": "origin", "push": True} if self.with_remote else {}
        return CatalogConfig.model_validate(
            {"base": BASE, "poll": 0.01, "merge_timeout": 20, **remote, **keys}
        )

    def catalog(self, **keys: object) -> GitCatalog:
        """As Ferryman sees it, in a new process."""
        return GitCatalog(self.file, self.config(**keys))

    def dry_run(self) -> GitCatalog:
        """The catalog as a dry run has it."""
        return GitCatalog(self.file, self.config(), dry_run=True)

    def proposal(self, **keys: object) -> Proposal:
        """The proposal of the flip of web at lab."""
        return Proposal(self.catalog(**keys), Flipped("web", "lab"), BRANCH)

    def offered(self, **keys: object) -> Proposal:
        """The proposal of the flip of web at lab, proposed and offered."""
        proposal = self.proposal(**keys)
        proposal.propose(MESSAGE)
        proposal.offer()
        return proposal

    @property
    def text(self) -> str:
        """The base's catalog, where people merge."""
        return git(self.bare if self.with_remote else self.clone, "show", f"{BASE}:{PATH}") + "\n"

    @property
    def branches(self) -> set[str]:
        """The repository that people merge branches in."""
        where = self.bare if self.with_remote else self.clone
        return set(git(where, "for-each-ref", "--format=%(refname:short)", "refs/heads").splitlines())

    def merge(self, branch: str = BRANCH, *how: str) -> None:
        """A person merges a branch into the base: ``--no-ff``, ``--ff-only``."""
        self._on_base()
        git(self.reviewer, "merge", "--quiet", *(how or ("--no-ff",)), self._known(branch))
        self._published()

    def squash(self, branch: str = BRANCH) -> None:
        """A person merges a branch as one new commit, with words of their own."""
        self._on_base()
        git(self.reviewer, "merge", "--quiet", "--squash", self._known(branch))
        git(self.reviewer, "commit", "--quiet", "-m", "squashed")
        self._published()

    def rebase(self, branch: str = BRANCH) -> None:
        """A person picks the branch's commit on top of the base."""
        self._on_base()
        git(self.reviewer, "cherry-pick", self._known(branch))
        self._published()

    def edit(self, old: str, new: str) -> None:
        """A person edits the base's catalog."""
        self._on_base()
        text = (self.reviewer / PATH).read_text()
        assert old in text, f"{old!r} is not in the catalog"
        self._write(self.reviewer, text.replace(old, new, 1))
        git(self.reviewer, "commit", "--quiet", "-a", "-m", "an edit")
        self._published()

    def merge_differently(self, old: str, new: str, branch: str = BRANCH) -> None:
        """A person merges a branch, and changes something in the merge."""
        self._on_base()
        git(self.reviewer, "merge", "--quiet", "--no-ff", "--no-commit", self._known(branch))
        text = (self.reviewer / PATH).read_text()
        assert old in text, f"{old!r} is not in the catalog"
        self._write(self.reviewer, text.replace(old, new, 1))
        git(self.reviewer, "commit", "--quiet", "-a", "-m", "merged, and more")
        self._published()

    def take_back(self) -> None:
        """A person reverts the last commit of the base."""
        self._on_base()
        mainline = ["-m", "1"] if len(git(self.reviewer, "log", "-1", "--format=%P").split()) > 1 else []
        git(self.reviewer, "revert", "--no-edit", *mainline, "HEAD")
        self._published()

    def reject(self, branch: str = BRANCH) -> None:
        """A person deletes a branch that is not merged."""
        if self.with_remote:
            git(self.reviewer, "push", "--quiet", "origin", "--delete", branch)
        else:
            git(self.reviewer, "branch", "-D", branch)

    def go_away(self) -> None:
        """The remote cannot be reached."""
        self.bare.rename(self.folder / "away.git")

    def come_back(self) -> None:
        """The remote can be reached again."""
        (self.folder / "away.git").rename(self.bare)

    def hook(self, where: Path, name: str, script: str) -> None:
        """Put a hook into a repository."""
        file = Path(git(where, "rev-parse", "--git-path", f"hooks/{name}"))
        file = file if file.is_absolute() else where / file
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)

    def operators(self) -> dict[str, str]:
        """Everything of the operator's that no run may touch: files and index, byte for byte, and HEAD."""
        files = [file for file in self.clone.rglob("*") if file.is_file() and ".git" not in file.parts]
        own = [*files, self.clone / ".git" / "index", self.clone / ".git" / "HEAD"]
        return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in own}

    def objects(self) -> set[str]:
        """Every file of the operator's repository: a dry run makes none."""
        return {str(file) for file in (self.clone / ".git").rglob("*") if file.is_file()}

    def _write(self, clone: Path, text: str) -> None:
        file = clone / PATH
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def _on_base(self) -> None:
        if self.with_remote:
            git(self.reviewer, "fetch", "--quiet", "--prune")
            git(self.reviewer, "checkout", "--quiet", "-B", BASE, f"origin/{BASE}")
        else:
            git(self.reviewer, "checkout", "--quiet", BASE)

    def _known(self, branch: str) -> str:
        return f"origin/{branch}" if self.with_remote else branch

    def _published(self) -> None:
        if self.with_remote:
            git(self.reviewer, "push", "--quiet", "origin", BASE)


@cache
def _pattern(with_remote: bool) -> TemporaryDirectory[str]:
    folder = TemporaryDirectory()
    GitWorld(Path(folder.name), with_remote).make()
    return folder


def made(folder: Path, *, with_remote: bool = True) -> GitWorld:
    """A fresh world in a folder; the environment must be ``as_nobody_else``."""
    assert os.environ.get("GIT_CONFIG_NOSYSTEM"), "a test would read this machine's own settings of git"
    world = folder / "world"
    shutil.copytree(_pattern(with_remote).name, world, symlinks=True)
    return GitWorld(world, with_remote)
