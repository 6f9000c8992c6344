"""One run per virtual service, and who may take over whose lock."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field, replace

import pytest

from ferryman.engine.database import Database
from ferryman.engine.lease import Lease
from ferryman.engine.locks import LEASE_S, Locks
from ferryman.engine.owner import Owner, is_alive
from ferryman.errors import BusyError
from ferryman.testing import TurningClock

ALICE = Owner("control1", 100, 1, "boot")
BOB = Owner("control1", 200, 2, "boot")
ELSEWHERE = Owner("control2", 300, 3, "other boot")


@dataclass
class Harbour:
    database: Database = field(default_factory=Database.in_memory)
    clock: TurningClock = field(default_factory=TurningClock)
    dead: set[Owner] = field(default_factory=set)

    def locks(self, owner: Owner) -> Locks:
        return Locks(self.database, self.clock, owner, lambda other: other not in self.dead)


@pytest.fixture
def harbour() -> Harbour:
    return Harbour()


def holders(harbour: Harbour) -> dict[str, str]:
    return {lock.key: lock.run for lock in harbour.locks(ALICE).all()}


def test_a_second_run_is_told_who_where_since_when_and_how_to_look(harbour: Harbour) -> None:
    harbour.locks(ALICE).take(["web"], "run1", "alice")

    with pytest.raises(BusyError) as busy:
        harbour.locks(BOB).take(["web"], "run2", "bob")

    assert str(busy.value) == (
        "web: run run1 is under way (alice on control1, pid 100, since 2026-11-22T22:19:43.000Z); "
        "wait for it, or look: ferryman show run1"
    )


def test_all_of_the_keys_are_taken_or_none(harbour: Harbour) -> None:
    harbour.locks(ALICE).take(["web"], "run1", "alice")

    with pytest.raises(BusyError):
        harbour.locks(BOB).take(["maps", "web"], "run2", "bob")

    assert holders(harbour) == {"web": "run1"}


def test_every_key_that_is_taken_is_explained(harbour: Harbour) -> None:
    harbour.locks(ALICE).take(["web"], "run1", "alice")
    harbour.locks(ALICE).take(["maps"], "run0", "alice")

    with pytest.raises(BusyError, match=r"maps: run run0(.|\n)*web: run run1"):
        harbour.locks(BOB).take(["maps", "web"], "run2", "bob")


def test_a_dead_run_keeps_a_new_one_out_and_says_what_to_do(harbour: Harbour) -> None:
    harbour.locks(ALICE).take(["web"], "run1", "alice")
    harbour.dead.add(ALICE)

    with pytest.raises(
        BusyError, match=r"has died and is open .*ferryman resume run1 or ferryman rollback run1"
    ):
        harbour.locks(BOB).take(["web"], "run2", "bob")


@pytest.mark.parametrize("state", ["held", "stranded"])
def test_a_parked_run_keeps_a_new_one_out_and_names_itself(harbour: Harbour, state: str) -> None:
    locks = harbour.locks(ALICE)
    locks.take(["web"], "run1", "alice")
    locks.park("run1", state)  # type: ignore[arg-type]  # the parameters are its values

    with pytest.raises(BusyError, match=f"run run1 is {state} .*ferryman resume run1"):
        harbour.locks(BOB).take(["web"], "run2", "bob")


def test_the_same_run_takes_its_lock_over_from_a_dead_process(harbour: Harbour) -> None:
    harbour.locks(ALICE).take(["web"], "run1", "alice")
    harbour.dead.add(ALICE)
    harbour.locks(BOB).take(["web"], "run1", "bob")

    assert harbour.locks(BOB).are_ours(["web"], "run1")
    assert not harbour.locks(ALICE).are_ours(["web"], "run1")


def test_the_same_run_is_not_taken_from_a_live_process(harbour: Harbour) -> None:
    harbour.locks(ALICE).take(["web"], "run1", "alice")

    with pytest.raises(BusyError, match="this run is under way"):
        harbour.locks(BOB).take(["web"], "run1", "bob")


def test_a_parked_run_is_taken_up_though_its_process_still_lives(harbour: Harbour) -> None:
    harbour.locks(ALICE).take(["web"], "run1", "alice")
    harbour.locks(ALICE).park("run1", "held")
    harbour.locks(BOB).take(["web"], "run1", "bob")

    assert harbour.locks(BOB).are_ours(["web"], "run1")


def test_a_process_on_another_host_is_believed_dead_when_its_lease_is_over(harbour: Harbour) -> None:
    harbour.locks(ELSEWHERE).take(["web"], "run1", "carol")
    with pytest.raises(BusyError, match="under way"):
        harbour.locks(BOB).take(["web"], "run1", "bob")

    harbour.clock.turn(LEASE_S + 1)
    harbour.locks(BOB).take(["web"], "run1", "bob")

    assert harbour.locks(BOB).are_ours(["web"], "run1")


def test_a_heartbeat_keeps_the_lease_of_another_host(harbour: Harbour) -> None:
    harbour.locks(ELSEWHERE).take(["web"], "run1", "carol")
    harbour.clock.turn(LEASE_S - 1)
    assert harbour.locks(ELSEWHERE).renew(["web"], "run1")
    harbour.clock.turn(LEASE_S - 1)

    with pytest.raises(BusyError, match="under way"):
        harbour.locks(BOB).take(["web"], "run1", "bob")


@pytest.mark.parametrize("loss", ["DELETE FROM locks", "UPDATE locks SET run = 'run2', pid = 200"])
def test_a_lost_lock_stops_the_next_change(harbour: Harbour, loss: str) -> None:
    locks = harbour.locks(ALICE)
    locks.take(["web"], "run1", "alice")
    lease = Lease(locks, ["web"], "run1")
    lease.require()
    harbour.database.execute(loss)

    with pytest.raises(BusyError, match="the lock of run1 was lost"):
        lease.require()


def test_a_loss_that_a_heartbeat_saw_counts_though_the_lock_is_back(harbour: Harbour) -> None:
    locks = harbour.locks(ALICE)
    lease = Lease(locks, ["web"], "run1")
    lease.beat(locks)
    locks.take(["web"], "run1", "alice")

    with pytest.raises(BusyError):
        lease.require()


def test_releasing_one_run_leaves_the_others(harbour: Harbour) -> None:
    harbour.locks(ALICE).take(["web"], "run1", "alice")
    harbour.locks(BOB).take(["maps"], "run2", "bob")
    harbour.locks(ALICE).release("run1")

    assert holders(harbour) == {"maps": "run2"}


def test_this_process_is_alive() -> None:
    assert is_alive(Owner.this_process())


@pytest.mark.parametrize(
    "other",
    [
        replace(Owner.this_process(), pid_started=1),
        replace(Owner.this_process(), boot_id="an earlier one"),
        replace(Owner.this_process(), pid=2**22 + 1),
    ],
    ids=["the number was used again", "the host was booted again", "there is none"],
)
def test_a_process_that_only_looks_like_it_is_dead(other: Owner) -> None:
    assert not is_alive(other)


def test_a_zombie_is_dead() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    owner = replace(Owner.this_process(), pid=child.pid, pid_started=_started(child.pid))
    assert is_alive(owner)

    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # dead, and not yet taken away

    assert not is_alive(owner)
    assert child.stdin is not None
    child.stdin.close()
    child.wait()


def _started(pid: int) -> int:
    from ferryman.engine.owner import _started as started  # noqa: PLC0415  # what is under test, for another pid

    found = started(pid)
    assert found is not None
    return found
