from __future__ import annotations

import json
from pathlib import Path

import pytest

from ferryman.directors import SetForwarding, driver_for
from ferryman.directors.keepalived.driver import KeepalivedDriver, _Way
from ferryman.directors.keepalived.render import MARKER
from ferryman.errors import (
    ConfigError,
    DoubtError,
    DryRunError,
    RefusedError,
    UnknownOutcomeError,
    VerifyError,
    WorldChangedError,
)
from ferryman.hosts.verbs.keepalived import KeepalivedWrite
from ferryman.model import Director, Forwarding, Role
from tools import does
from unit.directors.test_ipvsadm import FLIPPED
from unit.directors.world import RULES, WEB, RealShell

TUNNEL, DIRECT = SetForwarding(Forwarding.TUNNEL), SetForwarding(Forwarding.DIRECT)

DIRECT_TEXT = """\
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
virtual_server fd99::1 80 {
    lvs_sched wrr
    lvs_method DR
    protocol TCP
    real_server fd10::21 80 {
        weight 1
    }
    real_server fd10::22 80 {
        weight 1
    }
}
"""
TUNNEL_TEXT = DIRECT_TEXT.replace("lvs_method DR", "lvs_method TUN")

Files = tuple[Path, Path]


@pytest.fixture
def files(shell: RealShell) -> Files:
    """Main file, and the service's own."""
    main, own = shell.folder / "keepalived.conf", shell.folder / "services" / "web.conf"
    own.parent.mkdir()
    main.write_text(f"global_defs {{\n}}\ninclude {own.parent}/*.conf\n")
    own.write_text(DIRECT_TEXT)
    own.chmod(0o640)
    return main, own


def _overwrite(path: Path, text: str) -> None:
    path.write_text(text)


def keepalived(files: Files, **options: object) -> Director:
    main, own = files
    known = {
        "config": str(main),
        "service_file": str(own).replace("web", "{service}"),
        "reload": f"reload {main}",
        "converge_timeout": 0,
    }
    return Director("lvs1", Role.PRIMARY, "keepalived", {**known, **options})


@pytest.fixture
def driver(shell: RealShell, files: Files) -> KeepalivedDriver:
    return KeepalivedDriver(keepalived(files), WEB, shell, sleep=lambda _s: None)


def test_the_flip_edits_the_file_reloads_and_reaches_the_kernel(
    shell: RealShell, files: Files, driver: KeepalivedDriver
) -> None:
    before = json.loads(json.dumps(driver.before()))
    assert driver.apply(before, TUNNEL) == driver.edits(before, TUNNEL)
    assert files[1].read_text() == TUNNEL_TEXT
    assert shell.rules == FLIPPED
    assert oct(files[1].stat().st_mode & 0o777) == "0o640"
    assert sorted(path.name for path in files[1].parent.iterdir()) == ["web.conf"]
    driver.restore(before, TUNNEL)
    assert files[1].read_text() == DIRECT_TEXT
    assert shell.rules == RULES
    assert driver.before() == before


def test_a_configuration_that_keepalived_refuses_changes_nothing_and_says_why(
    shell: RealShell, files: Files, driver: KeepalivedDriver
) -> None:
    before = driver.before()
    files[0].write_text(files[0].read_text() + "bogus_word 1\n")
    with pytest.raises(VerifyError, match=r"(?s)does not accept the new.*Unknown keyword 'bogus_word'"):
        driver.apply(before, TUNNEL)
    assert files[1].read_text() == DIRECT_TEXT
    assert shell.rules == RULES
    assert not (shell.folder / "reloads").exists()
    assert sorted(path.name for path in files[1].parent.iterdir()) == ["web.conf"]


def test_the_new_text_is_tested_and_not_the_old_one(shell: RealShell, files: Files) -> None:
    """The new text alone is bad: a test of the live files would not see it."""
    driver = KeepalivedDriver(keepalived(files), WEB, shell, sleep=lambda _s: None)
    path = str(files[1])
    driver.apply(driver.before(), TUNNEL)
    with pytest.raises(VerifyError, match="bogus_new"):
        driver._reloaded(
            _Way(
                {"files": {}}, lambda table: table, {path: TUNNEL_TEXT}, {path: DIRECT_TEXT + "bogus_new 1\n"}
            )
        )
    assert files[1].read_text() == TUNNEL_TEXT


def test_where_the_test_cannot_be_made_nothing_is_changed(
    shell: RealShell, files: Files, driver: KeepalivedDriver
) -> None:
    before = driver.before()
    shell.switch("no-unshare")
    with pytest.raises(VerifyError, match="cannot be tried before it is live"):
        driver.apply(before, TUNNEL)
    assert files[1].read_text() == DIRECT_TEXT
    assert shell.rules == RULES


def test_a_frozen_keepalived_is_told_destination_by_destination_and_the_rollback_is_whole(
    shell: RealShell, files: Files, driver: KeepalivedDriver
) -> None:
    before = driver.before()
    shell.switch("frozen")
    with pytest.raises(DoubtError) as error:
        driver.apply(before, TUNNEL)
    assert "reloaded twice, but the table did not follow within 0 s" in str(error.value)
    assert "10.10.0.22:80 is Route, wanted Tunnel" in str(error.value)
    assert "[fd10::21]:80 is Route, wanted Tunnel" in str(error.value)
    driver.restore(before, TUNNEL)
    assert files[1].read_text() == DIRECT_TEXT
    assert shell.rules == RULES


def test_the_kernel_may_follow_late(shell: RealShell, files: Files) -> None:
    naps: list[float] = []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 3:
            (shell.folder / "frozen").unlink()
            shell.write("lvs1", does(f"reload {files[0]}"))

    driver = KeepalivedDriver(keepalived(files, converge_timeout=30), WEB, shell, sleep=nap)
    before = driver.before()
    shell.switch("frozen")
    driver.apply(before, TUNNEL)
    assert naps == [1.0, 1.0, 1.0]


def test_a_reload_command_that_fails_is_told_and_undone(
    shell: RealShell, files: Files, driver: KeepalivedDriver
) -> None:
    before = driver.before()
    broken = KeepalivedDriver(keepalived(files, reload="echo no such process >&2; false"), WEB, shell)
    with pytest.raises(VerifyError, match=r"is replaced, but the reload command failed: no such process"):
        broken.apply(before, TUNNEL)
    assert files[1].read_text() == TUNNEL_TEXT
    driver.restore(before, TUNNEL)
    assert files[1].read_text() == DIRECT_TEXT


def test_a_file_that_someone_changed_is_not_overwritten_in_either_direction(
    shell: RealShell, files: Files, driver: KeepalivedDriver
) -> None:
    before = driver.before()
    theirs = DIRECT_TEXT.replace("weight 3", "weight 5")
    files[1].write_text(theirs)
    with pytest.raises(WorldChangedError, match="someone else changed it"):
        driver.apply(before, TUNNEL)
    assert driver.restore(before, TUNNEL) == [], "nothing of ours is in it"
    files[1].write_text(theirs.replace("DR", "TUN"))
    with pytest.raises(WorldChangedError, match=r"web\.conf: someone else changed it"):
        driver.restore(before, TUNNEL)
    assert files[1].read_text() == theirs.replace("DR", "TUN")
    assert shell.writes == []


def test_a_file_that_changes_between_the_look_and_the_write_is_not_overwritten(
    shell: RealShell, files: Files, driver: KeepalivedDriver
) -> None:
    before = driver.before()
    shell.before_write = lambda: _overwrite(files[1], "theirs\n")
    with pytest.raises(WorldChangedError, match=r"web\.conf"):
        driver.apply(before, TUNNEL)
    assert files[1].read_text() == "theirs\n"


def test_a_weight_that_a_health_check_changed_stops_the_flip(
    shell: RealShell, driver: KeepalivedDriver
) -> None:
    before = driver.before()
    shell.rules = RULES.replace("-w 3", "-w 0")
    with pytest.raises(WorldChangedError, match=r"10.10.0.22:80: weight 0, wanted 3"):
        driver.apply(before, TUNNEL)
    assert shell.writes == []


def test_a_realserver_that_a_health_check_made_quiescent_is_refused_before_anything(
    shell: RealShell, files: Files, driver: KeepalivedDriver
) -> None:
    shell.rules = RULES.replace("-w 3", "-w 0")
    with pytest.raises(
        RefusedError, match=r"10\.10\.0\.22:80 has weight 0, and 3 in .*web\.conf: its health"
    ):
        driver.before()
    files[1].write_text(DIRECT_TEXT.replace("real_server 10.10.0.22 80", "real_server $WEB2 80"))
    with pytest.raises(RefusedError, match=r"10\.10\.0\.22:80 has weight 0, and 1 in .*web\.conf"):
        driver.before()


def test_a_realserver_that_is_drained_in_the_file_is_flipped_with_the_others(
    shell: RealShell, files: Files, driver: KeepalivedDriver
) -> None:
    shell.rules = RULES.replace("-w 3", "-w 0")
    files[1].write_text(DIRECT_TEXT.replace("weight 3", "weight 0"))
    driver.apply(driver.before(), TUNNEL)
    assert shell.rules == FLIPPED.replace("-w 3", "-w 0")


def test_a_destination_that_a_health_check_took_out_refuses_the_change(
    shell: RealShell, driver: KeepalivedDriver
) -> None:
    shell.rules = RULES.replace("-a -t 10.99.0.1:80 -r 10.10.0.22:80 -g -w 3\n", "")
    with pytest.raises(RefusedError, match=r"web2 \(10.10.0.22:80\) is not among its destinations"):
        driver.before()


def test_a_file_replaced_and_not_reloaded_is_only_reloaded(
    shell: RealShell, files: Files, driver: KeepalivedDriver
) -> None:
    before = driver.before()
    files[1].write_text(TUNNEL_TEXT)
    inode = files[1].stat().st_ino
    assert driver.apply(before, TUNNEL) == driver.edits(before, TUNNEL)[1:]
    assert shell.rules == FLIPPED
    assert files[1].stat().st_ino == inode


def test_twice_is_as_once(shell: RealShell, driver: KeepalivedDriver) -> None:
    before = driver.before()
    driver.restore(before, TUNNEL)
    driver.apply(before, TUNNEL)
    driver.apply(before, TUNNEL)
    driver.restore(before, TUNNEL)
    driver.restore(before, TUNNEL)
    assert len(shell.writes) == 2


@pytest.mark.parametrize("lost", ["lost_answers", "lost_commands"])
def test_a_lost_answer_is_read_back_and_what_did_not_happen_is_done(
    shell: RealShell, files: Files, driver: KeepalivedDriver, lost: str
) -> None:
    before = driver.before()
    setattr(shell, lost, 1)
    driver.apply(before, TUNNEL)
    assert files[1].read_text() == TUNNEL_TEXT
    assert shell.rules == FLIPPED


def test_a_director_that_stays_silent_is_a_doubt(shell: RealShell, driver: KeepalivedDriver) -> None:
    before = driver.before()
    shell.lost_commands = 2
    with pytest.raises(UnknownOutcomeError):
        driver.apply(before, TUNNEL)


@pytest.mark.parametrize(
    "by_others",
    [RULES.replace("-w 3", "-w 9"), RULES.replace("-a -t 10.99.0.1:80 -r 10.10.0.22:80 -g -w 3\n", "")],
    ids=["a weight", "a destination"],
)
def test_a_table_that_somebody_edits_right_before_the_write_is_left_alone(
    shell: RealShell, files: Files, driver: KeepalivedDriver, by_others: str
) -> None:
    before = driver.before()
    shell.before_write = lambda: setattr(shell, "rules", by_others)
    with pytest.raises(WorldChangedError, match="not the one just read: someone else changed it since"):
        driver.apply(before, TUNNEL)
    assert files[1].read_text() == DIRECT_TEXT
    assert shell.rules == by_others != RULES
    assert not (shell.folder / "reloads").exists()


def test_a_text_that_arrives_torn_is_not_used(
    files: Files, driver: KeepalivedDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = driver.before()
    words = KeepalivedWrite.words.fget  # type: ignore[attr-defined]  # a property has one
    torn = property(lambda verb: [*words(verb)[:2], "0" * 64, *words(verb)[3:]])
    monkeypatch.setattr(KeepalivedWrite, "words", torn)
    with pytest.raises(VerifyError, match="did not arrive whole"):
        driver.apply(before, TUNNEL)
    assert files[1].read_text() == DIRECT_TEXT


def test_the_file_may_be_a_link_and_stays_one(shell: RealShell, files: Files) -> None:
    link = shell.folder / "web.conf"
    link.symlink_to(files[1])
    driver = KeepalivedDriver(keepalived(files, service_file=str(link)), WEB, shell)
    driver.apply(driver.before(), TUNNEL)
    assert link.is_symlink()
    assert files[1].read_text() == TUNNEL_TEXT


def test_bytes_that_are_no_text_come_back_as_they_were(
    shell: RealShell, files: Files, driver: KeepalivedDriver
) -> None:
    odd = b"# caf\xe9\n" + DIRECT_TEXT.encode()
    files[1].write_bytes(odd)
    before = json.loads(json.dumps(driver.before()))
    driver.apply(before, TUNNEL)
    assert files[1].read_bytes() == b"# caf\xe9\n" + TUNNEL_TEXT.encode()
    driver.restore(before, TUNNEL)
    assert files[1].read_bytes() == odd


def test_the_plan_shows_the_diff_and_the_reload(files: Files, driver: KeepalivedDriver) -> None:
    edit, reload = driver.edits(driver.before(), TUNNEL)
    assert edit.target == f"lvs1:{files[1]}"
    assert edit.diff is not None
    assert [
        line for line in edit.diff.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")
    ] == [
        "-    lvs_method DR",
        "+    lvs_method TUN",
    ] * 2
    assert reload.command == f"reload {files[0]}"


def test_a_file_of_ferrymans_own_is_rendered_whole(
    shell: RealShell, files: Files, driver: KeepalivedDriver
) -> None:
    files[1].write_text(f"{MARKER}\n{DIRECT_TEXT}")
    before = driver.before()
    driver.apply(before, TUNNEL)
    assert files[1].read_text().splitlines()[0] == MARKER
    assert "protocol TCP" in files[1].read_text()
    assert shell.rules == FLIPPED
    driver.restore(before, TUNNEL)
    assert files[1].read_text() == f"{MARKER}\n{DIRECT_TEXT}"
    assert shell.rules == RULES


def test_a_file_without_the_service_is_refused_before_anything(
    files: Files, driver: KeepalivedDriver
) -> None:
    files[1].write_text(DIRECT_TEXT.partition("virtual_server fd99::1")[0])
    with pytest.raises(RefusedError, match=r"web\.conf: no virtual_server fd99::1 80 \(tcp\) in it"):
        driver.edits(driver.before(), TUNNEL)


def test_already_so_means_file_and_kernel_both(
    shell: RealShell, files: Files, driver: KeepalivedDriver
) -> None:
    assert driver.already(driver.before(), DIRECT)
    shell.rules = FLIPPED
    assert not driver.already(driver.before(), TUNNEL)
    files[1].write_text(TUNNEL_TEXT)
    assert driver.already(driver.before(), TUNNEL)


def test_a_dry_run_cannot_write(shell: RealShell, files: Files, driver: KeepalivedDriver) -> None:
    before = driver.before()
    shell.dry_run = True
    with pytest.raises(DryRunError):
        driver.apply(before, TUNNEL)
    assert files[1].read_text() == DIRECT_TEXT


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("converge_timeout", "soon", "converge_timeout: is 'soon', expected a number of seconds"),
        ("converge_timeout", True, "expected a number of seconds"),
        ("reload", "", "reload: is '', expected a text"),
        ("service_file", 7, "service_file: is 7, expected a text"),
    ],
)
def test_a_key_of_the_wrong_kind_names_its_entry(
    shell: RealShell, files: Files, key: str, value: object, said: str
) -> None:
    with pytest.raises(ConfigError) as error:
        driver_for(keepalived(files, **{key: value}), WEB, shell)
    assert "directors.yaml: lab: low-traffic: lvs1: " in str(error.value)
    assert said in str(error.value)
