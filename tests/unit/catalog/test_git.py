"""The git command: what ends in time, what is finished first, and what is ended with all that it started."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from ferryman.catalog.review import git as module
from ferryman.catalog.review.git import Git, GitError
from ferryman.errors import DoubtError, RefusedError, UnknownOutcomeError
from ferryman.retry import poll_until


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose ``git`` does what a test writes there: real git cannot be made to hang on demand."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path


def does(folder: Path, script: str) -> Git:
    (folder / "git").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "git").chmod(0o755)
    return Git(folder, remote_s=0.3)


def is_alive(pid: int) -> bool:
    """Whether it runs; one that has ended does not, though a container without an init never reaps it."""
    try:
        _, _, fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return fields.split()[0] not in "ZX"


def gone(file: Path) -> bool:
    pid = int(file.read_text())
    return poll_until(lambda: is_alive(pid), lambda alive: not alive, within_s=60, every_s=0.01) is False


def test_no_git_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RefusedError, match="apt-get install git"):
        Git(tmp_path).read("status")


def test_a_remote_that_never_answers_is_a_doubt_and_its_helpers_are_ended(stand_in: Path) -> None:
    git = does(stand_in, "sleep 1000 & echo $! > helper; wait")
    with pytest.raises(DoubtError, match=r"git fetch: did not end within 0.3 seconds"):
        git.remote_read("fetch")
    assert gone(stand_in / "helper")


def test_a_push_that_never_ends_has_an_outcome_that_is_not_known(stand_in: Path) -> None:
    with pytest.raises(UnknownOutcomeError, match="git push"):
        does(stand_in, "sleep 1000").try_write("push")


def test_a_helper_that_stays_for_the_next_connection_is_not_waited_for(stand_in: Path) -> None:
    git = Git(stand_in, remote_s=60)
    does(stand_in, "setsid sleep 1000 & echo $! > helper; echo done")
    assert git.remote_read("fetch") == "done"
    os.kill(int((stand_in / "helper").read_text()), signal.SIGKILL)


def interrupted_once_there(file: Path) -> threading.Thread:
    """Ctrl-C, as soon as the file is there."""

    def ring() -> None:
        assert poll_until(file.exists, bool, within_s=30, every_s=0.01)
        os.kill(os.getpid(), signal.SIGINT)

    ringing = threading.Thread(target=ring)
    ringing.start()
    return ringing


def test_what_writes_is_finished_before_an_interruption_is_heeded(stand_in: Path) -> None:
    git = does(stand_in, "touch begun; sleep 0.2; touch finished")
    ringing = interrupted_once_there(stand_in / "begun")
    with pytest.raises(KeyboardInterrupt):
        git.write("update-ref")
    ringing.join()
    assert (stand_in / "finished").exists()


def test_what_reads_is_given_up_at_once(stand_in: Path) -> None:
    git = does(stand_in, "echo $$ > pid.new; mv pid.new pid; sleep 1000")
    ringing = interrupted_once_there(stand_in / "pid")
    with pytest.raises(KeyboardInterrupt):
        git.read("log")
    ringing.join()
    assert gone(stand_in / "pid")


def test_git_is_asked_in_english_without_a_prompt_and_without_writing_the_index(stand_in: Path) -> None:
    told = does(stand_in, "env").read("status").splitlines()
    assert {"LC_ALL=C", "GIT_TERMINAL_PROMPT=0", "GIT_OPTIONAL_LOCKS=0"} <= set(told)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs git as somebody else")
def test_root_runs_git_as_the_one_whose_clone_it_is(stand_in: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    git = does(stand_in, "id -un; echo $HOME")
    clone = stand_in / "clone"
    clone.mkdir()
    os.chown(clone, nobody.pw_uid, nobody.pw_gid)
    for folder in [stand_in, *stand_in.parents]:
        folder.chmod(folder.stat().st_mode | 0o011)
    git = Git(clone)
    assert git.read("status").splitlines() == ["nobody", nobody.pw_dir]


def clone_of(owner: int, folder: Path) -> Path:
    """A clone that somebody else owns, in a folder that everybody may enter."""
    folder.mkdir()
    subprocess.run(["git", "init", "--quiet", folder], check=True)
    for path in (folder, *folder.rglob("*")):
        os.chown(path, owner, owner)
    for path in (folder, *folder.parents):
        path.chmod(path.stat().st_mode | 0o011)
    return folder


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs git as somebody else")
def test_a_hook_in_somebody_elses_clone_cannot_make_root_read_a_file_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAULT_TOKEN", "planted-secret")
    secret = tmp_path / "secret"
    secret.write_text("only root may read this")
    secret.chmod(0o600)
    clone = clone_of(4711, tmp_path / "clone")
    hook = clone / ".git" / "hooks" / "commit-msg"
    hook.write_text(f'#!/bin/sh\nid -u > "{clone}/who"; env > "{clone}/env"; ln -sf "{secret}" "$1"\n')
    hook.chmod(0o755)
    with pytest.raises(GitError, match="what its hook commit-msg left cannot be read"):
        Git(clone).edited_by_hook("commit-msg", "a message")
    assert (clone / "who").read_text() == "4711\n"
    assert "planted-secret" not in (clone / "env").read_text()
    hook.write_text('#!/bin/sh\necho more >> "$1"\n')
    assert Git(clone).edited_by_hook("commit-msg", "a message\n") == "a message\nmore\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs git as somebody else")
@pytest.mark.parametrize("part", [".git", ".git/config", ".git/hooks", ".git/hooks/commit-msg"])
def test_what_git_would_run_of_somebody_elses_is_not_run_by_root(tmp_path: Path, part: str) -> None:
    clone = clone_of(0, tmp_path / "clone")
    (clone / ".git" / "hooks" / "commit-msg").touch()
    (clone / "inventory").mkdir()
    os.chown(clone / part, 4711, 4711)
    assert Git(clone / "inventory").try_read("log").status == 128  # as the other user, who is refused
    (clone / part).chmod(0o777)
    os.chown(clone / part, 0, 0)
    with pytest.raises(RefusedError, match=f"git clone: .*{part} has mode 0777"):
        Git(clone / "inventory").read("log")


def test_the_limits_are_what_the_configuration_says(stand_in: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOCAL_S", 0.2)
    with pytest.raises(DoubtError, match=r"0.2 seconds"):
        does(stand_in, "sleep 1000").read("log")
