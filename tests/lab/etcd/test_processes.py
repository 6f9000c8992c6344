"""Real processes with real leases: killed, frozen, and woken up after another host has ended their run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ferryman.engine.runner import Runner
from ferryman.retry import poll_until
from ferryman.state.etcd.store import EtcdStore
from lab.etcd.children import Child
from lab.etcd.cluster import MIN_LEASE_S
from lab.etcd.control import kept_world
from lab.etcd.hosts import NEW, OLD, PREFIX, plan
from lab.etcd.torture import expect_settled

if TYPE_CHECKING:
    from pathlib import Path

    from ferryman.outcomes import RunResult
    from ferryman.testing import RecoveryCommand
    from lab.etcd.hosts import ControlHosts

LOOKS_BETWEEN, CHECKS_AGAIN, WRITES_AGAIN = 6, 7, 9
"""Calls to the world: between the two changes, right before the second, in the second."""
LONG_LEASE_S = 60
SHORT_LEASE_S = 5
"""Nobody is stopped by a machine that is busy for a third of it."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file with the values of the fake world."""
    (tmp_path / "world").write_text(json.dumps(OLD))
    return tmp_path / "world"


def begin(hosts: ControlHosts, path: Path, lease_s: int, at: int) -> Child:
    """A process that waits at this call."""
    child = Child("control", f"etcd://{','.join(hosts.cluster.endpoints)}{PREFIX}", path, lease_s, at)
    assert child.word() == "waiting"
    return child


def when_it_may(hosts: ControlHosts, path: Path, command: RecoveryCommand) -> RunResult:
    """Another host tries to take the run up, until the lease has ended by itself."""
    return poll_until(
        lambda: hosts.recover(plan(kept_world(path)), command, "two"),
        lambda ending: ending.outcome != "busy",
        within_s=30,
        every_s=0.2,
    )


def values(path: Path) -> dict[str, str]:
    found: dict[str, str] = json.loads(path.read_text())
    return found


@pytest.mark.parametrize(
    ("at", "command", "left"), [(LOOKS_BETWEEN, "resume", NEW), (WRITES_AGAIN, "rollback", OLD)]
)
def test_the_same_host_need_not_wait_for_the_lease_of_a_killed_process(
    hosts: ControlHosts, path: Path, at: int, command: RecoveryCommand, left: dict[str, str]
) -> None:
    with begin(hosts, path, LONG_LEASE_S, at) as child:
        child.kill()
    store = EtcdStore(hosts.named(), hosts.config)  # this process is on the same host as the dead one
    runner, world = Runner(store=store), kept_world(path)

    ending = (
        runner.resume(hosts.run, plan(world))
        if command == "resume"
        else runner.roll_back(hosts.run, plan(world))
    )

    store.close()
    assert (ending.exit_code, values(path)) == (0, left)
    expect_settled(hosts, values(path), (at, command))


def test_another_host_waits_until_the_lease_of_a_killed_process_has_ended(
    hosts: ControlHosts, path: Path
) -> None:
    with begin(hosts, path, MIN_LEASE_S, LOOKS_BETWEEN) as child:
        assert hosts.recover(plan(kept_world(path)), "rollback", "two").outcome == "busy"
        child.kill()

    assert when_it_may(hosts, path, "rollback").outcome == "rolled-back"
    expect_settled(hosts, values(path), "killed")


@pytest.mark.parametrize(("at", "command"), [(LOOKS_BETWEEN, "rollback"), (CHECKS_AGAIN, "resume")])
def test_a_process_that_wakes_up_after_its_lease_changes_nothing_more(
    hosts: ControlHosts, path: Path, at: int, command: RecoveryCommand
) -> None:
    with begin(hosts, path, SHORT_LEASE_S, at) as child:
        child.freeze()
        outcome = when_it_may(hosts, path, command).outcome
        left = values(path)
        child.thaw()
        child.go()

        assert child.word() in {"busy", "held", "stranded"}

    assert values(path) == left
    assert hosts.onlooker.runs()[0].outcome == outcome
    expect_settled(hosts, values(path), (at, command))


def test_a_process_that_waits_for_long_keeps_its_run(hosts: ControlHosts, path: Path) -> None:
    """Its heart beats: twice the lease goes by, and nobody else gets in."""
    with begin(hosts, path, SHORT_LEASE_S, LOOKS_BETWEEN) as child:
        ending = poll_until(
            lambda: hosts.recover(plan(kept_world(path)), "rollback", "two"),
            lambda ending: ending.outcome != "busy",
            within_s=SHORT_LEASE_S * 2,
        )
        assert ending.outcome == "busy"
        child.go()
        assert child.word() == "done"

    assert values(path) == NEW
    expect_settled(hosts, values(path), "waited")
