"""How often a migration asks hosts, by verb: what one verb can bring together is one verb."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from ferryman.testing import Cuts, Harness
from unit.cookbooks.fake_site import FakeSite

if TYPE_CHECKING:
    from ferryman.hosts.fake import Call, Reply

MOST = {
    "facts": 2,
    "director-state": 2,
    "ipvs-table": 16,
    "connections": 6,
    "host-routes": 27,
    "add-host-routes": 2,
    "remove-host-routes": 2,
    "keepalived-read": 11,
    "keepalived-files": 2,
    "keepalived-test": 6,
    "keepalived-write": 2,
}
"""Of a service with two realservers on two directors, whose keepalived's files are edited."""


class CountingSite(FakeSite):
    """Counts what its hosts are asked."""

    def __init__(self) -> None:
        super().__init__(Cuts())
        self.asked: Counter[str] = Counter()

    def answer(self, call: Call) -> Reply:
        self.asked[call.verb.name] += 1
        return super().answer(call)


def test_a_migration_asks_no_more_often_than_it_did() -> None:
    site = CountingSite()
    assert Harness().perform(site.scene("migrate.py", "web").plan()).outcome == "done"
    assert dict(site.asked - Counter(MOST)) == {}


def test_a_dry_run_writes_nothing() -> None:
    site = CountingSite()
    before = site.state
    assert Harness().perform(site.scene("migrate.py", "web").plan(), dry_run=True).outcome == "done"
    assert site.state == before
    assert not {name for name in site.asked if name not in MOST}
    assert not site.asked.keys() & {"add-host-routes", "remove-host-routes", "keepalived-write"}
