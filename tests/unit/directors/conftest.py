from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from unit.directors import world
from unit.directors.following import Following

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def shell(tmp_path: Path) -> world.RealShell:
    return world.director(tmp_path)


@pytest.fixture
def site(shell: world.RealShell) -> Following:
    return Following(shell)
