"""One of several processes that start the same service at once, round after round, each as a control host.

Called with ``state`` as in ferryman.toml and the name of its host. For each line on standard input it
performs a run. Inside its change it says ``inside``, and waits for one more line; a run that ended says how.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ferryman.config import EtcdCluster, EtcdConfig
from ferryman.engine.plan import Plan
from ferryman.engine.process import ProcessId
from ferryman.engine.runner import Runner
from ferryman.engine.steps import Change
from ferryman.state import RunRequest, SqliteStore, Store
from ferryman.state.etcd.store import EtcdStore
from ferryman.state.sqlite.database import Database

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ferryman.engine.steps import Report
    from ferryman.model import Edit


@dataclass(frozen=True)
class Inside(Change[str]):
    """The service is worked on."""

    def check(self, report: Report) -> str:
        return "outside"

    def edits(self, before: str) -> Sequence[Edit]:
        return ()

    def do(self, before: str) -> None:
        say("inside")
        sys.stdin.readline()

    def verify(self, report: Report) -> None:
        """There is nothing to look at."""

    def undo(self, before: str) -> None:
        """There is nothing to put back."""


def store_of(state: str, host: str) -> Store:
    here = ProcessId.this_process()
    owner = replace(here, host=host)
    if (cluster := EtcdCluster.named(state)) is not None:
        owner = replace(owner, boot_id=f"the boot of {host}")
        return EtcdStore(cluster, EtcdConfig(), owner=owner)
    return SqliteStore(Database.at(Path(state.removeprefix("sqlite:"))), owner=owner)


def say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def main(state: str, host: str) -> None:
    runner = Runner(store=store_of(state, host))
    for _ in sys.stdin:
        say(
            runner.perform(
                RunRequest(cookbook="race", operator=host), Plan([Inside()], ["web/codfw"])
            ).outcome
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
