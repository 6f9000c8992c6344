"""Whole migrations where one director and one realserver are reached by a user without root, through sudo.

All hosts are behind the bastion, and the key is in an agent alone.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ferryman import lab as the_lab
from lab.bastion import only_through_the_bastion
from lab.conftest import own_folder, require_lab
from lab.migration import DIRECTORS, changes, events, findings, forwarding, killed_at, world
from lab.quick import configure
from lab.running import RunningLab

if TYPE_CHECKING:
    from collections.abc import Iterator
    from subprocess import CompletedProcess

pytestmark = [pytest.mark.lab, pytest.mark.timeout(400)]  # whole migrations, on a guest of one CPU

DIRECTOR, REALSERVER = "lvs2", "web2"
"""The director is the one that is changed first."""
STATIC, MAPS = "10.99.0.3:8081", "10.99.0.2:8080"
LIST = "/etc/ferryman/commands"


@pytest.fixture(name="booted", scope="module")
def a_lab_whose_hosts_have_a_user_without_root() -> Iterator[RunningLab]:
    with own_folder() as folder:
        running = RunningLab(folder)
        require_lab()
        the_lab.up(running.place, sudo=True)
        try:
            yield running
        finally:
            the_lab.down(running.place)


@pytest.fixture(autouse=True)
def two_hosts_without_root(
    lab: RunningLab, old_world: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    file = lab.folder / "inventory" / "hosts.yaml"
    text = file.read_text()
    for host in (DIRECTOR, REALSERVER):
        assert f"\n{host}: {{" in text
        text = text.replace(f"\n{host}: {{", f"\n{host}: {{ user: ferry, sudo: true,")
    file.write_text(text)
    printed = lab.ferryman("host-helper", "--commands", DIRECTOR, "--commands", REALSERVER)
    assert printed.returncode == 0, printed.stderr
    lab.console("rt", f"cat >{LIST} <<'EOF'\n{printed.stdout}EOF")
    with only_through_the_bastion(lab, monkeypatch):
        yield


def migrated(lab: RunningLab, service: str) -> CompletedProcess[str]:
    return lab.ferryman("--output", "json", "migrate", service, "--site", "lab", "--yes")


def holder(lab: RunningLab, run: str) -> int:
    """The number of the run's latest holder, as the director keeps it for root alone to write."""
    assert lab.console(DIRECTOR, f"stat -c %U /run/ferryman/{run}.{DIRECTOR}").strip() == "root"
    return int(lab.console(DIRECTOR, f"cat /run/ferryman/{run}.{DIRECTOR}"))


@pytest.mark.parametrize(("service", "vip"), [("static", STATIC), ("maps", MAPS)])
def test_a_service_is_migrated_and_put_back(
    lab: RunningLab, old_world: dict[str, str], service: str, vip: str
) -> None:
    done = migrated(lab, service)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [forwarding(lab, director, vip) for director in DIRECTORS] == [{"-i"}, {"-i"}]
    logins = lab.console("rt", f"cat /lab/log/{DIRECTOR}.sshd /lab/log/{REALSERVER}.sshd")
    assert "Accepted publickey for ferry" in logins
    assert "Accepted publickey for root" not in logins.partition("for ferry")[2]
    assert lab.console(DIRECTOR, "ls /run/ferryman").strip()

    configure(lab.folder, {"directors": {"drain_timeout": 30}})  # or host routes may stay, which is right too
    back = lab.ferryman("rollback", events(done)[0]["run"])
    assert back.returncode == 0, back.stdout + back.stderr
    assert world(lab) == old_world


def test_a_fault_on_the_realserver_refuses_the_run(lab: RunningLab, old_world: dict[str, str]) -> None:
    lab.put("rp-filter-strict", REALSERVER)
    before = world(lab)
    refused = migrated(lab, "static")

    assert refused.returncode == 3, refused.stderr
    blocking = findings(refused, "fail", "unknown")
    assert {finding["host"] for finding in blocking} <= {REALSERVER, "10.99.0.3"}
    assert "net.ipv4.conf.ipip0.rp_filter" in json.dumps(blocking)
    assert changes(refused) == []
    assert world(lab) == before


def test_a_line_that_sudoers_lack_refuses_the_run_and_is_named(
    lab: RunningLab, old_world: dict[str, str]
) -> None:
    lab.console("rt", "cp -p /etc/sudoers /etc/sudoers.kept; sed -i '/helper edit-table/d' /etc/sudoers")
    try:
        refused = migrated(lab, "static")
    finally:
        lab.console("rt", "mv /etc/sudoers.kept /etc/sudoers")

    assert refused.returncode == 3, refused.stderr
    line = "ferry ALL=(root) NOPASSWD: /usr/local/sbin/ferryman-host-helper edit-table"
    assert f"{DIRECTOR}: sudo does not let ferry do edit-table" in json.dumps(findings(refused, "unknown"))
    assert line in json.dumps(findings(refused, "unknown"))
    assert changes(refused) == []


def test_what_breaks_after_the_first_flip_is_rolled_back(lab: RunningLab, old_world: dict[str, str]) -> None:
    lab.put("breaks-after-flip", "web3")
    back = migrated(lab, "static")

    assert back.returncode == 4, back.stderr
    assert events(back)[-1]["outcome"] == "rolled-back"
    flipped = [change["target"] for change in changes(back) if "ipvsadm -e" in change.get("command", "")]
    assert set(flipped) == {DIRECTOR}, "the primary must not be touched"
    lab.clear()
    assert world(lab) == old_world


def test_a_run_that_was_killed_goes_on_and_can_be_put_back(
    lab: RunningLab, old_world: dict[str, str]
) -> None:
    killed = killed_at(lab, "lvs1, primary", "migrate", "static", "--site", "lab", "--yes")
    assert forwarding(lab, DIRECTOR, STATIC) == {"-i"}
    first = holder(lab, killed)

    resumed = lab.ferryman("resume", killed)
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert [forwarding(lab, director, STATIC) for director in DIRECTORS] == [{"-i"}, {"-i"}]
    assert holder(lab, killed) > first

    configure(lab.folder, {"directors": {"drain_timeout": 30}})
    back = lab.ferryman("rollback", killed)
    assert back.returncode == 0, back.stdout + back.stderr
    assert world(lab) == old_world
