from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from unit.cli.processes import ForkServer
from unit.cli.stage import Stage
from unit.cli.terminal import Terminal
from unit.cli.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def fork_server() -> Iterator[ForkServer]:
    with ForkServer() as fork_server:
        yield fork_server


@pytest.fixture
def workspace(tmp_path: Path, fork_server: ForkServer) -> Iterator[Workspace]:
    workspace = Workspace(tmp_path)
    yield workspace
    fork_server.clear()
    workspace.close()


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    with Terminal() as terminal:
        yield terminal


@pytest.fixture
def nowhere() -> Iterator[int]:
    with Path(os.devnull).open("r+b") as null:
        yield null.fileno()


@pytest.fixture
def stage(fork_server: ForkServer, workspace: Workspace, terminal: Terminal, nowhere: int) -> Stage:
    return Stage(fork_server, workspace, terminal, nowhere)
