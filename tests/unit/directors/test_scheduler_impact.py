from __future__ import annotations

from dataclasses import replace

import pytest

from ferryman.directors import SetScheduler, impact_findings, observe_schedulers, scheduled
from ferryman.directors.checks.scheduler_impact import SchedulerStates, share_elsewhere
from ferryman.errors import DoubtError
from ferryman.hosts.fake import FakeHosts, Printed
from ferryman.hosts.verbs.directors import ReadScheduler, SchedulerState
from ferryman.ipvs.listing import parse
from ferryman.model import Director, Role, Verdict
from unit.directors.world import LVS1, RULES, WEB, virtual

MH = scheduled("mh", ["mh-port", "mh-fallback"])
LVS2 = Director("lvs2", Role.SECONDARY, "ipvsadm")
ONE = replace(WEB, virtual_services=(virtual("10.99.0.1"),), directors=(LVS2, LVS1))


def seen(rules: str = RULES, *, module: bool = True, **states: int) -> SchedulerState:
    return SchedulerState(parse(rules)[:1], module, states)


def told(target: SetScheduler, state: SchedulerState | DoubtError, *verdicts: Verdict) -> list[str]:
    """What is said of the secondary; the primary is as the catalog has it."""
    both: SchedulerStates = {"lvs2": state, "lvs1": seen()}
    found = [finding for finding in impact_findings(ONE, target, both) if finding.host == "lvs2"]
    return [f"{finding.check}: {finding.seen}" for finding in found if finding.verdict in verdicts]


def by(scheduler: str) -> str:
    return RULES.replace("10.99.0.1:80 -s wrr", f"10.99.0.1:80 -s {scheduler}")


def test_a_director_that_is_silent_is_unknown() -> None:
    assert told(MH, DoubtError("lvs2: no answer"), Verdict.UNKNOWN) == ["director: lvs2: no answer"]


def test_a_kernel_without_the_scheduler_is_refused_before_anything_is_changed() -> None:
    (line,) = told(MH, seen(module=False), Verdict.FAIL)
    assert line.startswith("scheduler-module: its kernel has no module ip_vs_mh")


def test_a_scheduler_that_is_neither_the_catalogs_nor_the_wanted_is_somebodys_doing() -> None:
    assert told(MH, seen(by("lc")), Verdict.FAIL) == ["scheduler-now: tcp 10.99.0.1:80: lc"]


def test_a_director_that_is_so_already_is_no_surprise_and_nothing_is_predicted_of_it() -> None:
    assert told(MH, seen(by("mh -b mh-fallback,mh-port")), Verdict.FAIL, Verdict.WARN) == []


def test_where_the_catalog_says_so_already_its_directors_may_be_behind() -> None:
    service = replace(ONE, virtual_services=(virtual("10.99.0.1", 80, "mh", "mh-port", "mh-fallback"),))
    found = impact_findings(service, MH, {"lvs1": seen(), "lvs2": seen()})
    assert [finding for finding in found if finding.verdict.stops] == []


def test_destinations_that_differ_between_directors_fail_for_hashes_would() -> None:
    (line,) = told(MH, seen(RULES.replace("-w 3", "-w 2")), Verdict.FAIL)
    assert line == "ipvs-table: tcp 10.99.0.1:80: 10.10.0.22:80 has weight 2, there 3"


def test_connections_are_counted_and_the_share_of_clients_that_move_is_said() -> None:
    first, *_ = told(MH, seen(ESTABLISHED=4, FIN_WAIT=6), Verdict.WARN)
    assert first == (
        "scheduler-connections: 10 connections now, 4 of them established: each stays with its realserver;"
        " 38% of their clients open the next one to another (with wrr just so on any day)"
    )


def test_whoever_had_a_realserver_for_good_or_for_a_while_is_told_of() -> None:
    assert "(with sh always to the same)" in told(MH, seen(by("sh")), Verdict.WARN)[0]
    assert "(-p 300: in time they stay, by persistence)" in told(MH, seen(by("wrr -p 300")), Verdict.WARN)[0]


def test_connections_of_one_client_that_part_are_told_of() -> None:
    parted = [line for line in told(MH, seen(by("mh")), Verdict.WARN) if "two connections" in line]
    assert parted == [
        "scheduler-connections: two connections of one client may go to two realservers then; with mh never"
    ]


def test_what_a_hash_does_without_its_flags_is_told_of() -> None:
    rules = RULES.replace("-w 3", "-w 0")
    lines = told(scheduled("mh"), seen(rules), Verdict.WARN)
    assert "scheduler-hash: mh without mh-port: all clients behind one address go to one realserver" in lines
    assert (
        "scheduler-hash: mh without mh-fallback: who is hashed to a destination of weight 0"
        " (now: 10.10.0.22:80) is refused for as long as it has that weight"
    ) in lines


def test_the_moment_without_a_scheduler_is_told_of_unless_flags_alone_change() -> None:
    exchange = "scheduler-exchange: while its kernel exchanges wrr for mh, for a few milliseconds"
    assert any(line.startswith(exchange) for line in told(MH, seen(), Verdict.WARN))
    assert not any("exchanges" in line for line in told(MH, seen(by("mh")), Verdict.WARN))


@pytest.mark.parametrize(
    ("now", "to", "share"),
    [
        ("wrr", MH, 1 - (1 / 16 + 9 / 16)),
        ("mh -b mh-port", MH, 0),
        ("mh", MH, 1 - (1 / 16 + 9 / 16)),
        ("mh -b mh-fallback,mh-port", scheduled("mh", ["mh-port"]), 0),
    ],
)
def test_the_share_that_moves_follows_from_the_weights(now: str, to: SetScheduler, share: float) -> None:
    assert share_elsewhere(parse(by(now))[0], to) == pytest.approx(share)


def test_it_is_all_read_in_one_round_trip_for_each_director() -> None:
    hosts = FakeHosts()
    hosts.answer(
        "*",
        ReadScheduler,
        SchedulerState(parse(RULES), module=True, connections={"ESTABLISHED": 3, "FIN_WAIT": 1}),
    )
    found = observe_schedulers(ONE, hosts, MH)
    assert found["lvs1"] == seen(ESTABLISHED=3, FIN_WAIT=1)
    assert len(hosts.calls) == 2


def test_a_table_that_is_not_understood_is_told() -> None:
    hosts = FakeHosts()
    hosts.answer("*", ReadScheduler, Printed("nonsense\n"))
    found = impact_findings(ONE, MH, observe_schedulers(ONE, hosts, MH))
    assert [(finding.host, finding.verdict) for finding in found] == [
        ("lvs2", Verdict.FAIL),
        ("lvs1", Verdict.FAIL),
    ]
    assert all("not understood" in finding.seen for finding in found)
