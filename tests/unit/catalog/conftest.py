from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from unit.catalog.git_world import GitWorld, as_nobody_else, made
from unit.inventory.conftest import replaced, written

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["replaced", "written"]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GitWorld:
    """A catalog under review, with a remote."""
    as_nobody_else(tmp_path / "home", monkeypatch.setenv)
    return made(tmp_path)


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GitWorld:
    """A catalog under review, in one clone without a remote."""
    as_nobody_else(tmp_path / "home", monkeypatch.setenv)
    return made(tmp_path, with_remote=False)
