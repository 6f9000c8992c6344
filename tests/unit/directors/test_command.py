from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from ferryman.directors import SetForwarding, SetScheduler, Target
from ferryman.directors.command import CommandDriver
from ferryman.directors.command_template import read_commands
from ferryman.directors.options import Options
from ferryman.errors import (
    CommandFailedError,
    ConfigError,
    DoubtError,
    DryRunError,
    NotFollowedError,
    RefusedError,
    VerifyError,
    WorldChangedError,
)
from ferryman.model import Forwarding, Verdict
from unit.directors.world import LVS1, RULES, WEB, RealShell
from unit.directors.world import director as director_of

if TYPE_CHECKING:
    from pathlib import Path

TUNNEL, DIRECT = SetForwarding(Forwarding.TUNNEL), SetForwarding(Forwarding.DIRECT)
FLIPPED = RULES.replace("-g -w 1", "-i -w 1 --tun-type ipip").replace("-g -w 3", "-i -w 3 --tun-type ipip")

TOOL = """#!/bin/sh
# flip set|is VIP ipip|direct: what an operator may have; the faults are files.
echo "$@" >>"$FAKE_DIRECTOR/asked"
there=$FAKE_DIRECTOR/state-$2
[ -e "$there" ] || echo direct >"$there"
case $1 in
is)
    [ ! -e "$FAKE_DIRECTOR/broken" ] || exit 2
    [ -e "$FAKE_DIRECTOR/lying" ] || [ "$(cat "$there")" = "$3" ] || {
        echo "$2 is $(cat "$there")"
        exit 1
    } ;;
set)
    if grep -q "$2" "$FAKE_DIRECTOR/refused" 2>/dev/null; then echo "no, not $2" >&2; exit 9; fi
    [ ! -e "$FAKE_DIRECTOR/lying" ] || exit 0
    [ -e "$FAKE_DIRECTOR/slow" ] || echo "$3" >"$there"
    case $3 in ipip) to='-i' tunnel=' --tun-type ipip' ;; *) to='-g' tunnel='' ;; esac
    sed -Ei "/-t \\\\[?$2\\\\]?:/s/ -[gi] -w ([0-9]+).*/ $to -w \\\\1$tunnel/" "$FAKE_DIRECTOR/rules" ;;
esac
"""
PLAIN: dict[str, Any] = {
    "apply": ["flip", "set", "{vip}", "{forwarding}"],
    "verify": ["flip", "is", "{vip}", "{forwarding}"],
    "undo": ["flip", "set", "{vip}", "{forwarding}"],
    "converge_timeout": 0,
}


@pytest.fixture
def shell(tmp_path: Path) -> RealShell:
    made = director_of(tmp_path)
    tool = tmp_path / "bin" / "flip"
    tool.write_text(TOOL)
    tool.chmod(0o755)
    return made


def driver(director: RealShell, /, **keys: Any) -> CommandDriver:  # noqa: ANN401  # as in the file
    options = {key: value for key, value in {**PLAIN, **keys}.items() if value is not None}
    return CommandDriver(
        replace(LVS1, driver="command", options=options), WEB, director, sleep=lambda _: None
    )


def asked(shell: RealShell, verb: str) -> list[str]:
    return [line for line in (shell.folder / "asked").read_text().splitlines() if line.startswith(verb)]


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"apply": None}, r"apply: is missing, expected a list of texts"),
        ({"apply": "flip {service}"}, r"apply: is 'flip \{service\}', expected a list of texts"),
        ({"apply": []}, r"apply: is \[\], expected a list of texts"),
        ({"apply": ["flip", 80]}, r"apply: is \['flip', 80\], expected a list of texts"),
        ({"apply": ["", "x"]}, r"apply: is \['', 'x'\], expected"),
        (
            {"verify": ["is", "{servise}"]},
            r"verify: is '\{servise\}', expected no placeholders but \{service\}",
        ),
        ({"verify": ["is", "{vip.packed}"]}, r"verify: is '\{vip.packed\}', expected no placeholders but"),
        ({"verify": ["is", "{port:>9}"]}, r"verify: is '\{port:>9\}', expected no placeholders but"),
        ({"verify": ["is", "{vip"]}, r"verify: is '\{vip', expected braces in pairs"),
        ({"verify": ["is", "{vip}"]}, r"verify: .*expected one with \{forwarding\} or \{scheduler\} in it"),
        ({"undo": None}, r"undo: is missing, expected a list of texts.*, or false where nothing undoes it"),
        ({"undo": True}, r"undo: is True, expected a list of texts.*, or false where nothing undoes it"),
        ({"read": ["show", "{forwarding}"]}, r"read: .*expected none of \{forwarding\} and \{scheduler\}"),
        ({"shell": "yes"}, r"shell: is 'yes', expected true or false"),
        ({"shell": True}, r"apply: is \[.*\], expected a text, for shell is true"),
        ({"ipvs": 1}, r"ipvs: is 1, expected true or false"),
    ],
)
def test_a_wrong_key_is_one_configuration_error_that_names_entry_and_key(
    shell: RealShell, keys: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=rf"^directors.yaml: lab: low-traffic: lvs1: {said}"):
        driver(shell, **keys)


def test_no_value_is_ever_read_by_a_shell() -> None:
    keys = {**PLAIN, "apply": ["flip", "{service}; {{x}} $(reboot)"]}
    words = read_commands(Options(replace(LVS1, options=keys), WEB))["apply"]
    assert words.filled({"service": "a b'c"}) == ("flip", "a b'c; {x} $(reboot)")


def test_with_shell_the_text_is_the_shells_and_the_values_are_quoted_in_it() -> None:
    text = {"apply": "flip {service} | tee log", "verify": "is {forwarding}", "undo": False, "shell": True}
    words = read_commands(Options(replace(LVS1, options=text), WEB))["apply"]
    assert words.filled({"service": "a;b"}) == ("flip 'a;b' | tee log",)


def test_a_command_with_a_vip_runs_for_each_virtual_service_and_another_once(shell: RealShell) -> None:
    command_driver = driver(
        shell, apply=["go", "{service}", "{realservers}", "{port}/{protocol}", "{site}@{director}"]
    )
    before = command_driver.before()
    assert [edit.command for edit in command_driver.edits(before, TUNNEL)] == [
        "go web 10.10.0.21,10.10.0.22,fd10::21,fd10::22 80/tcp lab@lvs1"
    ]
    assert [edit.command for edit in command_driver.undo_edits(before, TUNNEL)] == [
        "flip set 10.99.0.1 direct",
        "flip set fd99::1 direct",
    ]


def test_the_flip_and_the_rollback_are_read_back_from_the_kernel(shell: RealShell) -> None:
    command_driver = driver(shell)
    before = json.loads(json.dumps(command_driver.before()))
    assert not command_driver.already(before, TUNNEL)
    assert command_driver.cannot_tell_before(before, TUNNEL) is None
    assert command_driver.apply(before, TUNNEL) == command_driver.edits(before, TUNNEL)
    assert shell.rules == FLIPPED
    assert {
        finding.verdict
        for finding in command_driver.findings(replace(WEB, encapsulated=True), command_driver.read())
    } == {Verdict.PASS}
    command_driver.restore(before, TUNNEL)
    assert shell.rules == RULES
    assert command_driver.before() == before


def test_what_is_so_already_is_left_alone(shell: RealShell) -> None:
    command_driver = driver(shell)
    before = command_driver.before()
    command_driver.restore(before, TUNNEL)
    command_driver.apply(before, TUNNEL)
    assert command_driver.apply(before, TUNNEL) == []
    assert len(shell.writes) == 2
    assert command_driver.already(command_driver.before(), TUNNEL)


def test_of_a_director_that_follows_the_catalog_nobody_can_tell_whether_a_command_is_left(
    shell: RealShell,
) -> None:
    command_driver = driver(shell, follows_catalog=True)
    assert command_driver.cannot_tell_before(command_driver.before(), TUNNEL) == (
        "the catalog is changed: the director follows it, and may do so by itself"
    )


def test_a_command_that_says_no_is_named_and_the_rollback_mends_the_half(shell: RealShell) -> None:
    command_driver = driver(shell)
    before = command_driver.before()
    fault = shell.switch("refused", "fd99::1")
    with pytest.raises(
        CommandFailedError, match=r"lvs1: 'flip set fd99::1 ipip' ended with status 9: no, not"
    ):
        command_driver.apply(before, TUNNEL)
    assert shell.rules != RULES
    fault.unlink()
    command_driver.restore(before, TUNNEL)
    assert shell.rules == RULES


def test_a_verify_that_says_no_is_a_failure_with_what_it_printed(shell: RealShell) -> None:
    command_driver = driver(shell)
    before = command_driver.before()
    shell.switch("slow")
    with pytest.raises(
        NotFollowedError, match=r"applied, but not so within 0 s: flip is 10.99.0.1 ipip: not as wanted"
    ):
        command_driver.apply(before, TUNNEL)


def test_a_verify_that_cannot_say_is_a_doubt_and_never_a_yes(shell: RealShell) -> None:
    command_driver = driver(shell)
    before = command_driver.before()
    shell.switch("broken")
    with pytest.raises(
        DoubtError, match=r"ended with status 2, expected 0 \(as wanted\) or 1 \(not as wanted\)"
    ):
        command_driver.already(before, TUNNEL)
    with pytest.raises(DoubtError):
        command_driver.apply(before, TUNNEL)
    assert shell.writes == []


def test_commands_that_lie_are_found_out_by_the_kernels_table(shell: RealShell) -> None:
    command_driver = driver(shell)
    before = command_driver.before()
    shell.switch("lying")
    assert not command_driver.already(before, TUNNEL)
    with pytest.raises(NotFollowedError, match=r"10.10.0.21:80 is Route, wanted Tunnel"):
        command_driver.apply(before, TUNNEL)
    assert len(asked(shell, "set")) == 2


def test_a_destination_that_does_not_follow_is_named_alone(shell: RealShell) -> None:
    command_driver = driver(shell)
    before = command_driver.before()
    half = FLIPPED.replace("-r 10.10.0.22:80 -i -w 3 --tun-type ipip", "-r 10.10.0.22:80 -g -w 3")
    shell.switch("lying")
    shell.before_write = lambda: setattr(shell, "rules", half)
    with pytest.raises(NotFollowedError) as told:
        command_driver.apply(before, TUNNEL)
    assert [line.partition(" s: ")[2] for line in str(told.value).splitlines()] == [
        "tcp 10.99.0.1:80: 10.10.0.22:80 is Route, wanted Tunnel"
    ]


def test_an_answer_that_was_lost_is_looked_for_before_anything_runs_again(shell: RealShell) -> None:
    command_driver = driver(
        shell, apply=["sh", "-c", "flip set 10.99.0.1 ipip; flip set fd99::1 {forwarding}"]
    )
    before = command_driver.before()
    shell.lost_answers = 1
    command_driver.apply(before, TUNNEL)
    assert shell.rules == FLIPPED
    assert len(shell.writes) == 1


def test_somebody_elses_weight_stops_it_before_anything_runs(shell: RealShell) -> None:
    command_driver = driver(shell)
    before = command_driver.before()
    shell.rules = RULES.replace("-w 3", "-w 0")
    with pytest.raises(WorldChangedError, match=r"10.10.0.22:80: weight 0, wanted 3"):
        command_driver.apply(before, TUNNEL)
    assert shell.writes == []


def test_what_read_prints_must_still_be_so_and_undo_is_given_it(shell: RealShell) -> None:
    there = shell.switch("there", "old words\n")
    command_driver = driver(
        shell,
        read=["cat", str(there)],
        undo=["sh", "-c", f"cat >{there}.back; flip set {{vip}} {{forwarding}}"],
    )
    before = json.loads(json.dumps(command_driver.before()))
    assert before["read"] == "old words\n"
    command_driver.apply(before, TUNNEL)
    command_driver.restore(before, TUNNEL)
    assert (shell.folder / "there.back").read_text() == "old words\n"
    there.write_text("new words\n")
    with pytest.raises(WorldChangedError, match="read prints something else than when it was looked at"):
        command_driver.apply(before, TUNNEL)
    assert shell.rules == RULES


def test_without_undo_there_is_no_rollback_and_that_is_said_with_what_to_do(shell: RealShell) -> None:
    assert driver(shell).irreversible_reason(TUNNEL) is None
    command_driver = driver(shell, undo=False)
    assert (
        command_driver.irreversible_reason(TUNNEL)
        == "directors.yaml: lab: low-traffic: lvs1: undo: is false: nothing undoes it"
    )
    before = command_driver.before()
    command_driver.restore(before, TUNNEL)
    command_driver.apply(before, TUNNEL)
    with pytest.raises(
        VerifyError, match=r"not reversible: .*; by hand: make web as it was there: tcp 10.99.0.1:80 direct"
    ):
        command_driver.restore(before, TUNNEL)
    assert shell.rules == FLIPPED
    assert "make web as it was there" in str(command_driver.undo_edits(before, TUNNEL)[0].command)


def test_without_ipvs_verify_is_the_only_witness(shell: RealShell) -> None:
    (shell.folder / "bin" / "ipvsadm").unlink()
    command_driver = driver(shell, ipvs=False)
    before = command_driver.before()
    assert [finding.verdict for finding in command_driver.findings(WEB, command_driver.read())] == [
        Verdict.PASS
    ]
    command_driver.apply(before, TUNNEL)
    assert command_driver.already(command_driver.before(), TUNNEL)
    found = command_driver.findings(WEB, command_driver.read())
    assert [finding.verdict for finding in found] == [Verdict.FAIL]
    assert "10.99.0.1 is ipip" in found[0].seen
    command_driver.restore(before, TUNNEL)
    assert command_driver.before() == before


@pytest.mark.parametrize(
    ("keys", "target", "said"),
    [
        ({"apply": ["flip", "to-ipip"]}, SetScheduler("mh"), r"apply: does not name \{scheduler\}"),
        ({"apply": ["s", "{scheduler}"]}, SetScheduler("mh"), r"undo: does not name \{scheduler\}"),
        ({"apply": ["choose", "{scheduler}"]}, TUNNEL, r"apply: does not name \{forwarding\}"),
        ({"verify": ["is", "{scheduler}"], "ipvs": False}, TUNNEL, r"verify: .*nothing else tells"),
    ],
)
def test_commands_for_one_thing_are_never_run_for_another(
    shell: RealShell, keys: dict[str, Any], target: Target, said: str
) -> None:
    (shell.folder / "bin" / "is").symlink_to("/bin/true")
    command_driver = driver(shell, **keys)
    with pytest.raises(RefusedError, match=f": directors.yaml: lab: low-traffic: lvs1: {said}"):
        command_driver.already(command_driver.before(), target)


def test_a_command_of_forwarding_alone_need_not_name_it(shell: RealShell) -> None:
    command_driver = driver(
        shell, apply=["flip", "set", "{vip}", "ipip"], undo=["flip", "set", "{vip}", "direct"]
    )
    before = command_driver.before()
    assert not command_driver.already(before, TUNNEL)
    command_driver.apply(before, TUNNEL)
    command_driver.restore(before, TUNNEL)
    assert shell.rules == RULES


def test_a_dry_run_asks_verify_and_runs_nothing_else(shell: RealShell) -> None:
    shell.dry_run = True
    command_driver = driver(shell)
    before = command_driver.before()
    assert not command_driver.already(before, TUNNEL)
    with pytest.raises(DryRunError):
        command_driver.apply(before, TUNNEL)
    assert asked(shell, "set") == []
