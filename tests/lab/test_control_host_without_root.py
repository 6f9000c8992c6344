"""An ordinary user at the control host: CAP_NET_RAW is enough, and without it nothing is begun."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lab.control_user import ControlUser
from lab.migration import events, findings, forwarding, world
from ordinary_user import USER
from tools import require_tool, skip_or_fail

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.running import RunningLab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

CHECK = ("check", "web", "--site", "lab")
MIGRATE = ("migrate", "static", "--site", "lab", "--yes")
STATIC = "10.99.0.3:8081"


@pytest.fixture
def user(lab: RunningLab, old_world: dict[str, str]) -> Iterator[ControlUser]:
    """The user, moved into a folder of their own on this machine."""
    if os.getuid() != 0:
        skip_or_fail("only root can become another user")
    require_tool("setpriv", "unshare", package="util-linux")
    with tempfile.TemporaryDirectory(prefix="ferryman-user-", dir="/tmp") as outer:
        Path(outer).chmod(0o711)
        home = Path(outer) / "home"
        home.mkdir(mode=0o700)
        yield ControlUser.moved_in(lab, home)


def test_a_check_of_both_families_needs_no_right_of_roots_but_cap_net_raw(user: ControlUser) -> None:
    done = user.ferryman("--output", "json", *CHECK)
    assert done.returncode == 0, done.stderr
    assert events(done)[-1]["outcome"] == "done"
    accepted = [event for event in events(done) if event["event"] == "probe"]
    assert {event["verdict"] for event in accepted} == {"accepted"}
    assert {":" in event["vip"] for event in accepted} == {False, True}
    assert findings(done, "fail", "unknown") == []


def test_a_migration_and_its_rollback_need_no_other_right_either(
    user: ControlUser, lab: RunningLab, old_world: dict[str, str]
) -> None:
    before = user.catalog.read_bytes()
    done = user.ferryman("--output", "json", *MIGRATE)
    assert done.returncode == 0, done.stderr
    assert events(done)[-1]["outcome"] == "done"
    assert forwarding(lab, "lvs1", STATIC) == forwarding(lab, "lvs2", STATIC) == {"-i"}
    assert user.catalog.read_bytes() != before
    assert (user.home / ".ferryman" / "state.db").stat().st_uid == USER
    back = user.ferryman("rollback", events(done)[0]["run"])
    assert back.returncode == 0, back.stderr
    assert world(lab) == old_world
    assert user.catalog.read_bytes() == before


@pytest.mark.parametrize(
    "command", [CHECK, MIGRATE, (*MIGRATE, "--dry-run"), ("probe", "web", "--site", "lab")]
)
def test_without_it_nothing_is_begun_and_the_message_says_what_is_missing_where(
    user: ControlUser, lab: RunningLab, old_world: dict[str, str], command: tuple[str, ...]
) -> None:
    done = user.ferryman(*command, capability=False)
    assert (done.returncode, done.stdout) == (3, "")
    first, *ways = done.stderr.splitlines()
    assert first.startswith(
        f"ferryman: cannot probe: {sys.executable}, run by user {USER}, may not open a raw"
    )
    assert "CAP_NET_RAW" in first
    assert [way.split(":")[0].strip() for way in ways] == [
        "for this command",
        "for good",
        "in a systemd unit",
        "in a container",
    ]
    assert world(lab) == old_world
    assert user.ferryman("runs").stdout.strip() == "no runs yet"


def test_the_command_that_the_message_names_gives_it(user: ControlUser) -> None:
    refused = user.ferryman(*CHECK, capability=False)
    line = next(line for line in refused.stderr.splitlines() if "for this command: " in line)
    sudo, *command = shlex.split(line.partition(": ")[2])
    assert sudo == "sudo"
    done = user.by_root(*command)
    assert done.returncode == 0, done.stderr


def test_a_copy_of_the_interpreter_can_have_it(user: ControlUser) -> None:
    require_tool("setcap", package="libcap2-bin")
    venv = user.home.parent / "venv"
    shutil.copytree(sys.prefix, venv, symlinks=True)
    python = venv / "bin" / "python"
    python.unlink()
    shutil.copyfile(Path(sys.executable).resolve(), python)
    os.chown(python, 0, USER)
    python.chmod(0o750)
    subprocess.run(["setcap", "cap_net_raw+ep", str(python)], check=True)
    done = user.ferryman(*CHECK, capability=False, python=str(python))
    assert done.returncode == 0, done.stderr


def test_a_catalog_of_roots_refuses_the_migration_before_its_first_change(
    user: ControlUser, lab: RunningLab, old_world: dict[str, str]
) -> None:
    os.chown(user.catalog.parent, 0, 0)
    done = user.ferryman(*MIGRATE)
    assert done.returncode == 3, done.stderr
    assert f"{user.catalog}: may not be written: {user.catalog.parent} belongs to root" in done.stdout
    assert "changed director" not in done.stdout
    assert world(lab) == old_world


def test_a_journal_of_roots_is_named_with_its_owner_and_nothing_is_begun(
    user: ControlUser, lab: RunningLab, old_world: dict[str, str]
) -> None:
    folder = user.home / ".ferryman"
    folder.mkdir(mode=0o700)
    done = user.ferryman(*MIGRATE)
    assert done.returncode == 2, done.stderr
    assert f"{folder} belongs to root, with mode 0700, and this process is run by {USER}" in done.stderr
    assert world(lab) == old_world
