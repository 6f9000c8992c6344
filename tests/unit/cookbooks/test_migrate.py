"""migrate: wherever it is cut, the site ends as it was or with the service in the tunnel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unit.cookbooks.fake_site import FakeSite

if TYPE_CHECKING:
    from ferryman.testing import Cuts, Scene


def scene(cuts: Cuts) -> Scene:
    """A service of two families, on directors that run keepalived."""
    return FakeSite(cuts).scene("migrate.py", "web")


def scene_ipvsadm(cuts: Cuts) -> Scene:
    """A service on directors whose table nobody fills but ipvsadm."""
    return FakeSite(cuts).scene("migrate.py", "static")


def scene_pybal(cuts: Cuts) -> Scene:
    """A service on directors that follow the catalog: on the way back, it goes first."""
    return FakeSite(cuts).scene("migrate.py", "maps")
