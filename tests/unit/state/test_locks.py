"""One run per virtual service, and who may take over whose lock."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from ferryman.engine.lease import Lease
from ferryman.engine.plan import Plan
from ferryman.engine.process import ProcessId, is_alive
from ferryman.errors import BusyError
from ferryman.outcomes import Outcome, RunResult
from ferryman.state import NewRecord, RunRequest, SqliteStore
from ferryman.state.sqlite.database import Database
from ferryman.state.sqlite.store import LEASE_S
from ferryman.testing import FakeWorld, Is, TurningClock
from ordinary_user import argv_of_user
from tools import require_tool

ALICE = ProcessId("control1", 100, 1, "boot:1")
BOB = ProcessId("control1", 200, 2, "boot:1")
ELSEWHERE = ProcessId("control2", 300, 3, "other boot")


REQUEST = RunRequest(cookbook="test", operator="alice")
PLAN = Plan([Is(FakeWorld(), "a", "b")])


@dataclass
class SharedStore:
    """A store that several processes use."""

    database: Database = field(default_factory=Database.in_memory)
    clock: TurningClock = field(default_factory=TurningClock)
    dead: set[ProcessId] = field(default_factory=set)

    def store(self, owner: ProcessId) -> SqliteStore:
        return SqliteStore(
            self.database, clock=self.clock, owner=owner, alive=lambda other: other not in self.dead
        )

    def owning(self, owner: ProcessId, *keys: str) -> tuple[SqliteStore, str]:
        """A run of this process's that has these locks."""
        store = self.store(owner)
        run = store.begin(REQUEST, PLAN)
        store.acquire(run, keys, owner.host)
        return store, run


@pytest.fixture
def shared() -> SharedStore:
    return SharedStore()


def holders(shared: SharedStore) -> dict[str, str]:
    return {lock.key: lock.run for lock in shared.store(ALICE).locks()}


def test_a_second_run_is_told_who_where_since_when_and_how_to_look(shared: SharedStore) -> None:
    _, run = shared.owning(ALICE, "web")

    with pytest.raises(BusyError) as busy:
        shared.owning(BOB, "web")

    assert str(busy.value) == (
        f"web: run {run} is under way (control1 on control1, pid 100, since 2026-11-22T22:19:43.000Z); "
        f"wait for it, or look: ferryman show {run}"
    )
    assert busy.value.keys == {"web"}
    assert busy.value.at_work


def test_all_of_the_keys_are_taken_or_none(shared: SharedStore) -> None:
    _, run = shared.owning(ALICE, "web")

    with pytest.raises(BusyError):
        shared.owning(BOB, "maps", "web")

    assert holders(shared) == {"web": run}


def test_every_key_that_is_taken_is_explained(shared: SharedStore) -> None:
    _, web = shared.owning(ALICE, "web")
    _, maps = shared.owning(ALICE, "maps")

    with pytest.raises(BusyError, match=rf"maps: run {maps}(.|\n)*web: run {web}"):
        shared.owning(BOB, "maps", "web")


def test_a_dead_run_keeps_a_new_one_out_proves_it_and_says_what_to_do(shared: SharedStore) -> None:
    _, run = shared.owning(ALICE, "web")
    shared.dead.add(ALICE)

    with pytest.raises(BusyError) as busy:
        shared.owning(BOB, "web")

    assert "has died and is open" in str(busy.value)
    assert "no process 100 of that start is on control1" in str(busy.value)
    assert f"ferryman resume {run} or ferryman rollback {run}" in str(busy.value)
    assert not busy.value.at_work, "there is nothing to wait for"


@pytest.mark.parametrize("state", [Outcome.HELD, Outcome.STRANDED], ids=lambda state: state.word)
def test_a_held_or_stranded_run_keeps_a_new_one_out_and_names_itself(
    shared: SharedStore, state: Outcome
) -> None:
    store, run = shared.owning(ALICE, "web")
    store.finish(RunResult(state, "", run), is_final=True)

    with pytest.raises(BusyError, match=f"run {run} is {state.word} .*ferryman resume {run}"):
        shared.owning(BOB, "web")


def test_a_run_that_its_process_left_dead_is_adopted_with_its_locks(shared: SharedStore) -> None:
    alice, run = shared.owning(ALICE, "web")
    shared.dead.add(ALICE)
    bob = shared.store(BOB)
    bob.adopt(bob.run(run), ["web"], "bob")

    bob.require_owned()
    with pytest.raises(BusyError):
        alice.require_owned()


def test_a_run_is_not_adopted_from_a_live_process(shared: SharedStore) -> None:
    _, run = shared.owning(ALICE, "web")
    bob = shared.store(BOB)

    with pytest.raises(BusyError, match=f"run {run} is under way"):
        bob.adopt(bob.run(run), ["web"], "bob")


def test_a_held_run_is_adopted_though_its_process_still_lives(shared: SharedStore) -> None:
    alice, run = shared.owning(ALICE, "web")
    alice.finish(RunResult(Outcome.HELD, "", run), is_final=True)
    bob = shared.store(BOB)
    bob.adopt(bob.run(run), ["web"], "bob")

    bob.require_owned()


def test_of_two_that_read_the_same_dead_run_one_adopts_it(shared: SharedStore) -> None:
    _, run = shared.owning(ALICE, "web")
    shared.dead.add(ALICE)
    bob, carol = shared.store(BOB), shared.store(ELSEWHERE)
    read = bob.run(run)
    bob.adopt(read, ["web"], "bob")

    with pytest.raises(BusyError, match="under way"):
        carol.adopt(read, ["web"], "carol")


def test_a_run_that_moved_on_since_it_was_read_is_not_adopted(shared: SharedStore) -> None:
    alice, run = shared.owning(ALICE, "web")
    bob = shared.store(BOB)
    read = bob.run(run)
    alice.append(run, [NewRecord("2026-11-22T22:19:43.000Z", "intent", {})])
    shared.dead.add(ALICE)

    with pytest.raises(BusyError, match="under way"):
        bob.adopt(read, ["web"], "bob")


def test_a_process_that_died_looking_at_a_run_that_had_ended_keeps_nobody_out(
    shared: SharedStore,
) -> None:
    alice, run = shared.owning(ALICE, "web")
    alice.finish(RunResult(Outcome.DONE, "", run), is_final=True)
    looking = shared.store(ELSEWHERE)
    looking.adopt(looking.run(run), ["web"], "carol")
    with pytest.raises(BusyError, match="under way"):
        shared.owning(BOB, "web")
    shared.clock.turn(LEASE_S + 1)

    _, mine = shared.owning(BOB, "web")

    assert holders(shared) == {"web": mine}


def test_a_process_on_another_host_is_believed_dead_when_its_lease_is_over(shared: SharedStore) -> None:
    _, run = shared.owning(ELSEWHERE, "web")
    bob = shared.store(BOB)
    with pytest.raises(BusyError, match="under way"):
        bob.adopt(bob.run(run), ["web"], "bob")

    shared.clock.turn(LEASE_S + 1)
    bob.adopt(bob.run(run), ["web"], "bob")

    bob.require_owned()


def test_a_process_of_another_pid_namespace_is_judged_by_its_lease(shared: SharedStore) -> None:
    """A container has the host's name and boot, and numbers of its own: the kernel's word is about others."""
    contained = replace(ALICE, boot_id="boot:4026532000")
    _, run = shared.owning(contained, "web")
    shared.dead.add(contained)
    bob = shared.store(BOB)

    with pytest.raises(BusyError, match="under way"):
        bob.adopt(bob.run(run), ["web"], "bob")


def test_a_process_of_an_earlier_boot_is_dead(shared: SharedStore) -> None:
    shared.owning(replace(ALICE, boot_id="earlier"), "web")

    with pytest.raises(BusyError, match="control1 has been booted since"):
        shared.owning(BOB, "web")


def test_a_renewal_keeps_the_lease_of_another_host(shared: SharedStore) -> None:
    elsewhere, run = shared.owning(ELSEWHERE, "web")
    shared.clock.turn(LEASE_S - 1)
    elsewhere.renew()
    shared.clock.turn(LEASE_S - 1)
    bob = shared.store(BOB)

    with pytest.raises(BusyError, match="under way"):
        bob.adopt(bob.run(run), ["web"], "bob")


@pytest.mark.parametrize(
    "loss", ["DELETE FROM locks", "UPDATE locks SET run = 'run2', pid = 200", "UPDATE runs SET pid = 200"]
)
def test_a_lost_lock_stops_the_next_change(shared: SharedStore, loss: str) -> None:
    store, run = shared.owning(ALICE, "web")
    lease = Lease(store, run)
    lease.require()
    shared.database.execute(loss)

    with pytest.raises(BusyError, match=f"{run}: is no longer this process's"):
        lease.require()


def test_a_loss_that_a_renewal_saw_counts_though_the_lock_is_back(shared: SharedStore) -> None:
    store, run = shared.owning(ALICE, "web")
    lease = Lease(store, run)
    shared.database.execute("UPDATE locks SET pid = 200")
    lease.renew()
    shared.database.execute("UPDATE locks SET pid = 100")

    with pytest.raises(BusyError):
        lease.require()


def test_the_end_of_one_run_leaves_the_locks_of_others(shared: SharedStore) -> None:
    alice, web = shared.owning(ALICE, "web")
    _, maps = shared.owning(BOB, "maps")
    alice.finish(RunResult(Outcome.DONE, "", web), is_final=True)

    assert holders(shared) == {"maps": maps}


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


HIDDEN = """
mount -t proc -o hidepid=$1 proc /proc
sleep 60 & other=$!
shift
"$@" $other
kill $other
"""
LOOKED_AT = """
import sys
from dataclasses import replace
from ferryman.engine.process import ProcessId, is_alive
me = ProcessId.this_process()
print(is_alive(me), is_alive(replace(me, pid=int(sys.argv[1]))), is_alive(replace(me, pid=4000)))
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root has a process that another user may not look at")
@pytest.mark.parametrize("hidepid", ["1", "2"])
def test_a_process_of_another_user_that_proc_hides_is_not_taken_for_dead(hidepid: str) -> None:
    require_tool("unshare", "setpriv", package="util-linux")
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        look = argv_of_user([sys.executable, "-c", LOOKED_AT], beside=Path(folder) / "shown")
        inside = ["unshare", "--pid", "--fork", "--mount", "sh", "-ec", HIDDEN, "sh", hidepid, *look]
        done = subprocess.run(inside, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.split() == ["True", "None", "False"], done.stderr


def test_a_process_that_cannot_be_looked_at_is_judged_by_its_lease(shared: SharedStore) -> None:
    _, run = shared.owning(ALICE, "web")
    bob = SqliteStore(shared.database, clock=shared.clock, owner=BOB, alive=lambda _: None)
    assert bob.liveness(run, ALICE).alive
    shared.clock.turn(LEASE_S + 1)
    assert not bob.liveness(run, ALICE).alive


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
