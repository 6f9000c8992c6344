"""scheduler migrate: wherever it is cut, the site ends as it was or with the other scheduler."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unit.cookbooks.fake_site import FakeSite

if TYPE_CHECKING:
    from ferryman.testing import Cuts, Scene


def scene(cuts: Cuts) -> Scene:
    """A service of two families, on directors that run keepalived."""
    return _scene(cuts, "web")


def scene_ipvsadm(cuts: Cuts) -> Scene:
    """A service on directors whose table nobody fills but ipvsadm."""
    return _scene(cuts, "static")


def _scene(cuts: Cuts, service: str) -> Scene:
    arguments = {"service": service, "site": "lab", "to": "mh", "flags": ("mh-port",)}
    return FakeSite(cuts).scene_with("scheduler/migrate.py", arguments)
