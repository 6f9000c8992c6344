"""Late commands of earlier holders do nothing; run by the real /bin/sh."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from ferryman.errors import BusyError, UnreachableError
from ferryman.hosts import fence
from ferryman.hosts.completed import Completed
from ferryman.hosts.fence import Fence

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(fence, "FOLDER", str(tmp_path / "run"))
    return tmp_path


def begun(token: int, command: str, stdin: str | None = None) -> subprocess.Popen[str]:
    shell = subprocess.Popen(
        ["/bin/sh", "-c", Fence("run1", token).around("web1", command)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    if stdin is not None:
        assert shell.stdin
        shell.stdin.write(stdin)
        shell.stdin.close()
        shell.stdin = None
    return shell


def ran(token: int, command: str, stdin: str = "") -> Completed:
    with begun(token, command, stdin) as shell:
        out, err = shell.communicate()
    done = Completed("web1", "guarded", shell.returncode, out, err)
    return Fence("run1", token).judged(done)


def test_a_command_is_what_it_was_without_the_guard() -> None:
    done = ran(1, "set -eu\ncat\necho said >&2\ntrap 'echo bye' EXIT\nexit 66", "typed")

    assert (done.status, done.stdout, done.stderr) == (66, "typedbye\n", "said\n")


def test_a_command_of_an_earlier_holder_does_nothing(folder: Path) -> None:
    ran(2, ":")

    with pytest.raises(BusyError, match="web1: run1 was resumed by another process"):
        ran(1, f"touch {folder}/late")
    assert not (folder / "late").exists()


def test_the_same_holder_and_later_ones_go_on() -> None:
    assert [ran(token, "echo here").stdout for token in (1, 1, 7, 7, 30)] == ["here\n"] * 5


def test_other_runs_and_other_hosts_have_numbers_of_their_own() -> None:
    ran(9, ":")
    for other, host in (("run2", "web1"), ("run1", "web2")):
        guarded = Fence(other, 1).around(host, "echo here")
        assert subprocess.run(["/bin/sh", "-c", guarded], capture_output=True, check=True).stdout == b"here\n"


def test_a_command_that_has_begun_is_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "gate")
    with begun(1, f"echo begun; cat {folder}/gate; echo early >>{folder}/file") as early:
        assert early.stdout
        assert early.stdout.readline() == "begun\n"
        with begun(2, f"echo late >>{folder}/file") as late:
            (folder / "gate").write_text("")
            assert late.wait() == 0

    assert (folder / "file").read_text() == "early\nlate\n"


def test_one_that_does_not_end_is_told_of(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, behind = fence.GUARD
    at_once = before.replace(f"flock -w {fence.WAIT_S}", "flock -w 0")
    monkeypatch.setattr(fence, "GUARD", (at_once, behind))
    os.mkfifo(folder / "gate")
    with begun(1, f"echo begun; cat {folder}/gate") as early:
        assert early.stdout
        assert early.stdout.readline() == "begun\n"
        try:
            with pytest.raises(UnreachableError, match="an earlier process of run1 has not ended"):
                ran(2, f"touch {folder}/late")
        finally:
            (folder / "gate").write_text("")
    assert not (folder / "late").exists()


def test_a_daemon_that_a_command_starts_keeps_nobody_out() -> None:
    done = ran(1, "sleep 60 >/dev/null 2>&1 & echo $!")
    try:
        assert ran(2, "echo here").stdout == "here\n"
    finally:
        os.kill(int(done.stdout), 9)


def test_a_host_that_cannot_keep_the_number_runs_nothing(folder: Path) -> None:
    (folder / "run").touch()  # where the folder should be

    done = ran(1, f"touch {folder}/ran")

    assert done.status != 0
    assert not (folder / "ran").exists()
