"""What the journal costs: a run's steps, and a list of many runs, in a SQLite file and in etcd.

    .venv/bin/python -m tests.bench.journal

Figures only. etcd has three members on loopback, all of them on this machine's one disk.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ferryman.config import EtcdCluster, EtcdConfig
from ferryman.engine.plan import Plan
from ferryman.engine.process import ProcessId
from ferryman.engine.runner import Runner
from ferryman.state import Run, RunRequest, SqliteStore, Store
from ferryman.state.etcd.store import EtcdStore
from ferryman.state.sqlite.database import Database
from ferryman.testing import Becomes, FakeWorld, TurningClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

S = TypeVar("S", bound=Store)

sys.path.insert(0, str(Path(__file__).parents[1]))

CHANGES, TRIES = 20, 15
MANY = 10_000


def world_and_plan() -> Plan:
    """Changes that cost nothing, so that what is left is the engine and its journal."""
    keys = [f"key{number}" for number in range(CHANGES)]
    world = FakeWorld(None, **dict.fromkeys(keys, "old"))
    return Plan([Becomes(world, key, "new") for key in keys], ["web"], ["director lvs1"])


def per_step(make: Callable[[], Store]) -> list[float]:
    """Milliseconds for each change of a run, with all of its records, the intent among them."""
    taken = []
    for _ in range(TRIES):
        store, plan = make(), world_and_plan()
        began = time.perf_counter()
        ending = Runner(store=store).perform(RunRequest(cookbook="bench", operator="bench"), plan)
        taken.append((time.perf_counter() - began) * 1000 / CHANGES)
        assert ending.outcome == "done", ending.reason
        store.close()
    return taken


def entries() -> Iterator[Run]:
    """Many runs that have ended, as they are kept."""
    clock, plan, owner = TurningClock(), world_and_plan(), ProcessId.this_process()
    request = RunRequest(cookbook="bench", operator="bench")
    for _ in range(MANY):
        clock.turn(1)
        run = Run.new(request, plan, owner, clock.now())
        yield replace(run, ended=run.started, outcome="done", exit_code=0, ending="done")


def fill_sqlite(store: SqliteStore) -> None:
    """All at once: it is the reading that is measured."""
    with store.database.transaction():
        for entry in entries():
            store._insert("INSERT INTO runs", entry.as_row())


def fill_etcd(store: EtcdStore) -> None:
    """A hundred in each request, for etcd takes 128."""
    waiting = [store._run_put(entry) for entry in entries()]
    for first in range(0, MANY, 100):
        store._client.commit([], waiting[first : first + 100])


def listing(make: Callable[[], Store], limit: int) -> list[float]:
    """Milliseconds to list runs, by a process that has just begun."""
    taken = []
    for _ in range(TRIES):
        store = make()
        began = time.perf_counter()
        assert len(store.runs(limit)) == limit
        taken.append((time.perf_counter() - began) * 1000)
        store.close()
    return taken


def print_times(what: str, taken: list[float]) -> None:
    """Print one line: the median and the extremes of these times."""
    print(f"{what:<58} {statistics.median(taken):9.2f} ms  ({min(taken):.2f} to {max(taken):.2f})")


def measure(name: str, make: Callable[[], S], fill: Callable[[S], None]) -> None:
    """Measure and print all figures of one store."""
    print_times(f"{name}: a change and its journal", per_step(make))
    store = make()
    fill(store)
    store.close()
    print_times(f"{name}: list the latest 50 of {MANY:,} runs", listing(make, 50))
    print_times(f"{name}: list all {MANY:,} runs", listing(make, MANY))


def main() -> None:
    """Without a disk, on a disk, and on three disks."""
    print_times("no store on disk: a change", per_step(lambda: SqliteStore(Database.in_memory())))
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as folder:
        path = Path(folder) / "state.db"
        measure("SQLite", lambda: SqliteStore(Database.at(path)), fill_sqlite)
        _with_etcd(Path(folder))


def _with_etcd(folder: Path) -> None:
    from lab.etcd.cluster import Cluster  # noqa: PLC0415  # the path to it was made above

    with Cluster(folder) as cluster:
        where = EtcdCluster.named(f"etcd://{','.join(cluster.endpoints)}/bench")
        assert where is not None
        measure("etcd", lambda: EtcdStore(where, EtcdConfig()), fill_etcd)


if __name__ == "__main__":
    main()
