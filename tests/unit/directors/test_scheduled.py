"""Both drivers change scheduler and flags, put them back, and touch nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ferryman.directors import Driver, SetScheduler, differences, driver_for
from ferryman.directors.ipvsadm import IpvsadmDriver
from ferryman.directors.keepalived.driver import KeepalivedDriver
from ferryman.directors.keepalived.render import MARKER
from ferryman.errors import VerifyError, WorldChangedError
from unit.directors.test_keepalived import DIRECT_TEXT, Files, files, keepalived
from unit.directors.world import LVS1, RULES, WEB, RealShell

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["files"]

MH = SetScheduler("mh", ("mh-fallback", "mh-port"))
THERE = RULES.replace("10.99.0.1:80 -s wrr", "10.99.0.1:80 -s mh -b mh-fallback,mh-port").replace(
    "[fd99::1]:80 -s wrr", "[fd99::1]:80 -s mh -b mh-fallback,mh-port"
)


@pytest.fixture(params=["ipvsadm", "keepalived"])
def driver(request: pytest.FixtureRequest, shell: RealShell, files: Files) -> Driver:
    if request.param == "ipvsadm":
        return IpvsadmDriver(LVS1, WEB, shell)
    return KeepalivedDriver(keepalived(files), WEB, shell, sleep=lambda _s: None)


def test_there_and_back(driver: Driver, shell: RealShell, files: Files) -> None:
    before = driver.before()
    assert not driver.already(before, MH)
    for _ in range(2):
        driver.apply(before, MH)
    assert shell.rules == THERE
    assert driver.already(driver.before(), MH)
    assert differences(driver.wanted(before, MH), driver.read()) == []
    for _ in range(2):
        driver.restore(before, MH)
    assert (shell.rules, files[1].read_text()) == (RULES, DIRECT_TEXT)
    assert driver.before() == before


def test_a_weight_that_somebody_else_changed_meanwhile_is_left_and_told(
    driver: Driver, shell: RealShell
) -> None:
    before = driver.before()
    shell.rules = RULES.replace("-w 3", "-w 4")
    with pytest.raises(WorldChangedError, match=r"10.10.0.22:80: weight 4, wanted 3"):
        driver.apply(before, MH)
    assert shell.rules == RULES.replace("-w 3", "-w 4")


def test_during_a_rollback_the_scheduler_goes_back_and_somebodys_weight_stays(
    driver: Driver, shell: RealShell
) -> None:
    before = driver.before()
    driver.apply(before, MH)
    shell.rules = THERE.replace("-w 3", "-w 4")
    driver.restore(before, MH)
    assert shell.rules == RULES.replace("-w 3", "-w 4")
    seen = driver.compare(before, MH)
    assert (seen.ours, seen.others) == ((), ("tcp 10.99.0.1:80: 10.10.0.22:80: weight 4, wanted 3",))


def test_a_scheduler_that_somebody_else_has_set_since_is_left_to_them(shell: RealShell) -> None:
    driver = driver_for(LVS1, WEB, shell)
    before = driver.before()
    driver.apply(before, MH)
    shell.rules = RULES.replace("-s wrr", "-s lc", 1)
    driver.restore(before, MH)
    assert shell.rules == RULES.replace("10.99.0.1:80 -s wrr", "10.99.0.1:80 -s lc", 1)
    assert "scheduler lc, wanted wrr" in driver.compare(before, MH).others[0]


def test_persistence_is_named_again_for_an_edit_drops_what_it_does_not_name(
    shell: RealShell,
) -> None:
    shell.rules = RULES.replace("10.99.0.1:80 -s wrr", "10.99.0.1:80 -s wrr -p 300 -M 255.255.255.0")
    driver = driver_for(LVS1, WEB, shell)
    before = driver.before()
    assert [edit.command for edit in driver.edits(before, MH)] == [
        "ipvsadm -E -t 10.99.0.1:80 -s mh -p 300 -M 255.255.255.0 -b mh-fallback,mh-port",
        "ipvsadm -E -t [fd99::1]:80 -s mh -b mh-fallback,mh-port",
    ]
    assert driver.undo_edits(before, MH)[0].command == (
        "ipvsadm -E -t 10.99.0.1:80 -s wrr -p 300 -M 255.255.255.0"
    )


def test_a_scheduler_that_the_kernel_does_not_have_leaves_the_rest_as_it_was(shell: RealShell) -> None:
    driver = driver_for(LVS1, WEB, shell)
    before = driver.before()
    shell.switch("no-module", "mh")
    with pytest.raises(VerifyError, match="Scheduler or persistence engine not found"):
        driver.apply(before, MH)
    driver.restore(before, MH)
    assert shell.rules == RULES


def test_a_file_that_ferryman_owns_is_rendered_with_the_scheduler_and_back(
    shell: RealShell, files: Files, overwrite: Callable[[str], None]
) -> None:
    overwrite(f"{MARKER}\n{DIRECT_TEXT}")
    driver = KeepalivedDriver(keepalived(files), WEB, shell, sleep=lambda _s: None)
    before = driver.before()
    driver.apply(before, MH)
    assert files[1].read_text().count("    lvs_sched mh\n    mh-fallback\n    mh-port\n") == 2
    assert shell.rules == THERE
    driver.restore(before, MH)
    assert files[1].read_text() == f"{MARKER}\n{DIRECT_TEXT}"
    assert shell.rules == RULES


@pytest.fixture
def overwrite(files: Files) -> Callable[[str], None]:
    def write(text: str) -> None:
        files[1].write_text(text)

    return write
