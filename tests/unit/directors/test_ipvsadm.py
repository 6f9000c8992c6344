from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ferryman.directors import SetForwarding, driver_for
from ferryman.errors import (
    CommandFailedError,
    ConfigError,
    DryRunError,
    RefusedError,
    UnknownOutcomeError,
    WorldChangedError,
)
from ferryman.ipvs.table import from_json
from ferryman.model import Forwarding
from unit.directors.world import LVS1, RULES, WEB, RealShell, realserver

TUNNEL, DIRECT = SetForwarding(Forwarding.TUNNEL), SetForwarding(Forwarding.DIRECT)
FLIPPED = (
    RULES.replace("-r 10.10.0.21:80 -g -w 1", "-r 10.10.0.21:80 -i -w 1 --tun-type ipip")
    .replace("-r 10.10.0.22:80 -g -w 3", "-r 10.10.0.22:80 -i -w 3 --tun-type ipip")
    .replace("-r [fd10::21]:80 -g -w 1", "-r [fd10::21]:80 -i -w 1 --tun-type ipip")
    .replace("-r [fd10::22]:80 -g -w 1", "-r [fd10::22]:80 -i -w 1 --tun-type ipip")
)


def test_a_driver_that_does_not_exist_is_a_configuration_error_that_names_the_entry(shell: RealShell) -> None:
    with pytest.raises(ConfigError, match=r"directors.yaml: lab: low-traffic: lvs1: driver: is 'maglev'"):
        driver_for(replace(LVS1, driver="maglev"), WEB, shell)


def test_a_virtual_service_that_is_not_in_the_table_refuses_the_change(shell: RealShell) -> None:
    shell.rules = RULES.replace("[fd99::1]", "[fd99::9]")
    with pytest.raises(RefusedError, match=r"lvs1: tcp \[fd99::1\]:80 is not in its IPVS table"):
        driver_for(LVS1, WEB, shell).before()


def test_destinations_and_inventory_must_agree_and_every_disagreement_is_named(shell: RealShell) -> None:
    service = replace(WEB, realservers=(realserver(1), realserver(3)))
    with pytest.raises(RefusedError) as refused:
        driver_for(LVS1, service, shell).before()
    said = str(refused.value)
    assert "web3 (10.10.0.23:80) is not among its destinations" in said
    assert "destination 10.10.0.22:80 is no realserver of web" in said
    assert "web3 ([fd10::23]:80)" in said


def test_a_masqueraded_destination_is_refused(shell: RealShell) -> None:
    shell.rules = RULES.replace("-r 10.10.0.22:80 -g", "-r 10.10.0.22:80 -m")
    with pytest.raises(RefusedError, match=r"10.10.0.22:80 is masqueraded"):
        driver_for(LVS1, WEB, shell).before()


def test_a_tunnel_that_is_not_ipip_is_refused(shell: RealShell) -> None:
    gue = "-i -w 3 --tun-type gue --tun-port 6080 --tun-nocsum"
    shell.rules = RULES.replace("-r 10.10.0.22:80 -g -w 3", f"-r 10.10.0.22:80 {gue}")
    with pytest.raises(RefusedError, match=r"another tunnel than IPIP: --tun-type gue --tun-port 6080"):
        driver_for(LVS1, WEB, shell).before()


def test_the_flip_changes_this_service_and_not_one_other_line(shell: RealShell) -> None:
    driver = driver_for(LVS1, WEB, shell)
    before = driver.before()
    driver.apply(before, TUNNEL)
    assert shell.rules == FLIPPED
    assert len(shell.writes) == 1


def test_the_commands_shown_are_the_commands_run(shell: RealShell) -> None:
    driver = driver_for(LVS1, WEB, shell)
    before = driver.before()
    shown = [edit.command for edit in driver.edits(before, TUNNEL)]
    assert shown[1] == "ipvsadm -e -t 10.99.0.1:80 -r 10.10.0.22:80 -i -w 3"
    assert driver.apply(before, TUNNEL) == driver.edits(before, TUNNEL)
    assert driver.cannot_tell_before(before, TUNNEL) is None
    assert [f"ipvsadm {words}" for words in shell.writes[0].stdin.splitlines()] == shown


def test_the_before_survives_the_journal_and_brings_the_very_table_back(shell: RealShell) -> None:
    driver = driver_for(LVS1, WEB, shell)
    before = json.loads(json.dumps(driver.before()))
    assert before == driver.before()
    driver.apply(before, TUNNEL)
    driver.restore(before, TUNNEL)
    assert shell.rules == RULES


def test_a_second_apply_and_a_second_restore_write_nothing(shell: RealShell) -> None:
    driver = driver_for(LVS1, WEB, shell)
    before = driver.before()
    driver.restore(before, TUNNEL)
    assert shell.writes == []
    driver.apply(before, TUNNEL)
    assert driver.apply(before, TUNNEL) == []
    assert len(shell.writes) == 1
    driver.restore(before, TUNNEL)
    driver.restore(before, TUNNEL)
    assert len(shell.writes) == 2


def test_what_is_half_done_is_completed_from_either_side(shell: RealShell) -> None:
    driver = driver_for(LVS1, WEB, shell)
    before = driver.before()
    half = RULES.replace("-r 10.10.0.21:80 -g -w 1", "-r 10.10.0.21:80 -i -w 1 --tun-type ipip")
    shell.rules = half
    assert driver.apply(before, TUNNEL) == driver.edits(before, TUNNEL)[1:], "what it says is what it did"
    assert shell.rules == FLIPPED
    shell.rules = half
    driver.restore(before, TUNNEL)
    assert shell.rules == RULES


def test_a_director_that_is_as_wanted_says_so(shell: RealShell) -> None:
    shell.rules = FLIPPED
    driver = driver_for(LVS1, WEB, shell)
    before = driver.before()
    assert driver.already(before, TUNNEL)
    assert not driver.already(before, DIRECT)


def test_a_weight_that_someone_changed_stops_the_flip_before_anything_is_written(shell: RealShell) -> None:
    driver = driver_for(LVS1, WEB, shell)
    before = driver.before()
    shell.rules = changed = RULES.replace("-w 3", "-w 0")
    with pytest.raises(WorldChangedError, match=r"10.10.0.22:80: weight 0, wanted 3"):
        driver.apply(before, TUNNEL)
    assert shell.rules == changed
    assert shell.writes == []


def test_a_change_between_the_look_and_the_write_is_seen_on_the_director(shell: RealShell) -> None:
    driver = driver_for(LVS1, WEB, shell)
    before = driver.before()
    changed = RULES.replace("-w 3", "-w 0")

    def drain() -> None:
        shell.rules = changed

    shell.before_write = drain
    with pytest.raises(WorldChangedError, match="not the one just read"):
        driver.apply(before, TUNNEL)
    assert shell.rules == changed


def test_another_services_change_meanwhile_is_none_of_our_business(shell: RealShell) -> None:
    driver = driver_for(LVS1, WEB, shell)
    before = driver.before()
    shell.rules = RULES.replace("-w 7", "-w 0")
    driver.apply(before, TUNNEL)
    assert shell.rules == FLIPPED.replace("-w 7", "-w 0")


def test_the_rollback_puts_the_methods_back_and_leaves_someone_elses_weight(shell: RealShell) -> None:
    driver = driver_for(LVS1, WEB, shell)
    before = driver.before()
    driver.apply(before, TUNNEL)
    shell.rules = shell.rules.replace("-w 3", "-w 0")
    assert [edit.command for edit in driver.restore(before, TUNNEL)] == [
        "ipvsadm -e -t 10.99.0.1:80 -r 10.10.0.21:80 -g -w 1",
        "ipvsadm -e -t 10.99.0.1:80 -r 10.10.0.22:80 -g -w 0",
        "ipvsadm -e -t [fd99::1]:80 -r [fd10::21]:80 -g -w 1",
        "ipvsadm -e -t [fd99::1]:80 -r [fd10::22]:80 -g -w 1",
    ]
    assert shell.rules == RULES.replace("-w 3", "-w 0")
    seen = driver.compare(before, TUNNEL)
    assert (seen.ours, seen.missing) == ((), ())
    assert seen.others == ("tcp 10.99.0.1:80: 10.10.0.22:80: weight 0, wanted 3",)
    assert driver.restore(before, TUNNEL) == [], "nothing is told that did not happen"


def test_what_is_neither_as_before_nor_as_made_is_somebody_elses_and_stays(shell: RealShell) -> None:
    driver = driver_for(LVS1, WEB, shell)
    before = driver.before()
    driver.apply(before, TUNNEL)
    theirs = shell.rules.replace("10.10.0.22:80 -i -w 3 --tun-type ipip", "10.10.0.22:80 -m -w 3")
    shell.rules = theirs
    driver.restore(before, TUNNEL)
    assert shell.rules == RULES.replace("10.10.0.22:80 -g -w 3", "10.10.0.22:80 -m -w 3")
    seen = driver.compare(before, TUNNEL)
    assert seen.ours == ()
    assert "is Masq, wanted Route" in seen.others[0]


def test_what_is_left_of_a_change_is_told_entry_by_entry(shell: RealShell) -> None:
    driver = driver_for(LVS1, WEB, shell)
    before = driver.before()
    assert driver.in_effect(before, TUNNEL) == driver.in_effect(None, TUNNEL) == []
    shell.rules = RULES.replace("10.10.0.22:80 -g -w 3", "10.10.0.22:80 -i -w 3 --tun-type ipip")
    assert driver.in_effect(before, TUNNEL) == ["tcp 10.99.0.1:80: 10.10.0.22:80 is Tunnel, wanted Route"]
    assert driver.in_effect(None, TUNNEL) == ["tcp 10.99.0.1:80: 10.10.0.22:80 is Tunnel"]
    shell.rules = RULES.replace("-a -t 10.99.0.1:80 -r 10.10.0.22:80 -g -w 3\n", "")
    seen = driver.compare(before, TUNNEL)
    assert (seen.ours, seen.others) == ((), ())
    assert seen.missing == ("tcp 10.99.0.1:80: 10.10.0.22:80 is missing",)
    shell.rules = "-A -t 10.99.0.9:80 -s rr\n"
    assert driver.compare(before, TUNNEL).ours[0] == "tcp 10.99.0.1:80: not in the table"


def test_an_edit_that_the_kernel_refuses_is_named_and_the_rollback_mends_the_half(shell: RealShell) -> None:
    driver = driver_for(LVS1, WEB, shell)
    before = driver.before()
    fault = shell.switch("refuse", "10.10.0.22:80")
    with pytest.raises(CommandFailedError, match="No such destination"):
        driver.apply(before, TUNNEL)
    assert "10.10.0.21:80 -i" in shell.rules
    fault.unlink()
    driver.restore(before, TUNNEL)
    assert shell.rules == RULES


def test_an_answer_lost_after_the_edit_is_read_back_and_nothing_is_written_twice(shell: RealShell) -> None:
    driver = driver_for(LVS1, WEB, shell)
    before = driver.before()
    shell.lost_answers = 1
    driver.apply(before, TUNNEL)
    assert shell.rules == FLIPPED
    assert len(shell.writes) == 1


def test_a_director_that_stays_silent_is_a_doubt(shell: RealShell) -> None:
    driver = driver_for(LVS1, WEB, shell)
    before = driver.before()
    shell.lost_commands = 5
    with pytest.raises(UnknownOutcomeError):
        driver.apply(before, TUNNEL)
    assert shell.rules == RULES
    assert shell.lost_commands == 3


def test_connection_thresholds_survive_the_edit(shell: RealShell) -> None:
    shell.switch(
        "limits",
        "IP Virtual Server version 1.2.1 (size=4096)\n"
        "Prot LocalAddress:Port            Uthreshold Lthreshold ActiveConn InActConn \n"
        "  -> RemoteAddress:Port\n"
        "TCP  10.99.0.1:80 wrr\n"
        "  -> 10.10.0.21:80                100        50         0          0         \n",
    )
    driver = driver_for(LVS1, WEB, shell)
    before = driver.before()
    assert from_json(before["table"])[0].destinations[0].upper == 100
    assert driver.edits(before, TUNNEL)[0].command == (
        "ipvsadm -e -t 10.99.0.1:80 -r 10.10.0.21:80 -i -w 1 -x 100 -y 50"
    )


def test_a_dry_run_cannot_write(shell: RealShell) -> None:
    driver = driver_for(LVS1, WEB, shell)
    before = driver.before()
    shell.dry_run = True
    with pytest.raises(DryRunError):
        driver.apply(before, TUNNEL)
    assert shell.rules == RULES
