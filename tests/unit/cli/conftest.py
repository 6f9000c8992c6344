from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from unit.cli.processes import Harbour
from unit.cli.stage import Stage
from unit.cli.terminal import Terminal
from unit.cli.workspace import Shore

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def harbour() -> Iterator[Harbour]:
    with Harbour() as harbour:
        yield harbour


@pytest.fixture
def shore(tmp_path: Path, harbour: Harbour) -> Iterator[Shore]:
    shore = Shore(tmp_path)
    yield shore
    harbour.clear()
    shore.close()


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    with Terminal() as terminal:
        yield terminal


@pytest.fixture
def nowhere() -> Iterator[int]:
    with Path(os.devnull).open("r+b") as null:
        yield null.fileno()


@pytest.fixture
def stage(harbour: Harbour, shore: Shore, terminal: Terminal, nowhere: int) -> Stage:
    return Stage(harbour, shore, terminal, nowhere)
