"""The table of the fault matrix: nothing is left out of it, and no row hides another."""

from __future__ import annotations

import pytest

from ferryman.lab import faults, topology
from lab.matrix.groups import groups
from lab.matrix.judging import CheckOutput, differences
from lab.matrix.table import FINE, ROWS, WRONG, Row

LATER = {"breaks-after-flip", "breaks-in-soak", "keepalived-wrong-config"}
"""A check sees nothing of them; the tests of migrations do."""
BY_CHANCE = {"loss-30-percent"}
STRICT = Row("rp-filter-strict", "web1", "static", "rp-filter", "rp-filter")


def output(exit_code: int, *findings: tuple[str, str, str, str]) -> CheckOutput:
    keys = ("host", "check", "verdict", "seen")
    return CheckOutput(exit_code, tuple(dict(zip(keys, finding, strict=True)) for finding in findings), "")


NAMED = ("web1", "rp-filter", "fail", "ipip0.rp_filter = 1")
EXPLAINED = ("web1", "probe", "fail", "silent; cause: rp-filter: ipip0.rp_filter = 1")


def test_every_fault_that_a_check_can_meet_is_in_the_table() -> None:
    assert {row.fault for row in ROWS} == set(faults.FAULTS) - LATER - BY_CHANCE


def test_faults_that_call_themselves_harmless_are_those_that_always_pass() -> None:
    harmless = {fault.name for fault in faults.ALL if fault.description.startswith("harmless")}
    assert harmless <= {row.fault for row in FINE} - {row.fault for row in WRONG}


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_a_row_s_fault_fits_its_host_and_its_service_is_there_or_beyond(row: Row) -> None:
    (service,) = (service for service in topology.DEFAULT.services if service.name == row.service)
    assert row.host in faults.FAULTS[row.fault].hosts(topology.DEFAULT)
    host = topology.DEFAULT.by_name[row.host]
    assert row.host in service.realservers or host.role in {"director", "router"}


def test_groups_have_each_row_once_and_no_host_twice() -> None:
    for rows in (WRONG, FINE):
        made = groups(rows)
        assert sorted(map(str, (row for group in made for row in group))) == sorted(map(str, rows))
        for group in made:
            assert len({row.host for row in group}) == len(group)
            assert len({(row.service, row.exit_code) for row in group}) == 1


def test_the_right_word_has_no_differences() -> None:
    assert differences([STRICT], output(3, NAMED, EXPLAINED)) == []


@pytest.mark.parametrize(
    ("seen", "difference"),
    [
        (output(0, NAMED, EXPLAINED), "exit code 0, wanted 3"),
        (output(3, EXPLAINED), "names ['probe'], wanted rp-filter"),
        (output(3, NAMED), "causes set(), wanted rp-filter"),
        (output(3, NAMED, EXPLAINED, ("web1", "probe", "fail", "silent; cause: vip: no")), "causes"),
        (output(3, NAMED, EXPLAINED, ("web2", "vip", "fail", "is not here")), "accuses web2"),
    ],
    ids=["exit code", "check", "no cause", "another cause", "an innocent host"],
)
def test_a_wrong_word_is_a_difference(seen: CheckOutput, difference: str) -> None:
    assert any(difference in found for found in differences([STRICT], seen))


def test_a_harmless_fault_must_not_block() -> None:
    row = Row("ipip0-no-address", "web1", "static", "tunnel-address", exit_code=0)
    assert differences([row], output(0, ("web1", "tunnel-address", "warn", "no address"))) == []
    assert differences([row], output(0)) != []
    assert differences([row], output(3, ("web1", "tunnel-address", "fail", "no address"))) != []
