"""Configuration folders for labs of which several may be up at once, none of them its user's own."""

from __future__ import annotations

import fcntl
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING

from ferryman import lab
from ferryman.lab.paths import LabPaths

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def free_folder(parent: Path, *, first: int = 1) -> Iterator[tuple[int, Path]]:
    """A folder that nobody else uses meanwhile, and its number; a lab that was left there is taken down.

    Folders are numbered and locked, not random: so a lab whose process was killed is found by the next.
    """
    parent.mkdir(parents=True, exist_ok=True)
    for number in count(first):
        with (parent / f"{number}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            folder = parent / str(number)
            lab.down(LabPaths.of(folder))
            yield number, folder
            return
