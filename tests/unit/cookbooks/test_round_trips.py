"""How often hosts are asked: what is asked of one host at one moment is one command. By verb, too."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from ferryman.testing import Cuts, Harness
from unit.cookbooks.fake_site import FakeSite

if TYPE_CHECKING:
    from ferryman.hosts.fake import FakeHosts

MIGRATED = {
    "facts": 2,
    "director-state": 2,
    "ipvs-table": 6,
    "connections": 5,
    "host-routes": 21,
    "add-host-routes": 2,
    "remove-host-routes": 2,
    "keepalived-read": 11,
    "keepalived-test": 4,
    "keepalived-write": 2,
}
"""The verbs of a migration of a service with two realservers on two directors, whose keepalived's files are
edited. A new reading is to be noticed here: ask it with what is asked at the same moment, or say why not."""
EDITED = {
    "facts": 2,
    "director-state": 2,
    "ipvs-table": 13,
    "connections": 5,
    "host-routes": 21,
    "add-host-routes": 2,
    "remove-host-routes": 2,
    "edit-table": 2,
}
"""The same where the directors' tables are edited with ipvsadm."""
ROLLED_BACK = {
    "ipvs-table": 4,
    "connections": 6,
    "host-routes": 14,
    "add-host-routes": 2,
    "remove-host-routes": 2,
    "keepalived-read": 8,
    "keepalived-test": 4,
    "keepalived-write": 2,
}
DRY_RUN = {"facts": 2, "director-state": 2, "host-routes": 2, "keepalived-read": 2, "keepalived-test": 2}
AGAIN = {"facts": 2, "director-state": 2, "host-routes": 4, "keepalived-read": 4}
"""A dry run where nothing is to be changed."""
CHECKED = {"facts": 2, "director-state": 2, "keepalived-read": 2, "keepalived-test": 2}


class CountingSite(FakeSite):
    """Counts the commands that go to its hosts, and the verbs in them."""

    def __init__(self) -> None:
        super().__init__(Cuts())
        self.asked: list[FakeHosts] = []

    def fake_hosts(self) -> FakeHosts:
        self.asked.append(super().fake_hosts())
        return self.asked[-1]

    def counted(self) -> tuple[int, dict[str, int]]:
        """How many commands there were since the last time, and how many of each verb."""
        commands = [verbs for hosts in self.asked for _, verbs in hosts.commands]
        self.asked.clear()
        return len(commands), dict(Counter(verb.name for verbs in commands for verb in verbs))


@pytest.mark.parametrize(
    ("service", "commands", "verbs"), [("web", 27, MIGRATED), ("static", 25, EDITED)], ids=["web", "static"]
)
def test_a_migration_asks_no_more_often_than_this(service: str, commands: int, verbs: dict[str, Any]) -> None:
    site = CountingSite()
    assert Harness().perform(site.scene("migrate.py", service).plan()).outcome == "done"
    assert site.counted() == (commands, verbs)


def test_nor_does_its_rollback() -> None:
    site, harness = CountingSite(), Harness()
    scene = site.scene("migrate.py", "web")
    assert harness.perform(scene.plan()).outcome == "done"
    site.counted()
    assert harness.recover(scene.plan(), "rollback").outcome == "rolled-back"
    assert site.counted() == (16, ROLLED_BACK)


def test_nor_does_a_check() -> None:
    site = CountingSite()
    assert Harness().perform(site.scene("check.py", "web").plan()).outcome == "done"
    assert site.counted() == (6, CHECKED)


def test_a_dry_run_asks_before_anything_else_and_writes_nothing() -> None:
    site = CountingSite()
    before = site.state
    assert Harness().perform(site.scene("migrate.py", "web").plan(), dry_run=True).outcome == "done"
    assert site.state == before
    assert site.counted() == (6, DRY_RUN)


def test_a_dry_run_of_a_service_that_is_migrated_looks_twice_and_waits_for_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site = CountingSite()
    scene = site.scene("migrate.py", "web")
    assert Harness().perform(scene.plan()).outcome == "done"
    site.counted()
    waited: list[float] = []
    monkeypatch.setattr("time.sleep", waited.append)
    assert Harness().perform(scene.plan(), dry_run=True).outcome == "done"
    assert site.counted() == (6, AGAIN)
    assert waited == []
