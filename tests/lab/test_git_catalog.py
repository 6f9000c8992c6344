"""A whole migration with a catalog that people review: the run waits, a person merges, it goes on or back."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from lab.migration import DIRECTORS, catalog, forwarding, world

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lab.running import RunningLab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]  # whole migrations, on a guest of one CPU

STATIC = "10.99.0.3:8081"
BASE = "production"
TABLE = f"""
[catalog]
base = "{BASE}"
remote = "origin"
push = true
poll = 0.2
merge_timeout = 60
"""


def git(folder: Path, *command: str) -> str:
    done = subprocess.run(
        ["git", "-c", "user.name=Rita", "-c", "user.email=rita@example.org", *command],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, f"git {command}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


@dataclass(frozen=True)
class Review:
    """The lab's inventory in a clone, the bare repository that it comes from, and a reviewer's clone."""

    lab: RunningLab
    bare: Path
    reviewer: Path

    @property
    def file(self) -> Path:
        """The path of the catalog in the reviewer's clone."""
        return self.reviewer / "services.yaml"

    def merge(self, branch: str, *, instead_of: tuple[str, str] | None = None) -> None:
        """Merge a branch by hand, as it is or with one more edit in the merge."""
        git(self.reviewer, "fetch", "--quiet")
        git(self.reviewer, "checkout", "--quiet", "-B", BASE, f"origin/{BASE}")
        git(self.reviewer, "merge", "--quiet", "--no-ff", "--no-commit", f"origin/{branch}")
        if instead_of:
            text = self.file.read_text()
            head, mark, tail = text.partition("\n  static:\n")
            assert instead_of[0] in tail
            self.file.write_text(head + mark + tail.replace(*instead_of, 1))
        git(self.reviewer, "commit", "--quiet", "-a", "-m", f"merged {branch}")
        git(self.reviewer, "push", "--quiet", "origin", BASE)

    def migrate(self, when_waiting: Callable[[str], None]) -> tuple[int, list[dict[str, Any]]]:
        """Migrate static; a person does something with each branch as soon as the run waits for it."""
        config = str(self.lab.folder / "ferryman.toml")
        command = [sys.executable, "-m", "ferryman", "--config", config, "--output", "json"]
        order = ["migrate", "static", "--site", "lab", "--yes", "--reason", "it is time", "--task", "T123"]
        written = []
        with subprocess.Popen(
            [*command, *order], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as running:
            assert running.stdout
            for line in running.stdout:
                written.append(event := json.loads(line))
                words = str(event.get("seen", "")).split()
                if event.get("check") == "catalog-review" and words[:2] == ["waiting", "for"]:
                    when_waiting(words[2])
        return running.returncode, written


@pytest.fixture
def review(lab: RunningLab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Review]:
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "Olga")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "olga@example.org")
    inventory, bare = lab.folder / "inventory", tmp_path / "catalog.git"
    git(tmp_path, "init", "--quiet", "--bare", "-b", BASE, str(bare))
    git(inventory, "init", "--quiet", "-b", BASE)
    git(inventory, "add", ".")
    git(inventory, "commit", "--quiet", "-m", "the inventory")
    git(inventory, "remote", "add", "origin", str(bare))
    git(inventory, "push", "--quiet", "-u", "origin", BASE)
    git(tmp_path, "clone", "--quiet", str(bare), "reviewer")
    with (lab.folder / "ferryman.toml").open("a") as file:
        file.write(TABLE)
    before = world(lab)
    yield Review(lab, bare, tmp_path / "reviewer")
    assert world(lab) == before


def test_the_run_waits_for_a_person_to_merge_and_goes_back_through_the_same_gate(review: Review) -> None:
    lab, before = review.lab, catalog(review.lab).read_text()
    status, written = review.migrate(review.merge)
    assert status == 0, written[-1]
    assert [forwarding(lab, director, STATIC) for director in DIRECTORS] == [{"-i"}, {"-i"}]
    message = git(review.bare, "log", "-1", "--format=%B", f"{BASE}^2").splitlines()
    assert message[0] == "static: IPIP encapsulation at lab"
    assert {"it is time", f"Ferryman-Run: {written[0]['run']}", "Task: T123"} <= set(message)
    assert catalog(lab).read_text() == git(review.bare, "show", f"{BASE}:services.yaml") + "\n" != before

    # Nobody merges the revert while this one waits: it ends, and the next one finds it merged.
    text = (lab.folder / "ferryman.toml").read_text()
    (lab.folder / "ferryman.toml").write_text(text.replace("merge_timeout = 60", "merge_timeout = 0"))
    stranded = lab.ferryman("rollback", written[0]["run"])
    assert stranded.returncode == 5, stranded.stdout + stranded.stderr
    review.merge(f"ferryman/static-lab-{written[0]['run']}-revert")
    back = lab.ferryman("rollback", written[0]["run"])
    assert back.returncode == 0, back.stdout + back.stderr
    assert catalog(lab).read_text() == before


def test_merged_differently_everything_goes_back_and_no_director_was_touched(review: Review) -> None:
    before = catalog(review.lab).read_text()

    def merge(branch: str) -> None:
        other = ("Static files", "Static bytes")
        review.merge(branch, instead_of=other[::-1] if branch.endswith("-revert") else other)

    status, written = review.migrate(merge)
    assert status == 4, written[-1]
    assert "is not what was meant" in written[-1]["reason"]
    assert [
        event for event in written if event["event"] == "change" and "ipvsadm -e" in event.get("command", "")
    ] == []
    assert catalog(review.lab).read_text() == before
