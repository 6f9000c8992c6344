"""Every fault is refused by its name, nothing that only looks wrong is, and a lab without any passes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ferryman.lab import exec_argv
from lab.matrix.companies import companies
from lab.matrix.judging import checked, differences, put, said_by, sound_again
from lab.matrix.table import DUAL, FINE, OLD, PODS, V4, WRONG

if TYPE_CHECKING:
    from lab.matrix.companies import Company
    from lab.running import RunningLab

pytestmark = pytest.mark.lab


def named(company: Company) -> str:
    return "+".join(map(str, company))


@pytest.mark.parametrize("company", companies(WRONG), ids=named)
def test_a_fault_is_refused_by_its_name_and_nobody_else_is_accused(
    hasty: RunningLab, company: Company
) -> None:
    with sound_again(hasty, company):
        put(hasty, company)
        assert differences(company, checked(hasty, company[0].service)) == []


@pytest.mark.parametrize("company", companies(FINE), ids=named)
def test_what_only_looks_wrong_passes(hasty: RunningLab, company: Company) -> None:
    with sound_again(hasty, company):
        put(hasty, company)
        assert differences(company, checked(hasty, company[0].service)) == []


@pytest.mark.parametrize("service", [V4, DUAL, PODS, OLD, "maps"])
def test_a_lab_without_faults_raises_no_alarm(hasty: RunningLab, service: str) -> None:
    said = checked(hasty, service)
    assert (said.exit_code, said.standing) == (0, []), said.stderr


def test_a_control_host_without_raw_sockets_says_so_and_blames_no_realserver(hasty: RunningLab) -> None:
    argv = exec_argv(hasty.place, "control", ["setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw"])
    said = said_by(hasty, argv, V4)
    assert said.exit_code == 3, said.stderr
    assert said.standing == []
    assert "CAP_NET_RAW" in said.stderr


def test_a_director_whose_own_gate_is_shut_stands_in_the_way(hasty: RunningLab) -> None:
    directors = hasty.folder / "inventory" / "directors.yaml"
    shut = "- host: lvs1\n      ipip_enabled: false\n"
    directors.write_text(directors.read_text().replace("- host: lvs1\n", shut))
    said = checked(hasty, V4)
    assert said.exit_code == 3, said.stderr
    assert {(one["host"], one["check"]) for one in said.standing} == {("lvs1", "director-gate")}
