"""A cookbook that makes two files new, and waits wherever its test wants it to; see ``workspace.py``."""

from __future__ import annotations

import select
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ferryman.cookbook import Change, Edit, Ferry, Look, NoChange, Plan, Report, VerifyError, cookbook

if TYPE_CHECKING:
    from pathlib import Path

HELPER = "echo helper > reached; read answer < go"
"""What a program does that the change under way has started: it works until it is told to go on."""


@cookbook
def waiting(ferry: Ferry) -> Plan:
    """Make two files new."""
    here = ferry.config.folder
    return Plan(
        [NoFault(here, "before"), New(here, "a"), New(here, "b"), NoFault(here, "after")], ["waiting"]
    )


def wait_at(here: Path, place: str) -> None:
    """Say that this place is reached and wait for the word to go on, if the test said so."""
    if place in (here / "stops").read_text().split():
        (here / "reached").write_text(f"{place}\n")
        with (here / "go").open() as go:
            # A signal between two bytecodes is not heeded by a wait that begins just then: look again.
            while not select.select([go], [], [], 0.1)[0]:
                pass
            go.readline()


@dataclass(frozen=True)
class NoFault(Look):
    """No fault was put into the folder {when}."""

    here: Path
    when: str

    def look(self, report: Report) -> None:
        wait_at(self.here, f"look-{self.when}")
        if (self.here / f"fault-{self.when}").exists():
            raise VerifyError("a fault")


@dataclass(frozen=True)
class New(Change[str]):
    """{name} is new."""

    here: Path
    name: str

    @property
    def file(self) -> Path:
        return self.here / self.name

    def check(self, report: Report) -> str | NoChange:
        now = self.file.read_text()
        return NoChange("it is") if now == "new" else now

    def edits(self, before: str) -> list[Edit]:
        return [Edit("host", self.name, command=f"write {self.name}")]

    def do(self, before: str) -> None:
        self.file.write_text("half")
        if (self.here / "helper").exists():
            subprocess.run(["sh", "-c", HELPER], cwd=self.here, check=True)
        wait_at(self.here, f"do-{self.name}")
        self.file.write_text("new")

    def verify(self, report: Report) -> None:
        if (now := self.file.read_text()) != "new":
            raise VerifyError(f"{self.name} is {now}")

    def undo(self, before: str) -> None:
        wait_at(self.here, f"undo-{self.name}")
        self.file.write_text(before)
