"""The real command line run in a workspace: in a terminal, or with whatever streams it is given."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import signal

    from unit.cli.processes import Child, ForkServer
    from unit.cli.terminal import Terminal
    from unit.cli.workspace import Workspace

OLD, NEW = ("old", "old"), ("new", "new")
Streams = tuple[int | None, int | None, int | None]


@dataclass
class Stage:
    """Runs ferryman in a workspace, and says what the workspace and the journal then have."""

    fork_server: ForkServer
    workspace: Workspace
    terminal: Terminal
    nowhere: int

    def in_the_terminal(self, *words: str) -> Child:
        inside = self.terminal.inside
        return self.fork_server.start(self.workspace.folder, words, (inside,) * 3, terminal=inside)

    def elsewhere(
        self, *words: str, streams: Streams | None = None, ignoring: tuple[signal.Signals, ...] = ()
    ) -> Child:
        return self.fork_server.start(
            self.workspace.folder, words, streams or (self.nowhere,) * 3, ignoring=ignoring
        )

    def told(self, *words: str) -> list[dict[str, Any]]:
        """Run a command, and return its JSON lines."""
        reading, writing = os.pipe()
        with os.fdopen(reading, encoding="utf-8") as reader:
            child = self.elsewhere("--output", "json", *words, streams=(self.nowhere, writing, self.nowhere))
            os.close(writing)
            lines = [json.loads(line) for line in reader]
        assert child.code() == 0
        return lines

    def run(self) -> dict[str, Any]:
        """The latest run in the journal."""
        return self.told("runs")[0]

    def expect(self, files: tuple[str, str], outcome: str, code: int) -> None:
        """The world is so, and the journal says so."""
        assert self.workspace.files == files
        run = self.run()
        assert (run["outcome"], run["exit_code"]) == (outcome, code)

    def expect_whole_journal(self) -> None:
        """The latest run is in it to its end, and every change that it began is verified or put back."""
        kinds = [record["kind"] for record in self.told("show", self.run()["run"])]
        assert kinds[0] == "run-started"
        assert self.run()["outcome"] not in ("open", "held", "stranded")
        assert kinds.count("intent") == kinds.count("verified") or "undone" in kinds
