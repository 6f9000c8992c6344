"""A catalog that people review: the inventory as a clone of a bare repository, and a reviewer's clone."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ferryman.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

BASE = "production"
SETTINGS: Mapping[str, Any] = {
    "catalog": {"base": BASE, "remote": "origin", "push": True, "poll": 0.2, "merge_timeout": 120}
}
"""What the configuration says of such a catalog; a scenario may say otherwise."""
AUTHOR: Mapping[str, str] = {
    "GIT_AUTHOR_NAME": "Olga Operator",
    "GIT_AUTHOR_EMAIL": "olga@example.org",
    "GIT_COMMITTER_NAME": "Olga Operator",
    "GIT_COMMITTER_EMAIL": "olga@example.org",
}
"""The environment of the run: who proposes."""
_GIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Review:
    """The repository that is merged into, and the clone of the person who merges."""

    reviewer: Path

    @classmethod
    def of(cls, inventory: Path, folder: Path) -> Review:
        """Make the inventory a clone of a bare repository in this folder."""
        bare, reviewer = folder / "catalog.git", folder / "reviewer"
        for old in (bare, reviewer):
            shutil.rmtree(old, ignore_errors=True)
        _git(folder, "init", "--quiet", "--bare", "-b", BASE, str(bare))
        _git(inventory, "init", "--quiet", "-b", BASE)
        _git(inventory, "add", ".")
        _git(inventory, "commit", "--quiet", "-m", "the inventory")
        _git(inventory, "remote", "add", "origin", str(bare))
        _git(inventory, "push", "--quiet", "-u", "origin", BASE)
        _git(folder, "clone", "--quiet", str(bare), str(reviewer))
        return cls(reviewer)

    def merge(self, branch: str, *, differently: str = "") -> str:
        """Merge a branch by hand; with ``differently`` also another edit of this entry, in the merge."""
        _git(self.reviewer, "fetch", "--quiet")
        _git(self.reviewer, "checkout", "--quiet", "-B", BASE, f"origin/{BASE}")
        _git(self.reviewer, "merge", "--quiet", "--no-ff", "--no-commit", f"origin/{branch}")
        if differently:
            describe(self.reviewer / "services.yaml", differently)
        _git(self.reviewer, "commit", "--quiet", "-a", "-m", f"merged {branch}")
        _git(self.reviewer, "push", "--quiet", "origin", BASE)
        return f"{branch} was merged" + (" with another edit" if differently else "")


def describe(catalog: Path, entry: str) -> None:
    """Give an entry of a catalog another description, as an editor does: every other byte stays.

    Raises:
        LabError: The entry has no description.
    """
    lines = catalog.read_text(encoding="utf-8").splitlines(keepends=True)
    begins = next((number for number, line in enumerate(lines) if line.rstrip() == f"  {entry}:"), None)
    for number in range(begins + 1 if begins is not None else len(lines), len(lines)):
        if lines[number].startswith("    description:"):
            lines[number] = f"    description: {'Edited by somebody else meanwhile'!r}\n"
            catalog.write_text("".join(lines), encoding="utf-8")
            return
        if lines[number].strip() and not lines[number].startswith("    "):
            break
    raise LabError(f"{catalog}: {entry} has no description that an editor could change")


def _git(folder: Path, *command: str) -> None:
    author = ("-c", "user.name=Rita Reviewer", "-c", "user.email=rita@example.org")
    done = subprocess.run(
        ["git", *author, *command],  # noqa: S607  # the git that the user has
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=_GIT_S,
    )
    if done.returncode != 0:
        raise LabError(f"git {' '.join(command)} in {folder}: {(done.stderr or done.stdout).strip()}")
