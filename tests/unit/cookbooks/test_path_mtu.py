"""path-mtu: it measures whom it is told to, changes nothing, and leaves nothing open wherever it is cut."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ferryman.errors import InventoryError, UsageError
from ferryman.testing import Cuts, Harness
from unit.cookbooks.fake_site import FakeSite

if TYPE_CHECKING:
    from ferryman.testing import Scene

HOSTS: dict[str, Any] = {"hosts": ("web1", "10.10.0.22")}


def scene(cuts: Cuts) -> Scene:
    """A host by its name, and one by its address."""
    return FakeSite(cuts).scene_with("path_mtu.py", HOSTS | {"dns": "example.org"})


def test_hosts_are_measured_and_asked_for_a_name_where_one_is_given() -> None:
    steps = scene(Cuts()).plan().steps
    assert [type(step).__name__ for step in steps] == ["PathMtuDiscovered", "DnsAnswersFit"]
    assert [
        type(step).__name__ for step in FakeSite(Cuts()).scene_with("path_mtu.py", HOSTS).plan().steps
    ] == ["PathMtuDiscovered"]


def test_it_ends_well_where_all_is_answered() -> None:
    harness = Harness()
    assert harness.perform(scene(Cuts()).plan()).outcome == "done"
    findings = [one.event.as_dict() for one in harness.events if one.event.event == "finding"]
    assert {(each["check"], each["host"], each["verdict"]) for each in findings} == {
        *(("path-mtu", host, "pass") for host in HOSTS["hosts"]),
        *(("dns-size", host, "pass") for host in HOSTS["hosts"]),
    }


@pytest.mark.parametrize(
    ("more", "error", "message"),
    [
        ({"port": 0}, UsageError, "0 is no port; expected 1 to 65535"),
        ({"udp_port": 65536}, UsageError, "65536 is no port"),
        ({"pods": True}, UsageError, "web1 is in no cluster: name one by --cluster"),
        ({"dns": "a..b"}, UsageError, "is no name of DNS"),
        ({"cluster": "nowhere"}, InventoryError, "has no cluster nowhere"),
    ],
)
def test_what_cannot_be_is_told_before_anything_begins(
    more: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        FakeSite(Cuts()).scene_with("path_mtu.py", HOSTS | more).plan()
