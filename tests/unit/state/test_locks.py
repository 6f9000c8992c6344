"""One run per virtual service, and who may take over whose lock."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field, replace

import pytest

from ferryman.engine.lease import Lease
from ferryman.engine.plan import Plan
from ferryman.engine.process import ProcessId, is_alive
from ferryman.errors import BusyError
from ferryman.state import Close, NewRecord, RunRequest, SqliteStore
from ferryman.state.database import Database
from ferryman.state.sqlite import LEASE_S
from ferryman.testing import FakeWorld, Is, TurningClock

ALICE = ProcessId("control1", 100, 1, "boot:1")
BOB = ProcessId("control1", 200, 2, "boot:1")
ELSEWHERE = ProcessId("control2", 300, 3, "other boot")


ORDER = RunRequest(cookbook="test", operator="alice")
PLAN = Plan([Is(FakeWorld(), "a", "b")])


@dataclass
class Harbour:
    """A store that several processes use."""

    database: Database = field(default_factory=Database.in_memory)
    clock: TurningClock = field(default_factory=TurningClock)
    dead: set[ProcessId] = field(default_factory=set)

    def store(self, owner: ProcessId) -> SqliteStore:
        return SqliteStore(
            self.database, clock=self.clock, owner=owner, alive=lambda other: other not in self.dead
        )

    def taken(self, owner: ProcessId, *keys: str) -> tuple[SqliteStore, str]:
        """A run of this process's that has these locks."""
        store = self.store(owner)
        run = store.begin(ORDER, PLAN)
        store.take(run, keys, owner.host)
        return store, run


@pytest.fixture
def harbour() -> Harbour:
    return Harbour()


def holders(harbour: Harbour) -> dict[str, str]:
    return {lock.key: lock.run for lock in harbour.store(ALICE).locks()}


def test_a_second_run_is_told_who_where_since_when_and_how_to_look(harbour: Harbour) -> None:
    _, run = harbour.taken(ALICE, "web")

    with pytest.raises(BusyError) as busy:
        harbour.taken(BOB, "web")

    assert str(busy.value) == (
        f"web: run {run} is under way (control1 on control1, pid 100, since 2026-11-22T22:19:43.000Z); "
        f"wait for it, or look: ferryman show {run}"
    )
    assert busy.value.keys == {"web"}
    assert busy.value.at_work


def test_all_of_the_keys_are_taken_or_none(harbour: Harbour) -> None:
    _, run = harbour.taken(ALICE, "web")

    with pytest.raises(BusyError):
        harbour.taken(BOB, "maps", "web")

    assert holders(harbour) == {"web": run}


def test_every_key_that_is_taken_is_explained(harbour: Harbour) -> None:
    _, web = harbour.taken(ALICE, "web")
    _, maps = harbour.taken(ALICE, "maps")

    with pytest.raises(BusyError, match=rf"maps: run {maps}(.|\n)*web: run {web}"):
        harbour.taken(BOB, "maps", "web")


def test_a_dead_run_keeps_a_new_one_out_proves_it_and_says_what_to_do(harbour: Harbour) -> None:
    _, run = harbour.taken(ALICE, "web")
    harbour.dead.add(ALICE)

    with pytest.raises(BusyError) as busy:
        harbour.taken(BOB, "web")

    assert "has died and is open" in str(busy.value)
    assert "no process 100 of that start is on control1" in str(busy.value)
    assert f"ferryman resume {run} or ferryman rollback {run}" in str(busy.value)
    assert not busy.value.at_work, "there is nothing to wait for"


@pytest.mark.parametrize("state", ["held", "stranded"])
def test_a_parked_run_keeps_a_new_one_out_and_names_itself(harbour: Harbour, state: str) -> None:
    store, run = harbour.taken(ALICE, "web")
    store.finish(run, Close(state, 7, "", is_final=True))  # type: ignore[arg-type]  # the parameters are its values

    with pytest.raises(BusyError, match=f"run {run} is {state} .*ferryman resume {run}"):
        harbour.taken(BOB, "web")


def test_a_run_that_its_process_left_dead_is_claimed_with_its_locks(harbour: Harbour) -> None:
    alice, run = harbour.taken(ALICE, "web")
    harbour.dead.add(ALICE)
    bob = harbour.store(BOB)
    bob.claim(bob.run(run), ["web"], "bob")

    bob.require_hold()
    with pytest.raises(BusyError):
        alice.require_hold()


def test_a_run_is_not_claimed_from_a_live_process(harbour: Harbour) -> None:
    _, run = harbour.taken(ALICE, "web")
    bob = harbour.store(BOB)

    with pytest.raises(BusyError, match=f"run {run} is under way"):
        bob.claim(bob.run(run), ["web"], "bob")


def test_a_parked_run_is_claimed_though_its_process_still_lives(harbour: Harbour) -> None:
    alice, run = harbour.taken(ALICE, "web")
    alice.finish(run, Close("held", 7, "", is_final=True))
    bob = harbour.store(BOB)
    bob.claim(bob.run(run), ["web"], "bob")

    bob.require_hold()


def test_of_two_that_read_the_same_dead_run_one_claims_it(harbour: Harbour) -> None:
    _, run = harbour.taken(ALICE, "web")
    harbour.dead.add(ALICE)
    bob, carol = harbour.store(BOB), harbour.store(ELSEWHERE)
    read = bob.run(run)
    bob.claim(read, ["web"], "bob")

    with pytest.raises(BusyError, match="under way"):
        carol.claim(read, ["web"], "carol")


def test_a_run_that_moved_on_since_it_was_read_is_not_claimed(harbour: Harbour) -> None:
    alice, run = harbour.taken(ALICE, "web")
    bob = harbour.store(BOB)
    read = bob.run(run)
    alice.append(run, [NewRecord("2026-11-22T22:19:43.000Z", "intent", {})])
    harbour.dead.add(ALICE)

    with pytest.raises(BusyError, match="under way"):
        bob.claim(read, ["web"], "bob")


def test_a_process_that_died_looking_at_a_run_that_had_ended_keeps_nobody_out(
    harbour: Harbour,
) -> None:
    alice, run = harbour.taken(ALICE, "web")
    alice.finish(run, Close("done", 0, "", is_final=True))
    looking = harbour.store(ELSEWHERE)
    looking.claim(looking.run(run), ["web"], "carol")
    with pytest.raises(BusyError, match="under way"):
        harbour.taken(BOB, "web")
    harbour.clock.turn(LEASE_S + 1)

    _, mine = harbour.taken(BOB, "web")

    assert holders(harbour) == {"web": mine}


def test_a_process_on_another_host_is_believed_dead_when_its_lease_is_over(harbour: Harbour) -> None:
    _, run = harbour.taken(ELSEWHERE, "web")
    bob = harbour.store(BOB)
    with pytest.raises(BusyError, match="under way"):
        bob.claim(bob.run(run), ["web"], "bob")

    harbour.clock.turn(LEASE_S + 1)
    bob.claim(bob.run(run), ["web"], "bob")

    bob.require_hold()


def test_a_process_of_another_pid_namespace_is_judged_by_its_lease(harbour: Harbour) -> None:
    """A container has the host's name and boot, and numbers of its own: the kernel's word is about others."""
    contained = replace(ALICE, boot_id="boot:4026532000")
    _, run = harbour.taken(contained, "web")
    harbour.dead.add(contained)
    bob = harbour.store(BOB)

    with pytest.raises(BusyError, match="under way"):
        bob.claim(bob.run(run), ["web"], "bob")


def test_a_process_of_an_earlier_boot_is_dead(harbour: Harbour) -> None:
    harbour.taken(replace(ALICE, boot_id="earlier"), "web")

    with pytest.raises(BusyError, match="control1 has been booted since"):
        harbour.taken(BOB, "web")


def test_a_heartbeat_keeps_the_lease_of_another_host(harbour: Harbour) -> None:
    elsewhere, run = harbour.taken(ELSEWHERE, "web")
    harbour.clock.turn(LEASE_S - 1)
    elsewhere.beat()
    harbour.clock.turn(LEASE_S - 1)
    bob = harbour.store(BOB)

    with pytest.raises(BusyError, match="under way"):
        bob.claim(bob.run(run), ["web"], "bob")


@pytest.mark.parametrize(
    "loss", ["DELETE FROM locks", "UPDATE locks SET run = 'run2', pid = 200", "UPDATE runs SET pid = 200"]
)
def test_a_lost_lock_stops_the_next_change(harbour: Harbour, loss: str) -> None:
    store, run = harbour.taken(ALICE, "web")
    lease = Lease(store, run)
    lease.require()
    harbour.database.execute(loss)

    with pytest.raises(BusyError, match=f"{run}: is no longer this process's"):
        lease.require()


def test_a_loss_that_a_heartbeat_saw_counts_though_the_lock_is_back(harbour: Harbour) -> None:
    store, run = harbour.taken(ALICE, "web")
    lease = Lease(store, run)
    harbour.database.execute("UPDATE locks SET pid = 200")
    lease.beat()
    harbour.database.execute("UPDATE locks SET pid = 100")

    with pytest.raises(BusyError):
        lease.require()


def test_the_end_of_one_run_leaves_the_locks_of_others(harbour: Harbour) -> None:
    alice, web = harbour.taken(ALICE, "web")
    _, maps = harbour.taken(BOB, "maps")
    alice.finish(web, Close("done", 0, "", is_final=True))

    assert holders(harbour) == {"maps": maps}


def test_this_process_is_alive() -> None:
    assert is_alive(ProcessId.this_process())


@pytest.mark.parametrize(
    "other",
    [
        replace(ProcessId.this_process(), pid_started=1),
        replace(ProcessId.this_process(), boot_id="an earlier one"),
        replace(ProcessId.this_process(), pid=2**22 + 1),
    ],
    ids=["the number was used again", "the host was booted again", "there is none"],
)
def test_a_process_that_only_looks_like_it_is_dead(other: ProcessId) -> None:
    assert not is_alive(other)


def test_a_zombie_is_dead() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    owner = replace(ProcessId.this_process(), pid=child.pid, pid_started=_started(child.pid))
    assert is_alive(owner)

    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # dead, and not yet taken away

    assert not is_alive(owner)
    assert child.stdin is not None
    child.stdin.close()
    child.wait()


def _started(pid: int) -> int:
    from ferryman.engine.process import _started as started  # noqa: PLC0415  # what is under test, for another pid

    found = started(pid)
    assert found is not None
    return found
