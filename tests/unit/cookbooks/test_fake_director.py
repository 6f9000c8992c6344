"""A fake director and a real shell come to the same: the same verbs, the same values, the same ends."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ferryman.directors import HostRoutes, SetForwarding, driver_for
from ferryman.errors import WorldChangedError
from ferryman.hosts.fake import FakeHosts
from ferryman.model import Director, Forwarding, Role
from tools import asks
from unit.cookbooks.fake_director import FakeDirector
from unit.cookbooks.fake_site import WEB_TEXT
from unit.directors import world

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ferryman.hosts.fake import Call, Reply
    from ferryman.hosts.hosts import Hosts

THEIRS = ("-w 3", "-w 4")
TUNNEL = SetForwarding(Forwarding.TUNNEL)


class Both:
    """One director twice: behind a real shell, and as a fake."""

    def __init__(self, folder: Path, driver: str) -> None:
        folder.mkdir()
        self.shell = world.director(folder)
        self.file = folder / "web.conf"
        self.file.write_text(WEB_TEXT)
        self.fake = FakeDirector(
            "lvs1", world.RULES.splitlines(), {}, {str(self.file): WEB_TEXT}, lambda effect: effect()
        )
        file = self.fake.config = str(self.file)
        self.shell.switch("processes", f"own keepalived -f {file}\n")
        options = {"config": file, "service_file": file, "reload": f"reload {file}", "converge_timeout": 0}
        self.director = Director("lvs1", Role.PRIMARY, driver, options)

    def hosts(self, before_write: Callable[[], None]) -> FakeHosts:
        """The fake's; somebody else writes right before each write."""

        def answer(call: Call) -> Reply:
            if call.writes:
                before_write()
            return self.fake.answer(call)

        hosts = FakeHosts()
        hosts.answer("*", None, answer)
        return hosts

    def told(self, hosts: Hosts) -> list[Any]:
        """There and back again: what is read at each stage, and what the file says."""
        driver, routes = (
            driver_for(self.director, world.WEB, hosts),
            HostRoutes(self.director, world.WEB, hosts),
        )
        before = driver.before()
        seen: list[Any] = [before, routes.read()]
        routes.add(routes.read().needed)
        driver.apply(before, TUNNEL)
        seen += [driver.before(), routes.read()]
        driver.restore(before, TUNNEL)
        routes.remove(routes.read().ours)
        routes.remove(routes.read().ours)
        return [*seen, driver.before(), routes.read()]


@pytest.mark.parametrize("driver", ["ipvsadm", "keepalived"])
def test_there_and_back_again(tmp_path: Path, driver: str) -> None:
    both = Both(tmp_path / "lvs1", driver)
    real, fake = both.told(both.shell), both.told(both.hosts(lambda: None))
    assert without_modes(fake) == without_modes(real)
    assert both.fake.rules == both.shell.rules.splitlines()
    assert both.fake.files == {str(both.file): both.file.read_text()}


def without_modes(seen: list[Any]) -> list[Any]:
    """The fake's files have a mode of their own, and never another."""
    return json.loads(json.dumps(seen, default=repr).replace('"mode": "0640"', '"mode": "0644"'))  # type: ignore[no-any-return]


def test_what_somebody_writes_between_the_look_and_the_edit_is_seen(tmp_path: Path) -> None:
    both = Both(tmp_path / "lvs1", "ipvsadm")

    def in_the_shell() -> None:
        both.shell.rules = both.shell.rules.replace(*THEIRS)

    def in_the_fake() -> None:
        both.fake.rules = [line.replace(*THEIRS) for line in both.fake.rules]

    both.shell.before_write = in_the_shell
    said = []
    for hosts in (both.shell, both.hosts(in_the_fake)):
        driver = driver_for(both.director, world.WEB, hosts)
        with pytest.raises(WorldChangedError) as changed:
            driver.apply(driver.before(), TUNNEL)
        said.append(str(changed.value))
    assert said[0] == said[1]
    assert both.fake.rules == both.shell.rules.splitlines()


def test_a_verb_that_it_does_not_know_fails_the_test_that_sent_it(tmp_path: Path) -> None:
    both = Both(tmp_path / "lvs1", "ipvsadm")
    with pytest.raises(AssertionError, match="nothing that a fake director knows"):
        both.hosts(lambda: None).read("lvs1", asks("ipvsadm -Sn | head"))
