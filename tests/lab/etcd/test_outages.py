"""A cluster that goes away in the middle of a run: it stops, goes back while its lease lasts, and says so."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import pytest

from ferryman.engine.force_close import force_close
from ferryman.engine.runner import Runner
from ferryman.retry import poll_until
from ferryman.testing import Cut, Cuts, FakeWorld
from lab.etcd.hosts import NEW, OLD, REQUEST, ControlHosts, plan, world
from lab.etcd.outages import (
    LEADERS_LEASE_S,
    SHORT_LEASE_S,
    TOO_SLOW,
    Kind,
    OutageRunner,
    Row,
    When,
)
from lab.etcd.proxy import Cutting
from lab.etcd.torture import EVERY, expect_settled

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ferryman.outcomes import RunResult
    from lab.etcd.cluster import Cluster
    from lab.etcd.proxy import Network

LOOKS_BETWEEN, WRITES_AGAIN, UNDOES_FIRST = 6, 9, 12
"""Calls to the world: between the two changes, in the second, and when it is looked at to be undone."""
STOPS = [kind for kind in Kind if not kind.is_survived]
SAMPLE = [
    (Kind.FROZEN, When.QUESTION),
    (Kind.FROZEN, When.LOOK),
    (Kind.KILLED, When.DO),
    (Kind.CUT, When.VERIFY),
    (Kind.TWO, When.SOAK),
    (Kind.CUT, When.ROLLBACK),
]


@pytest.fixture
def outage_runner(proxied: Network, tmp_path: Path) -> OutageRunner:
    return OutageRunner(proxied, tmp_path)


@pytest.fixture
def behind(etcd: Cluster, proxied: Network, tmp_path: Path) -> Iterator[ControlHosts]:
    """Control hosts behind a network that can be cut, each with a folder of its own."""
    with ControlHosts(etcd, proxied.endpoints, SHORT_LEASE_S, folder=tmp_path) as hosts:
        yield hosts


@pytest.mark.parametrize(("kind", "when"), product(STOPS, When) if EVERY else SAMPLE)
def test_a_run_without_its_cluster_stops_and_all_is_back_while_its_lease_lasts(
    outage_runner: OutageRunner, kind: Kind, when: When
) -> None:
    row = outage_runner.row(SHORT_LEASE_S, kind, when)

    assert row.world == OLD
    if when is When.QUESTION:
        assert (row.ending.outcome, row.ending.exit_code) == ("error", 2)
    else:
        assert (row.ending.outcome, row.ending.exit_code) == ("rolled-back", 4)
        assert row.back_s is not None
        assert row.back_s < SHORT_LEASE_S
        assert row.stopped_s is None or row.stopped_s < row.back_s
    [file] = row.files
    assert f"only in {file} on this control host" in row.ending.reason
    assert f"ferryman rollback {row.ending.run}" in row.ending.reason
    expect_in_the_journal(row)


def expect_in_the_journal(row: Row) -> None:
    """The next rollback there put into the journal what could not be written, and closed the run."""
    assert row.closed == "rolled-back"
    assert "trouble" in row.kinds
    assert row.kinds.count("undone") == row.kinds.count("intent"), "it did not undo again what was undone"
    assert row.kinds.index("ended") < row.kinds.index("taken-up")
    assert row.files_then == []


@pytest.mark.parametrize(
    ("kind", "lease_s"), [(Kind.FOLLOWER, SHORT_LEASE_S), (Kind.LEADER, LEADERS_LEASE_S)]
)
def test_a_run_goes_on_with_two_members_of_three(
    outage_runner: OutageRunner, kind: Kind, lease_s: int
) -> None:
    row = outage_runner.row(lease_s, kind, When.SOAK)

    assert (row.ending.outcome, row.world, row.files) == ("done", NEW, [])


def test_what_cannot_be_put_back_while_the_lease_lasts_is_left_and_told(outage_runner: OutageRunner) -> None:
    row = outage_runner.row(SHORT_LEASE_S, Kind.FROZEN, When.SOAK, TOO_SLOW)

    assert (row.ending.outcome, row.ending.exit_code) == ("stranded", 5)
    assert row.world == {"a": "new", "b": "old"}
    assert "a  not restored" in row.ending.reason
    assert "b  as before, verified" in row.ending.reason
    assert f"only in {row.files[0]}" in row.ending.reason
    assert row.closed == "rolled-back"


def lost_in_the_second_change(
    behind: ControlHosts, network: Network, how: Cutting
) -> tuple[FakeWorld, RunResult]:
    fake = world(Cuts(Cut(WRITES_AGAIN, "before", lambda: network.cut(how))))
    ending = behind.perform(plan(fake), "one")
    network.heal()
    assert (ending.outcome, fake.values) == ("rolled-back", OLD)
    assert behind.onlooker.run(ending.run).is_open
    return fake, ending


@pytest.mark.parametrize("how", Cutting)
def test_a_record_that_arrived_though_nobody_heard_of_it_is_there_once(
    behind: ControlHosts, proxied: Network, how: Cutting
) -> None:
    fake, ending = lost_in_the_second_change(behind, proxied, how)

    assert behind.recover(plan(fake), "rollback", "one").outcome == "rolled-back"

    kinds = [record.kind for record in behind.onlooker.show(ending.run)]
    assert [kinds.count(kind) for kind in ("made", "undone", "ended")] == [2, 2, 1]
    expect_settled(behind, fake.values, how)


def test_a_run_that_is_closed_by_hand_gets_the_records_that_its_process_could_not_write(
    behind: ControlHosts, proxied: Network, tmp_path: Path
) -> None:
    _, ending = lost_in_the_second_change(behind, proxied, Cutting.SILENCE)
    written = len(behind.onlooker.show(ending.run))

    force_close(behind.store("one"), ending.run, "alice", "the file is right")

    kinds = [record.kind for record in behind.onlooker.show(ending.run)]
    assert "undone" in kinds[written:]
    assert kinds.index("undone", written) < kinds.index("closed")
    assert list((tmp_path / "one").rglob("*.jsonl")) == []


def test_another_control_host_looks_at_the_world_and_the_file_is_kept_where_it_follows_no_more(
    behind: ControlHosts, proxied: Network, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fake, ending = lost_in_the_second_change(behind, proxied, Cutting.SILENCE)
    behind.cluster.end_leases()
    stops = FakeWorld(Cuts(Cut(3, "before", proxied.cut)), **fake.values)
    assert behind.recover(plan(stops), "rollback", "two").outcome in {"rolled-back", "stranded"}
    proxied.heal()
    behind.cluster.end_leases()
    assert behind.onlooker.run(ending.run).is_open

    closed = behind.recover(plan(fake), "rollback", "one")

    assert (closed.outcome, fake.values) == ("rolled-back", OLD)
    [kept] = (tmp_path / "one").iterdir()
    assert kept.name == f"{ending.run}.jsonl.kept-1"
    assert f"{kept}: the records that an earlier process here could not write do not" in caplog.text
    assert "spool-left" in [record.kind for record in behind.onlooker.show(ending.run)]
    expect_settled(behind, fake.values, "kept")


def test_a_cluster_that_is_back_before_the_end_gets_everything_at_once(
    behind: ControlHosts, proxied: Network, tmp_path: Path
) -> None:
    store = behind.store("one")

    def back() -> None:
        proxied.heal()
        now, owned = store.clock.monotonic(), store._owned
        assert owned is not None
        poll_until(lambda: owned.renewed, lambda at: at > now, within_s=SHORT_LEASE_S / 2, every_s=0.05)

    fake = world(Cuts(Cut(WRITES_AGAIN, "before", proxied.cut), Cut(UNDOES_FIRST, "before", back)))

    ending = Runner(store=store).perform(REQUEST, plan(fake))

    assert (ending.outcome, ending.exit_code, fake.values) == ("rolled-back", 4, OLD)
    assert "still open" not in ending.reason
    assert list(tmp_path.rglob("*.jsonl*")) == []
    expect_settled(behind, fake.values, "back again")


def test_a_rollback_that_loses_its_cluster_goes_on_while_its_lease_lasts(
    behind: ControlHosts, proxied: Network
) -> None:
    fake = world()
    assert behind.perform(plan(fake), "one").outcome == "done"
    writes_back = 3
    loses = FakeWorld(Cuts(Cut(writes_back, "before", proxied.cut)), **fake.values)

    ending = behind.recover(plan(loses), "rollback", "one")
    proxied.heal()

    assert (ending.outcome, ending.exit_code, loses.values) == ("rolled-back", 0, OLD)
    assert "still open there" in ending.reason
    assert behind.recover(plan(loses), "rollback", "one").outcome == "rolled-back"
    kinds = [record.kind for record in behind.onlooker.show(ending.run)]
    assert kinds.count("undone") == 2
    expect_settled(behind, loses.values, "lost in the rollback")
