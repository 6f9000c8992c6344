"""Waking the main thread: while it is entered, and not a byte of it anywhere afterwards."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ferryman.engine.wakeup import Wakeup

if TYPE_CHECKING:
    from pathlib import Path


def test_whoever_wakes_it_late_writes_into_no_file_that_has_its_number_by_then(tmp_path: Path) -> None:
    with Wakeup() as wakeup:
        pass
    files = [os.open(tmp_path / name, os.O_RDWR | os.O_CREAT) for name in ("first", "second", "third")]

    wakeup.wake()

    assert [os.fstat(file).st_size for file in files] == [0, 0, 0]
    for file in files:
        os.close(file)
