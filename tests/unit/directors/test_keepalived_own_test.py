"""An edit is judged by what is new in what keepalived's own test says: first of all, and when it is made."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ferryman.directors import SetForwarding, SetScheduler
from ferryman.errors import RefusedError, VerifyError
from ferryman.hosts.verbs.keepalived_trial import KeepalivedTrial
from ferryman.model import Forwarding, Verdict
from unit.directors import field
from unit.directors.field import config_of, configuration, director_with, put
from unit.directors.world import RULES

if TYPE_CHECKING:
    from ferryman.directors.keepalived.driver import KeepalivedDriver
    from unit.directors.world import RealShell

TUNNEL = SetForwarding(Forwarding.TUNNEL)
FAILING = configuration("test-already-failing")
SOUND = """\
virtual_server 10.99.0.1 80 {
    lvs_sched wrr
    lvs_method DR
    protocol TCP
    real_server 10.10.0.21 80 {
        weight 1
    }
    real_server 10.10.0.22 80 {
        weight 3
    }
}
"""


@pytest.fixture
def shell(shell: RealShell) -> RealShell:
    field.with_real_test(shell)
    return shell


def remarks(driver: KeepalivedDriver) -> list[str]:
    return [f"{finding.host}: {finding.check}: {finding.seen}" for finding in driver.remarks]


def test_an_edit_that_cannot_be_accepted_is_refused_before_anything_is_changed(shell: RealShell) -> None:
    """With a scheduler that this keepalived does not know, the edited text has a complaint of its own."""
    driver = director_with(shell, FAILING)
    with pytest.raises(RefusedError) as refusal:
        driver.before(SetScheduler("ovf", ("mh-port",)))
    (line,) = str(refusal.value).splitlines()
    assert line.startswith(
        f"lvs1: keepalived -t -f {config_of(shell)}, with {config_of(shell)} edited for ovf"
    )
    assert "mh-port" in line
    assert "nat_mask" not in line, "it says that of the text as it is, too"
    assert config_of(shell).read_text() == FAILING
    assert shell.writes == []


def test_a_text_that_it_already_complains_of_is_told_and_goes_there_and_back(shell: RealShell) -> None:
    driver = director_with(shell, FAILING)
    before = json.loads(json.dumps(driver.before(TUNNEL)))
    (remark,) = driver.remarks
    assert (remark.host, remark.check, remark.verdict) == ("lvs1", "keepalived-test", Verdict.WARN)
    assert f"keepalived -t -f {config_of(shell)} ends with 5 before anything is edited: " in remark.seen
    assert "(Line 4) vrrp_garp_interval '0' is invalid; " in remark.seen
    assert f"({config_of(shell)}: Line 11) Unknown keyword 'nat_mask'" in remark.seen
    driver.apply(before, TUNNEL)
    assert config_of(shell).read_text() == FAILING.replace("lb_kind DR", "lb_kind TUN")
    assert shell.rules.count("10.99.0.1:80 -r 10.10.0.2") == shell.rules.count("10.99.0.1:80 -r") == 2
    assert "-a -t 10.99.0.1:80 -r 10.10.0.22:80 -i -w 3 --tun-type ipip" in shell.rules
    driver.restore(before, TUNNEL)
    assert config_of(shell).read_text() == FAILING
    assert shell.rules == RULES
    assert json.loads(json.dumps(driver.before(TUNNEL))) == before


def test_a_sound_text_has_nothing_to_be_told_and_its_before_is_as_ever(shell: RealShell) -> None:
    driver = director_with(shell, SOUND)
    before = driver.before(TUNNEL)
    assert driver.remarks == []
    assert before.keys() == {"table", "files"}, (
        "journals of runs from before this judgement have no other key"
    )
    driver.apply(before, TUNNEL)
    driver.restore(before, TUNNEL)
    assert shell.rules == RULES


@pytest.mark.parametrize("text", [SOUND, FAILING])
def test_what_others_break_between_the_plan_and_the_edit_changes_nothing(shell: RealShell, text: str) -> None:
    driver = director_with(shell, f"include {shell.folder}/more/*.conf\n{text}")
    before = driver.before(TUNNEL)
    (shell.folder / "more").mkdir()
    (shell.folder / "more" / "theirs.conf").write_text(
        "virtual_server 10.99.0.8 80 { lvs_sched rr\n no_word\n"
    )
    with pytest.raises(VerifyError, match=r"does not accept the new.*nothing was changed.*'no_word'"):
        driver.apply(before, TUNNEL)
    assert "DR" in config_of(shell).read_text()
    assert shell.writes == []


def test_a_text_that_it_does_not_get_through_is_refused(shell: RealShell) -> None:
    """keepalived ends at such a line, the daemon at a reload too."""
    driver = director_with(shell, SOUND + "virtual_server 10.99.0.7 80 {\n    lvs_sched\n}\n")
    with pytest.raises(RefusedError, match=r"as it is: .*is missing a parameter.*would end at a reload"):
        driver._tester.plan(driver.now(), {str(config_of(shell)): SOUND}, TUNNEL)


def test_a_word_that_is_no_comment_is_refused_with_its_line_and_the_signs_that_are(shell: RealShell) -> None:
    text = configuration("slash-comments").removesuffix("}\n") + "    real_server 10.10.0.22 80 {\n    }\n}\n"
    driver = director_with(shell, text)
    shell.rules = RULES.replace("10.99.0.1:80 -s wrr", "10.99.0.1:80 -s rr")
    with pytest.raises(RefusedError) as refusal:
        driver.before(TUNNEL)
    assert "line 3: lb_kind DR // direct: " in str(refusal.value)
    assert "// is not a comment in keepalived: use # or !" in str(refusal.value)


def test_lines_under_another_id_are_not_judged_where_the_daemon_has_its_own(shell: RealShell) -> None:
    text = SOUND + "@edge1 no_such_word\n@edge2 another_word\n"
    shell.switch("processes", f"own keepalived -i edge2 -f {config_of(shell)}\n")
    driver = director_with(shell, text)
    before = driver.before(TUNNEL)
    assert before["config_id"] == "edge2"
    (said,) = remarks(driver)
    assert "another_word" in said
    assert "no_such_word" not in said
    driver.apply(before, TUNNEL)
    driver.restore(before, TUNNEL)
    assert config_of(shell).read_text() == text


def test_a_file_that_is_a_link_is_judged_where_it_leads(shell: RealShell) -> None:
    (shell.folder / "real").mkdir()
    real = shell.folder / "real" / "web.txt"
    general, word, rest = FAILING.partition("virtual_server")
    real.write_text(word + rest)
    (shell.folder / "web.conf").symlink_to(real)
    driver = director_with(shell, f"{general}include {shell.folder}/web.conf\n")
    before = driver.before(TUNNEL)
    driver.apply(before, TUNNEL)
    assert "lb_kind TUN" in real.read_text()


def test_nothing_is_left_of_a_test_and_a_test_changes_nothing(shell: RealShell) -> None:
    before = {path: path.stat().st_mtime_ns for path in shell.folder.rglob("*")}
    driver = director_with(shell, FAILING)
    shell.dry_run = True
    driver.before(TUNNEL)
    after = set(shell.folder.rglob("*"))
    assert after - before.keys() == {config_of(shell)}
    assert [verb for verb in shell.reads if isinstance(verb, KeepalivedTrial)]


def test_a_test_that_does_not_end_is_refused_and_named(shell: RealShell) -> None:
    """Nobody waits for it: ``timeout`` says at once that the time is up."""
    driver = director_with(shell, SOUND)
    put(shell, "timeout", "shift 3\nexit 124")
    with pytest.raises(RefusedError, match=r"keepalived -t -f .*as it is: it does not end in time"):
        driver.before(TUNNEL)


def test_where_no_test_can_be_made_it_is_refused_before_anything(shell: RealShell) -> None:
    driver = director_with(shell, SOUND)
    put(shell, "unshare", "echo 'unshare: Operation not permitted' >&2; exit 1")
    with pytest.raises(RefusedError, match=r"cannot be tried before it is live .*Operation not permitted"):
        driver.before(TUNNEL)


def test_a_status_that_is_worse_without_a_word_is_refused(shell: RealShell) -> None:
    driver = director_with(shell, SOUND)
    version = 'if [ "$*" = -v ]; then cat "$FAKE_DIRECTOR/version" >&2; exit 0; fi'
    put(shell, "keepalived", f'{version}\nfor file; do :; done\n! grep -q TUN "$file" || exit 5')
    with pytest.raises(RefusedError, match="ends with status 5, and says nothing more: see its log"):
        driver.before(TUNNEL)


def test_what_others_have_broken_since_is_known_before_anything_is_put_back(shell: RealShell) -> None:
    driver = director_with(shell, f"include {shell.folder}/more/*.conf\n{FAILING}")
    before = driver.before(TUNNEL)
    driver.apply(before, TUNNEL)
    driver.require_restorable(before, TUNNEL)
    (shell.folder / "more").mkdir()
    (shell.folder / "more" / "theirs.conf").write_text("no_word\n")
    writes = len(shell.writes)
    with pytest.raises(VerifyError, match=r"does not accept the new.*nothing was changed.*'no_word'"):
        driver.require_restorable(before, TUNNEL)
    assert len(shell.writes) == writes


def test_a_password_in_a_line_that_it_repeats_is_in_no_message(shell: RealShell) -> None:
    config = config_of(shell)
    config.write_text('vrrp_instance V {\n    authentication {\n        auth_pass "hunter2\n    }\n}\n')
    said = shell.read("lvs1", KeepalivedTrial(str(config), {}, {})).as_is
    assert any("auth_pass" in line for line in said.lines)
    assert "hunter2" not in str(said)


def test_what_it_only_mentions_and_accepts_is_no_complaint_to_a_before_that_was_not_tested(
    shell: RealShell,
) -> None:
    """Files that an include does not find are such a thing; a journal of an earlier version has no test."""
    text = f"{SOUND}include {shell.folder}/{{more,less}}/*.conf\n"
    driver = director_with(shell, text)
    (shell.folder / "more").mkdir()
    (shell.folder / "more" / "note.conf").write_text("# nothing yet\n")
    before = driver.before()
    assert "test" not in before
    driver.apply(before, TUNNEL)
    driver.restore(before, TUNNEL)
    assert config_of(shell).read_text() == text
    assert "Some config files missing" in driver.before(TUNNEL)["test"]["lines"][0]
