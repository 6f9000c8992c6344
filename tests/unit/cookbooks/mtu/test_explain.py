"""mtu explain: every number is derived from the path MTU, and none is fixed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ferryman.testing import Cuts, Harness, OwnPart, Scene, ThirdParty
from unit.kubernetes.mtu.world import World

if TYPE_CHECKING:
    from collections.abc import Sequence


def scene(cuts: Cuts) -> Scene:
    """Nothing is asked, so that there is nothing to cut."""
    world = World(cuts)
    nobody = ThirdParty("does nothing", ("",), lambda: None)
    own = OwnPart(in_place=list, missing=list, rest=lambda: None)
    return Scene(lambda: world.plan("explain", {"path_mtu": 1500}), lambda: None, [nobody], own)


def numbers(path_mtu: int) -> Sequence[str]:
    harness = Harness()
    assert harness.perform(World().plan("explain", {"path_mtu": path_mtu})).outcome == "done"
    found = [each.event.as_dict() for each in harness.events if each.event.event == "finding"]
    return [f"{each['host']}: {each['seen']}" for each in found]


def test_at_1500_bytes_they_are_those_that_were_measured() -> None:
    assert numbers(1500) == [
        "IPv4 outer: outer header: 20 bytes",
        "IPv4 outer: pod MTU: 1480",
        "IPv4 outer: MSS for IPv4: 1440",
        "IPv4 outer: MSS for IPv6: 1420",
        "IPv4 outer: UDP payload over IPv4: 1452",
        "IPv4 outer: UDP payload over IPv6: 1432",
        "IPv4 outer: EDNS buffer size: 1432 at most",
        "IPv4 outer: EDNS buffer size for any path: 1232",
        "IPv6 outer: outer header: 40 bytes",
        "IPv6 outer: pod MTU: 1460",
        "IPv6 outer: MSS for IPv4: 1420",
        "IPv6 outer: MSS for IPv6: 1400",
        "IPv6 outer: UDP payload over IPv4: 1432",
        "IPv6 outer: UDP payload over IPv6: 1412",
        "IPv6 outer: EDNS buffer size: 1412 at most",
        "IPv6 outer: EDNS buffer size for any path: 1232",
    ]


@pytest.mark.parametrize("path_mtu", [1280, 1400, 9000])
def test_with_another_path_mtu_each_of_them_moves_by_as_much(path_mtu: int) -> None:
    def plain(lines: Sequence[str]) -> list[int]:
        return [int(line.split(": ")[2].split()[0]) for line in lines if "header" not in line]

    moved = [there - here for here, there in zip(plain(numbers(1500)), plain(numbers(path_mtu)), strict=True)]
    assert set(moved) == {path_mtu - 1500, 0}
    assert moved.count(0) == 2, "what any path carries is the same on each"
