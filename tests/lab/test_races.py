"""Two processes of one control host that start the same service's run at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.etcd.races import race
from lab.etcd.torture import EVERY

if TYPE_CHECKING:
    from pathlib import Path

ROUNDS = 1000 if EVERY else 30


def test_of_two_processes_one_goes_and_the_other_is_busy(tmp_path: Path) -> None:
    counts = race(f"sqlite:{tmp_path / 'state.db'}", ROUNDS)

    assert counts == {"inside, done": ROUNDS, "busy": ROUNDS, "both inside": 0}
