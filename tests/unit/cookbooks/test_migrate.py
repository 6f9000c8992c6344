"""migrate: wherever it is cut, the site ends as it was or with the service in the tunnel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ferryman.testing import Cuts
from unit.cookbooks.fake_site import FakeSite

if TYPE_CHECKING:
    from ferryman.testing import Scene


def scene(cuts: Cuts) -> Scene:
    """A service of two families, on directors that run keepalived."""
    return FakeSite(cuts).scene("migrate.py", "web")


def scene_ipvsadm(cuts: Cuts) -> Scene:
    """A service on directors whose table nobody fills but ipvsadm."""
    return FakeSite(cuts).scene("migrate.py", "static")


def scene_pybal(cuts: Cuts) -> Scene:
    """A service on directors that follow the catalog: during a rollback, it goes first."""
    return FakeSite(cuts).scene("migrate.py", "maps")


@pytest.mark.parametrize(
    ("given", "failures", "flaps"),
    [({}, 2, 3), ({"failures": 5, "flaps": None}, 5, 3), ({"failures": 1, "flaps": 0, "soak": None}, 1, 0)],
)
def test_the_watch_bears_what_the_command_line_says_and_else_what_the_configuration_does(
    given: dict[str, int | None], failures: int, flaps: int
) -> None:
    arguments = {"service": "static", "site": "lab", **given}
    watch = FakeSite(Cuts()).scene_with("migrate.py", arguments).plan().watch
    assert watch is not None
    assert (watch.failures, watch.flaps) == (failures, flaps)
