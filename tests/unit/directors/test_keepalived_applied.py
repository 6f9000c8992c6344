"""Whether a change stands in keepalived's files, and whether it can be put back, whoever edited beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ferryman.directors import SetScheduler
from ferryman.errors import RefusedError, WorldChangedError
from unit.directors.test_keepalived import DIRECT_TEXT, TUNNEL, TUNNEL_TEXT, driver, files
from unit.directors.world import RULES, RealShell

if TYPE_CHECKING:
    from ferryman.directors.keepalived.driver import KeepalivedDriver
    from unit.directors.test_keepalived import Files

__all__ = ["driver", "files"]
NOTE = "# new disks on Monday\n"


def made(driver: KeepalivedDriver) -> dict[str, object]:
    before = driver.before()
    driver.apply(before, TUNNEL)
    return before


def test_a_note_beside_our_words_is_theirs_and_our_words_are_ours(
    shell: RealShell, files: Files, driver: KeepalivedDriver
) -> None:
    before = made(driver)
    files[1].write_text(TUNNEL_TEXT + NOTE)
    seen = driver.compare(before, TUNNEL)
    assert f"{files[1]}: line 3: virtual_server 10.99.0.1 80: lvs_method: it says TUN" in seen.ours
    assert seen.others == (f"{files[1]}: has edits of someone else",)
    state = driver.applied_state(before, TUNNEL)
    assert (state.gone, state.others) == ([], list(seen.others))
    with pytest.raises(WorldChangedError, match=r"lvs1: .*web\.conf: someone else changed it"):
        driver.require_restorable(before, TUNNEL)
    assert len(shell.writes) == 1


def test_words_that_others_have_taken_out_are_back_and_their_note_is_told(
    shell: RealShell, files: Files, driver: KeepalivedDriver
) -> None:
    before = made(driver)
    files[1].write_text(DIRECT_TEXT + NOTE)
    shell.rules = RULES
    seen = driver.compare(before, TUNNEL)
    assert (seen.ours, seen.others) == ((), (f"{files[1]}: has edits of someone else",))
    assert driver.restore(before, TUNNEL) == []
    driver.require_restorable(before, TUNNEL)
    assert files[1].read_text() == DIRECT_TEXT + NOTE
    gone = driver.applied_state(before, TUNNEL).gone
    assert gone[0].endswith("line 3: virtual_server 10.99.0.1 80: lvs_method: it says DR, wanted TUN")


def test_a_file_that_says_so_while_the_kernel_does_not_is_an_effect(
    files: Files, driver: KeepalivedDriver
) -> None:
    before = driver.before()
    assert driver.in_effect(before, TUNNEL) == driver.in_effect(None, TUNNEL) == []
    files[1].write_text(TUNNEL_TEXT)
    for seen in (driver.in_effect(before, TUNNEL), driver.in_effect(None, TUNNEL)):
        assert len(seen) == 2
        assert "web.conf: line 3: virtual_server 10.99.0.1 80: lvs_method: it says TUN" in seen[0]


def test_what_is_in_effect_is_seen_on_a_director_that_may_not_be_changed_now(
    shell: RealShell, driver: KeepalivedDriver
) -> None:
    before = made(driver)
    shell.rules = shell.rules.replace("-a -t 10.99.0.1:80 -r 10.10.0.22:80 -i -w 3 --tun-type ipip\n", "")
    shell.switch("processes", "")
    assert "10.10.0.21:80 is Tunnel, wanted Route" in driver.in_effect(before, TUNNEL)[0]
    assert driver.now()["table"]


def test_a_later_change_of_the_same_file_is_known_before_anything_is_put_back(
    shell: RealShell, files: Files, driver: KeepalivedDriver
) -> None:
    before = made(driver)
    later = SetScheduler("mh", ("mh-port",))
    driver.apply(driver.before(later), later)
    writes = len(shell.writes)
    with pytest.raises(WorldChangedError, match=r"lvs1: .*web\.conf: someone else changed it"):
        driver.require_restorable(before, TUNNEL)
    assert len(shell.writes) == writes
    assert "lvs_sched mh" in files[1].read_text()


def test_a_keepalived_that_is_gone_cannot_be_reloaded_back(
    shell: RealShell, driver: KeepalivedDriver
) -> None:
    before = made(driver)
    driver.require_restorable(before, TUNNEL)
    shell.switch("processes", "")
    with pytest.raises(RefusedError, match="lvs1: no keepalived runs"):
        driver.require_restorable(before, TUNNEL)


def test_a_file_that_is_gone_is_told_and_is_not_ours_any_more(
    shell: RealShell, files: Files, driver: KeepalivedDriver
) -> None:
    before = made(driver)
    files[1].rename(files[1].with_name("moved.conf"))
    seen = driver.compare(before, TUNNEL)
    assert seen.others == (f"{files[1]}: is not there any more",)
    assert "moved.conf: line 3: virtual_server 10.99.0.1 80: lvs_method: it says TUN" in str(seen.ours)
    assert driver.applied_state(before, TUNNEL).gone == []
    assert shell.rules != RULES


def test_the_rollback_tells_the_diff_and_the_reload_once(files: Files, driver: KeepalivedDriver) -> None:
    before = made(driver)
    diff, reload = driver.restore(before, TUNNEL)
    assert "+    lvs_method DR" in str(diff.diff)
    assert reload.command == f"reload {files[0]}"
    assert driver.restore(before, TUNNEL) == []
