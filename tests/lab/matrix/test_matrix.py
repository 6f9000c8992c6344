"""Every fault is refused by its name, nothing that only looks wrong is, and a lab without any passes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ferryman.lab import exec_argv
from lab.matrix.groups import groups
from lab.matrix.judging import checked, differences, put, run_check, sound_again
from lab.matrix.table import DUAL, FINE, OLD, PODS, V4, WRONG

if TYPE_CHECKING:
    from lab.matrix.groups import Group
    from lab.running import RunningLab

pytestmark = pytest.mark.lab


def named(group: Group) -> str:
    return "+".join(map(str, group))


@pytest.mark.parametrize("group", groups(WRONG), ids=named)
def test_a_fault_is_refused_by_its_name_and_nobody_else_is_accused(hasty: RunningLab, group: Group) -> None:
    with sound_again(hasty, group):
        put(hasty, group)
        assert differences(group, checked(hasty, group[0].service)) == []


@pytest.mark.parametrize("group", groups(FINE), ids=named)
def test_what_only_looks_wrong_passes(hasty: RunningLab, group: Group) -> None:
    with sound_again(hasty, group):
        put(hasty, group)
        assert differences(group, checked(hasty, group[0].service)) == []


@pytest.mark.parametrize("service", [V4, DUAL, PODS, OLD, "maps"])
def test_a_lab_without_faults_raises_no_alarm(hasty: RunningLab, service: str) -> None:
    output = checked(hasty, service)
    assert (output.exit_code, output.blocking) == (0, []), output.stderr


def test_a_control_host_without_raw_sockets_says_so_and_blames_no_realserver(hasty: RunningLab) -> None:
    argv = exec_argv(hasty.place, "control", ["setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw"])
    output = run_check(hasty, argv, V4)
    assert output.exit_code == 3, output.stderr
    assert output.blocking == []
    assert "CAP_NET_RAW" in output.stderr


def test_a_director_whose_own_gate_is_shut_blocks(hasty: RunningLab) -> None:
    directors = hasty.folder / "inventory" / "directors.yaml"
    shut = "- host: lvs1\n      ipip_enabled: false\n"
    directors.write_text(directors.read_text().replace("- host: lvs1\n", shut))
    output = checked(hasty, V4)
    assert output.exit_code == 3, output.stderr
    assert {(finding["host"], finding["check"]) for finding in output.blocking} == {("lvs1", "director-gate")}
