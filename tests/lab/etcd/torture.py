"""What every run on etcd must stand: whatever happens to it, it ends all new or all old, and says which."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeVar

from ferryman.testing import Killed
from lab.etcd.hosts import NEW, OLD

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ferryman.outcomes import RunResult
    from lab.etcd.hosts import ControlHosts

T = TypeVar("T")

EVERY = "FERRYMAN_EVERY_CUT" in os.environ
"""Whether all cuts are tried, which takes many minutes (pytest --timeout 3600), or a sample of them."""


def some(trials: Sequence[T], stride: int) -> Sequence[T]:
    """All of them, or each so-many-th."""
    return trials if EVERY else trials[::stride]


def attempt(run: Callable[[], RunResult]) -> RunResult | None:
    """How it ended; None when its process was killed."""
    try:
        return run()
    except Killed:
        return None


def expect_settled(hosts: ControlHosts, world: Mapping[str, str], how: object) -> None:
    """The run has ended, the world is as it says, its locks are free, and its journal is whole."""
    onlooker = hosts.onlooker
    runs = onlooker.runs()
    if not runs:  # it was killed before it was entered
        assert (world, onlooker.locks()) == (OLD, []), how
        return
    entry = runs[0]
    wanted = NEW if entry.outcome == "done" else OLD
    assert not entry.is_open, f"{how}: {entry.outcome}: {entry.ending}"
    assert world == wanted, f"{how}: ended {entry.outcome}, and left {world}"
    assert onlooker.locks() == [], f"{how}: ended {entry.outcome}, and kept its locks"
    assert onlooker.faults(entry.id) == [], how
