"""A small world, and a place to run plans from."""

from __future__ import annotations

import pytest

from ferryman.testing import Dock, FakeWorld


@pytest.fixture
def world() -> FakeWorld:
    return FakeWorld(None, a="old", b="old", ready="yes")


@pytest.fixture
def dock() -> Dock:
    return Dock()
