"""The steps for host routes say what they would do, and why they do nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ferryman.config import Config
from ferryman.cookbook import Ferry, HostRoutesDown, HostRoutesUp, NoChange
from ferryman.hosts.fake import FakeHosts
from ferryman.hosts.verbs.ipvs import IpvsTable
from ferryman.hosts.verbs.routes import ReadHostRoutes, RoutesReading
from ferryman.ipvs.listing import parse
from unit.directors.world import LVS1, RULES, WEB

if TYPE_CHECKING:
    from ferryman.hosts.fake import Call


@dataclass
class Director:
    """A director whose routes to every realserver are alike."""

    used: dict[str, Any]
    there: list[dict[str, Any]] = field(default_factory=list)

    @property
    def ferry(self) -> Ferry:
        """A world with this director alone."""
        hosts = FakeHosts()
        hosts.answer("lvs1", IpvsTable, parse(RULES))
        hosts.answer("lvs1", ReadHostRoutes, self._routes)
        return Ferry(Config(file=Path("ferryman.toml")), hosts)

    def _routes(self, call: Call) -> RoutesReading:
        addresses = call.verb.addresses
        return RoutesReading(
            {address: [self.used] for address in addresses}, dict.fromkeys(addresses, self.there)
        )


class Unheard:
    """A report that nobody reads."""

    def finding(self, *_: object) -> None: ...

    def probe(self, *_: object) -> None: ...


BEHIND = Director({"dev": "eth0", "gateway": "10.10.0.254"})
DIRECT = Director({"dev": "eth0"})


def test_where_realservers_are_behind_a_router_each_is_named_with_it_as_the_reason() -> None:
    found = HostRoutesUp(BEHIND.ferry, WEB, LVS1).check(Unheard())
    assert isinstance(found, NoChange)
    assert found.reason.split("; ")[0] == "10.10.0.21: is behind 10.10.0.254"
    assert found.before is None


def test_where_none_is_added_none_is_there_to_be_removed() -> None:
    """It is no change that is announced and does nothing."""
    found = HostRoutesDown(BEHIND.ferry, WEB, LVS1).check(Unheard())
    assert found == NoChange("it has none")


def test_what_would_be_added_is_told_and_whether_it_is_removed_cannot_be() -> None:
    ferry = DIRECT.ferry
    up, down = HostRoutesUp(ferry, WEB, LVS1), HostRoutesDown(ferry, WEB, LVS1)
    added, removed = up.check(Unheard()), down.check(Unheard())
    assert not isinstance(added, NoChange)
    assert not isinstance(removed, NoChange)
    assert up.cannot_tell_before(added) is None
    assert down.cannot_tell_before(removed) == (
        "connections from before have ended: the routes stay while some are left after 150 s"
    )
    ((adds,), (removes,)) = up.edits(added), down.edits(removed)
    assert (len(str(adds.command).splitlines()), len(str(removes.command).splitlines())) == (4, 4)


@pytest.mark.parametrize("family", ["10.10.0.21", "fd10::21"])
def test_both_families_are_told(family: str) -> None:
    up = HostRoutesUp(DIRECT.ferry, WEB, LVS1)
    before = up.check(Unheard())
    assert not isinstance(before, NoChange)
    assert any(family in str(edit.command) for edit in up.edits(before))
