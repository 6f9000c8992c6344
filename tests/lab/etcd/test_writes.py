"""Different services behind one director: their runs wait for each other, and for nothing else."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from ferryman.engine import runner as engine
from ferryman.engine.plan import Plan
from ferryman.engine.runner import Runner
from ferryman.testing import Becomes, Cut, Cuts, FakeWorld, Killed
from lab.etcd.hosts import REQUEST
from lab.etcd.torture import attempt

if TYPE_CHECKING:
    import pytest

    from ferryman.outcomes import RunResult
    from lab.etcd.hosts import ControlHosts

WRITES = 3
"""The call to the world in which the one change writes."""


class WaitNotice(logging.Handler):
    """Notices that a run says it waits."""

    def __init__(self) -> None:
        super().__init__()
        self.waits = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if "waiting for another run" in record.getMessage():
            self.waits.set()


def service(world: FakeWorld, name: str, director: str) -> Plan:
    return Plan([Becomes(world, name, "new")], [f"{name}/codfw"], writes=[director])


def test_the_second_service_of_a_director_waits_and_then_goes(
    hosts: ControlHosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_LOCK_POLL_S", 0.05)
    notice = WaitNotice()
    endings: list[RunResult] = []
    wiki = FakeWorld(None, wiki="old")
    seen_by_the_second: list[str] = []

    def second() -> None:
        runner = Runner(store=hosts.store("two"), wait_s=60)
        endings.append(runner.perform(REQUEST, service(wiki, "wiki", "lvs1")))

    thread = threading.Thread(target=second)

    def let_the_second_come() -> None:
        thread.start()
        assert notice.waits.wait(60)
        seen_by_the_second.append(wiki.values["wiki"])

    web = FakeWorld(Cuts(Cut(WRITES, "before", let_the_second_come)), web="old")
    engine._log.addHandler(notice)
    try:
        endings.append(Runner(store=hosts.store("one")).perform(REQUEST, service(web, "web", "lvs1")))
        thread.join()
    finally:
        engine._log.removeHandler(notice)

    assert [ending.outcome for ending in endings] == ["done", "done"]
    assert seen_by_the_second == ["old"], "it waited"
    assert (web.values, wiki.values) == ({"web": "new"}, {"wiki": "new"})
    assert hosts.locked == {}


def test_a_service_of_another_director_does_not_wait(hosts: ControlHosts) -> None:
    wiki, endings = FakeWorld(None, wiki="old"), list[str]()

    def the_other_goes_meanwhile() -> None:
        endings.append(hosts.perform(service(wiki, "wiki", "lvs2"), "two").outcome)

    web = FakeWorld(Cuts(Cut(WRITES, "before", the_other_goes_meanwhile)), web="old")

    assert hosts.perform(service(web, "web", "lvs1"), "one").outcome == "done"
    assert endings == ["done"]


def test_nobody_waits_for_a_run_that_has_died(hosts: ControlHosts) -> None:
    def die() -> None:
        raise Killed

    web = FakeWorld(Cuts(Cut(WRITES, "before", die)), web="old")
    attempt(lambda: hosts.perform(service(web, "web", "lvs1"), "one"))
    hosts.cluster.end_leases()

    wiki = FakeWorld(None, wiki="old")
    ending = Runner(store=hosts.store("two"), wait_s=600).perform(REQUEST, service(wiki, "wiki", "lvs1"))

    assert (ending.outcome, wiki.values) == ("busy", {"wiki": "old"})
    assert f"ferryman rollback {hosts.onlooker.locks()[0].run}" in ending.reason
