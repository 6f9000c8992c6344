"""A small world, and a place to run plans from."""

from __future__ import annotations

import pytest

from ferryman.testing import FakeWorld, Harness


@pytest.fixture
def world() -> FakeWorld:
    return FakeWorld(None, a="old", b="old", ready="yes")


@pytest.fixture
def harness() -> Harness:
    return Harness()
