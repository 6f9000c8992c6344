"""Weights that keepalived moves by itself are nobody's interference; all the others are somebody's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ferryman.directors import SetForwarding
from ferryman.errors import RefusedError, WorldChangedError
from ferryman.model import Forwarding
from unit.directors.field import config_of, configuration, director_with, put
from unit.directors.world import RULES

if TYPE_CHECKING:
    from unit.directors.world import RealShell

TUNNEL = SetForwarding(Forwarding.TUNNEL)
DYNAMIC = configuration("misc-dynamic")
"""The weight of 10.10.0.21 moves, that of 10.10.0.22 does not."""
FILE_CHECK = "FILE_CHECK {\n            track_file load\n        }"
MISC = DYNAMIC[DYNAMIC.index("MISC_CHECK") : DYNAMIC.index("    }\n    real_server 10.10.0.22")].rstrip()
STATIC = DYNAMIC.replace("            misc_dynamic\n", "")
SNMP = STATIC.replace("    script_user root\n", "    script_user root\n    enable_snmp_checker\n")


def weights(first: int, second: int = 5) -> str:
    return RULES.replace("21:80 -g -w 1", f"21:80 -g -w {first}", 1).replace(
        "22:80 -g -w 3", f"22:80 -g -w {second}"
    )


def moved(shell: RealShell, first: int) -> None:
    """Give 10.10.0.21 another weight, as its script does at any time."""
    old = shell.rules.splitlines(keepends=True)
    head = "-a -t 10.99.0.1:80 -r 10.10.0.21:80 "
    shell.rules = "".join(
        f"{line.partition(' -w ')[0]} -w {first}{line.partition(' -w ')[2].lstrip('0123456789')}"
        if line.startswith(head)
        else line
        for line in old
    )


@pytest.fixture
def moving(shell: RealShell) -> RealShell:
    """A director on which the weight moves with each reload, too."""
    shell.rules = weights(6)
    again = (shell.folder / "bin" / "reload").read_text().removeprefix("#!/bin/sh\n").replace("exec ", "", 1)
    bump = "sed -i 's/\\(10.10.0.21:80 -[gi] -w \\)\\([0-9]\\)/\\19/' \"$FAKE_DIRECTOR/rules\""
    put(shell, "reload", f"{again}{bump}")
    return shell


@pytest.mark.parametrize(
    "text",
    [
        DYNAMIC,
        DYNAMIC.replace(MISC, FILE_CHECK),
        DYNAMIC.replace(MISC, FILE_CHECK.replace("load\n", "load\n            weight 2 reverse\n")),
        SNMP,
        DYNAMIC.replace("        weight 5\n        MISC", "        alpha\n        weight 5\n        MISC"),
        DYNAMIC.replace(
            "    delay_loop 2\n", "    delay_loop 2\n    inhibit_on_failure\n    quorum 4\n    omega\n"
        ),
    ],
    ids=["misc_dynamic", "FILE_CHECK", "FILE_CHECK with a weight", "SNMP", "alpha", "inhibit_on_failure"],
)
def test_a_weight_that_moves_by_itself_hinders_neither_the_flip_nor_the_way_back(
    moving: RealShell, text: str
) -> None:
    driver = director_with(moving, text)
    before = json.loads(json.dumps(driver.before(TUNNEL)))
    moved(moving, 7)
    assert driver.before(TUNNEL) == before, "what was read is the same, whatever the weight is by now"
    moving.before_write = lambda: moved(moving, 8)
    driver.apply(before, TUNNEL)
    assert "-r 10.10.0.21:80 -i -w 9 " in moving.rules
    moved(moving, 3)
    assert driver.compare(before, TUNNEL).others == ()
    driver.restore(before, TUNNEL)
    assert config_of(moving).read_text() == text
    assert "-r 10.10.0.21:80 -g -w 9\n" in moving.rules, "no old weight is written over the script's"
    assert (driver.compare(before, TUNNEL).ours, driver.compare(before, TUNNEL).others) == ((), ())


@pytest.mark.parametrize(
    "text",
    [STATIC, STATIC.replace("delay_loop 2\n", "delay_loop 2\n    inhibit_on_failure\n"), DYNAMIC],
    ids=["none is dynamic", "inhibit_on_failure alone", "another one is dynamic"],
)
def test_a_weight_that_somebody_sets_by_hand_is_still_interference(shell: RealShell, text: str) -> None:
    shell.rules = weights(5)
    driver = director_with(shell, text)
    before = driver.before(TUNNEL)
    shell.rules = weights(5, 2) if text == DYNAMIC else weights(2)
    with pytest.raises(WorldChangedError, match=r"weight 2, wanted 5"):
        driver.apply(before, TUNNEL)
    assert driver.compare(before, TUNNEL).others != ()
    assert shell.writes == []


def test_a_script_that_asks_for_0_is_no_health_check_that_failed(shell: RealShell) -> None:
    shell.rules = weights(0)
    driver = director_with(shell, DYNAMIC)
    driver.apply(driver.before(TUNNEL), TUNNEL)
    assert "-r 10.10.0.21:80 -i -w 0 " in shell.rules


@pytest.mark.parametrize("place", ["delay_loop 2", "real_server 10.10.0.21 80 {"])
@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_a_health_check_that_failed_stays_one_where_weights_move(
    shell: RealShell, place: str, when: str
) -> None:
    """A reload would put it back to work, and keepalived would leave it there."""
    shell.rules = weights(6)
    driver = director_with(shell, DYNAMIC.replace(place, f"{place}\n    inhibit_on_failure"))
    before = driver.before(TUNNEL)
    shell.rules = weights(0)
    if when == "before":
        with pytest.raises(
            RefusedError, match=r"10\.10\.0\.21:80 has weight 0, and 5 in .*health check failed"
        ):
            driver.before(TUNNEL)
    else:
        with pytest.raises(WorldChangedError, match=r"10\.10\.0\.21:80: weight 0, wanted 5"):
            driver.apply(before, TUNNEL)
    assert shell.writes == []


def test_a_realserver_that_does_not_inhibit_though_its_virtual_server_does_may_be_0(shell: RealShell) -> None:
    shell.rules = weights(0)
    text = DYNAMIC.replace("delay_loop 2", "inhibit_on_failure").replace(
        "        weight 5\n        MISC", "        inhibit_on_failure no\n        weight 5\n        MISC"
    )
    assert director_with(shell, text).before(TUNNEL)


def test_a_destination_that_a_health_check_took_out_refuses_as_ever(shell: RealShell) -> None:
    shell.rules = "".join(
        line for line in weights(6).splitlines(keepends=True) if "-r 10.10.0.21" not in line
    )
    with pytest.raises(RefusedError, match=r"10\.10\.0\.21:80\) is not among its destinations"):
        director_with(shell, DYNAMIC).before(TUNNEL)


def test_a_file_check_with_the_weight_0_moves_no_weight(shell: RealShell) -> None:
    shell.rules = weights(5)
    text = DYNAMIC.replace(MISC, FILE_CHECK.replace("load\n", "load\n            weight 0\n"))
    driver = director_with(shell, text)
    before = driver.before(TUNNEL)
    shell.rules = weights(4)
    with pytest.raises(WorldChangedError, match="weight 4, wanted 5"):
        driver.apply(before, TUNNEL)


def test_a_before_of_an_earlier_version_has_the_weight_of_then_and_can_be_put_back(moving: RealShell) -> None:
    driver = director_with(moving, DYNAMIC)
    before = json.loads(json.dumps(driver.before(TUNNEL)))
    before["table"][0]["destinations"][0]["weight"] = 6
    driver.apply(before, TUNNEL)
    driver.restore(before, TUNNEL)
    assert "-r 10.10.0.21:80 -g -w 9\n" in moving.rules
