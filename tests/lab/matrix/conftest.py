"""The session's lab, with a configuration that waits less."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lab.matrix.judging import hasten

if TYPE_CHECKING:
    from lab.running import RunningLab


@pytest.fixture
def hasty(lab: RunningLab) -> RunningLab:
    """It is as it booted; requests are few and probes wait a third of a second."""
    hasten(lab.folder)
    return lab
