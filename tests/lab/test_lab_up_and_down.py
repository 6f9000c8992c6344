"""The lab itself: it comes up once, and nothing of it is left."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ferryman import lab as the_lab
from ferryman.errors import LabError
from ferryman.lab import faults, namespace, topology
from ferryman.retry import poll_until
from lab.running import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Callable

    from ferryman.lab import LabPaths

pytestmark = pytest.mark.lab

SLOW_S = 240


def machine_network() -> str:
    """Devices, routes and named namespaces of the machine itself."""
    commands = ("ip -br link", "ip route show table all", "ip -6 route show table all", "ip netns list")
    return "\n".join(
        subprocess.run(command.split(), capture_output=True, text=True, check=True).stdout
        for command in commands
    )


def processes_of(place: LabPaths) -> dict[int, bytes]:
    """Every process whose command line names the lab's folder, and that line."""
    found = {}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):  # it has ended meanwhile
            if entry.name.isdigit() and str(place.root).encode() in (
                line := (entry / "cmdline").read_bytes()
            ):
                found[int(entry.name)] = line
    return found


def assert_nothing_is_left(place: LabPaths) -> None:
    assert not place.root.exists()
    assert str(place.root) not in Path("/proc/self/mountinfo").read_text()
    # a key that was being made when its maker was killed takes some milliseconds more to come to its end
    assert poll_until(lambda: processes_of(place), lambda left: not left, within_s=60) == {}


def guest_processes(place: LabPaths) -> list[int]:
    return [pid for pid, line in processes_of(place).items() if b"linux.uml" in line.split(b"\0")[0]]


def test_entering_refuses_while_the_lab_is_absent(spare: LabPaths) -> None:
    ways: list[Callable[[], object]] = [
        lambda: the_lab.enter(spare),
        lambda: the_lab.exec_argv(spare, "control", ["true"]),
        lambda: the_lab.console(spare, "rt", "true"),
        lambda: faults.put(spare, "sshd-down", "web1"),
    ]
    for way in ways:
        with pytest.raises(LabError, match="the lab is not up: ferryman lab up"):
            way()
    assert the_lab.status(spare).up is False
    assert the_lab.down(spare) is False


@pytest.mark.timeout(SLOW_S)
def test_a_lab_comes_up_once_survives_the_death_of_its_guest_and_leaves_nothing(spare: LabPaths) -> None:
    before = machine_network()
    first = the_lab.up(spare)
    assert first.booted_s is not None
    assert set(first.hosts) == set(topology.DEFAULT.by_name)
    assert all(first.hosts.values())
    second = the_lab.up(spare)
    assert (second.pid, second.booted_s) == (first.pid, None)

    found = namespace.find(spare)
    assert found is not None
    if first.engine == "guest":
        os.kill(min(guest_processes(spare)), signal.SIGKILL)
        poll_until(lambda: processes_of(spare), lambda left: not left, within_s=60, every_s=0.1)
        assert processes_of(spare) == {}
    else:
        os.kill(found.pid, signal.SIGKILL)
    with pytest.raises(LabError, match="not up"):
        the_lab.enter(spare)

    third = the_lab.up(spare)
    assert all(third.hosts.values())
    assert the_lab.down(spare) is True
    assert_nothing_is_left(spare)
    assert machine_network() == before


@pytest.mark.timeout(SLOW_S)
@pytest.mark.parametrize("after_s", [0.05, 0.4, 1.5, None])
def test_a_boot_that_is_killed_midway_leaves_nothing_that_down_does_not_clear(
    spare: LabPaths, after_s: float | None
) -> None:
    """After some time, or when its hosts are there and it waits for their answers."""
    script = (
        "import sys; from pathlib import Path; from ferryman.lab import *; up(LabPaths(Path(sys.argv[1])))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(spare.root)],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "lib")},
    ) as booting:
        poll_until(lambda: spare.root.exists() or booting.poll() is not None, bool, within_s=20, every_s=0.01)
        if after_s is None:
            poll_until((spare.share / "ready").exists, bool, within_s=SLOW_S, every_s=0.01)
        else:
            time.sleep(after_s)
        booting.kill()
    with pytest.raises(LabError, match="not up"):
        the_lab.enter(spare)
    the_lab.down(spare)
    assert_nothing_is_left(spare)


@pytest.mark.timeout(SLOW_S)
def test_a_boot_that_takes_too_long_is_given_up_with_the_end_of_its_log(spare: LabPaths) -> None:
    with pytest.raises(LabError, match="did not come up in time; the end of its log"):
        the_lab.up(spare, within_s=1.0)
    assert_nothing_is_left(spare)


@pytest.mark.timeout(SLOW_S)
def test_a_guest_that_panics_is_told_from_one_that_is_slow(
    spare: LabPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ferryman.lab.render.FSTAB", "lab /nowhere tmpfs defaults 0 0\n")
    with pytest.raises(LabError, match=r"died while booting(.|\n)*/nowhere: mount point does not exist"):
        the_lab.up(spare, "guest")
    assert_nothing_is_left(spare)
