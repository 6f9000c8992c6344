"""A control host's process: performs one run on a world in a file, waits once, and says how it ended.

Called with ``state`` as in ferryman.toml, the world's file, the lease in seconds, and the number of the call
to the world before which it says ``waiting`` and waits for a line on standard input.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ferryman.config import EtcdCluster, EtcdConfig
from ferryman.engine.runner import Runner
from ferryman.state.etcd.store import EtcdStore
from ferryman.testing import Cut, Cuts, FakeWorld
from lab.etcd.hosts import REQUEST, plan

if TYPE_CHECKING:
    from ferryman.outcomes import RunResult


class KeptValues(dict[str, str]):
    """A world's values in a file, which other processes change too."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def __getitem__(self, key: str) -> str:
        values: dict[str, str] = json.loads(self._path.read_text())
        return values[key]

    def __setitem__(self, key: str, value: str) -> None:
        self._path.write_text(json.dumps({**json.loads(self._path.read_text()), key: value}))


def kept_world(path: Path, cuts: Cuts | None = None) -> FakeWorld:
    world = FakeWorld(cuts)
    world.values = KeptValues(path)
    return world


def wait() -> None:
    sys.stdout.write("waiting\n")
    sys.stdout.flush()
    sys.stdin.readline()


def perform(state: str, path: Path, lease_s: int, at: int) -> RunResult:
    cluster = EtcdCluster.named(state)
    assert cluster is not None
    store = EtcdStore(cluster, EtcdConfig(lease=lease_s))
    return Runner(store=store).perform(REQUEST, plan(kept_world(path, Cuts(Cut(at, "before", wait)))))


if __name__ == "__main__":
    ended = perform(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
    sys.stdout.write(f"{ended.outcome}\n")
    sys.exit(ended.exit_code)
