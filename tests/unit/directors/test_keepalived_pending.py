"""Edits that wait for a reload: somebody's refuses a change, and what health checks do never does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ferryman.directors import SetScheduler
from ferryman.directors.keepalived.driver import KeepalivedDriver
from ferryman.errors import RefusedError
from unit.directors.test_keepalived import DIRECT_TEXT, TUNNEL, driver, files, keepalived
from unit.directors.world import RULES, WEB, RealShell

if TYPE_CHECKING:
    from ferryman.directors import Target
    from unit.directors.test_keepalived import Files

__all__ = ["driver", "files"]
MH = SetScheduler("mh", ("mh-port",))
OTHER = """\
virtual_server 10.99.0.9 80 {
    lvs_sched rr
    lvs_method DR
    protocol TCP
    real_server 10.10.0.21 80 {
        weight 7
    }
}
"""


@pytest.fixture(autouse=True)
def other(files: Files) -> None:
    put(files, OTHER)


def put(files: Files, text: str) -> None:
    (files[1].parent / "other.conf").write_text(text)


def test_files_that_the_kernel_has_are_no_hindrance(driver: KeepalivedDriver) -> None:
    for target in (TUNNEL, MH, None):
        assert driver.before(target)["table"]
    assert driver.remarks == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            OTHER.replace("DR", "TUN"),
            (
                r"lvs1: .*other\.conf: line 3: virtual_server 10\.99\.0\.9 80: 10\.10\.0\.21:80: it says TUN,"
                r" and the kernel has Route; a reload would make it so: see whose edit that is, then reload"
            ),
        ),
        (OTHER.replace("sched rr", "sched wrr"), r"line 2: .*scheduler: it says wrr, and the kernel has rr"),
        (
            OTHER.replace("sched rr", "sched sh\n    sh-port"),
            r"scheduler: it says sh sh-port, and the kernel has rr",
        ),
        (
            OTHER.replace("real_server 10.10.0.21", "real_server 10.10.0.22"),
            r"line 1: .*has no real_server 10\.10\.0\.21 80, and the kernel has 10\.10\.0\.21:80 \(Route\)",
        ),
        (
            OTHER + OTHER.replace("10.99.0.9", "10.99.0.8"),
            r"line 9: virtual_server 10\.99\.0\.8 80, and the kernel has no such virtual server",
        ),
        (
            OTHER.replace("protocol TCP", "protocol TCP\n    persistence_timeout 300"),
            r"persistence_timeout: it says 300, and the kernel has none",
        ),
    ],
    ids=["method", "scheduler", "flags", "realserver out", "new", "persistence"],
)
@pytest.mark.parametrize("named", [True, False])
def test_an_edit_of_another_service_that_nobody_reloaded_refuses(
    shell: RealShell, files: Files, text: str, said: str, *, named: bool
) -> None:
    put(files, text)
    director = keepalived(files)
    if not named:
        del director.options["service_file"]  # type: ignore[attr-defined]  # it is a dict here
    with pytest.raises(RefusedError, match=said):
        KeepalivedDriver(director, WEB, shell).before(TUNNEL)
    assert shell.writes == []


@pytest.mark.parametrize(
    "text",
    [
        OTHER.replace("    real_server", "    real_server 10.10.0.22 80 {\n    }\n    real_server", 1),
        OTHER.replace("weight 7", "weight 1"),
        OTHER.replace("real_server 10.10.0.21", "sorry_server 10.10.0.21 80\n    real_server 10.10.0.22"),
        OTHER.replace("protocol TCP", "protocol TCP\n    quorum 2\n    quorum_up /bin/true"),
        "virtual_server_group G {\n    10.99.0.7 80\n}\nvirtual_server group G {\n    lvs_sched rr\n}\n",
        "virtual_server fwmark 7 {\n    lvs_sched rr\n    protocol TCP\n}\n",
        "@elsewhere " + OTHER.replace("DR", "TUN"),
        OTHER.replace("lvs_method DR", "lvs_method $METHOD"),
        OTHER.replace("    protocol TCP\n", ""),
        OTHER.replace("10.99.0.9", "10.99.0.7").replace("TCP", "SCTP"),
        OTHER.replace("lvs_method DR", "lvs_method TUN\n    lvs_method DR"),
        OTHER.replace("real_server 10.10.0.21 80", "real_server 10.10.0.21"),
        "",
    ],
    ids=[
        "realserver out",
        "weight",
        "sorry server in",
        "quorum",
        "group",
        "fwmark",
        "elsewhere",
        "definition",
        "no protocol",
        "sctp",
        "said twice",
        "no port",
        "nobody's",
    ],
)
def test_what_health_checks_do_and_what_cannot_be_compared_never_refuses(
    files: Files, driver: KeepalivedDriver, text: str
) -> None:
    put(files, text)
    assert driver.before(TUNNEL)["table"]


@pytest.mark.parametrize(
    ("target", "text", "refused"),
    [
        (TUNNEL, DIRECT_TEXT.replace("DR", "TUN"), False),
        (MH, DIRECT_TEXT.replace("DR", "TUN"), True),
        (TUNNEL, DIRECT_TEXT.replace("wrr", "rr"), True),
        (MH, DIRECT_TEXT.replace("wrr", "rr"), False),
        (TUNNEL, DIRECT_TEXT.replace("weight 3", "weight 4"), False),
    ],
)
def test_of_the_service_itself_everything_counts_but_what_is_to_be_changed(
    files: Files, driver: KeepalivedDriver, target: Target, text: str, *, refused: bool
) -> None:
    files[1].write_text(text)
    if not refused:
        assert driver.before(target)["table"]
        return
    with pytest.raises(RefusedError, match=r"web\.conf: line \d+: virtual_server .*and the kernel has"):
        driver.before(target)


def test_a_configuration_that_cannot_be_followed_is_said_to_be_unseen(
    files: Files, driver: KeepalivedDriver
) -> None:
    files[0].write_text(f"{files[0].read_text()}include $SITE/*.conf\n")
    assert driver.before(TUNNEL)["table"]
    (unseen,) = driver.remarks
    assert "include $SITE/*.conf: cannot be followed" in unseen.seen


def test_it_refuses_to_be_put_back_too_before_anything_is_touched(
    shell: RealShell, files: Files, driver: KeepalivedDriver
) -> None:
    before = driver.before(TUNNEL)
    driver.apply(before, TUNNEL)
    put(files, OTHER.replace("DR", "TUN"))
    writes = len(shell.writes)
    with pytest.raises(RefusedError, match=r"other\.conf: line 3: "):
        driver.require_restorable(before, TUNNEL)
    assert len(shell.writes) == writes
    assert shell.rules != RULES
