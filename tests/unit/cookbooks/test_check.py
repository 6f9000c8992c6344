"""check: it says what is, changes nothing, and leaves nothing open wherever it is cut."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.testing import Cuts, Harness
from unit.cookbooks.fake_site import FakeSite

if TYPE_CHECKING:
    from ferryman.testing import Scene


def scene(cuts: Cuts) -> Scene:
    """A service of two families, on directors that run keepalived."""
    return FakeSite(cuts).scene("check.py", "web")


def scene_ipvsadm(cuts: Cuts) -> Scene:
    """A service on directors whose table nobody fills but ipvsadm."""
    return FakeSite(cuts).scene("check.py", "static")


def test_a_site_where_all_is_well_stands_in_nobodys_way() -> None:
    site = FakeSite(Cuts())
    before = site.state
    ending = Harness().perform(site.scene("check.py", "web").plan())
    assert (ending.outcome, ending.reason) == ("done", "nothing blocks")
    assert site.state == before
