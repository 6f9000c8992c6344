"""Where labs live, and who holds them: without one being up."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from ferryman import lab
from ferryman.errors import LabError
from ferryman.lab import LabPaths, faults, machine, namespace, paths
from ferryman.lab.namespace import NamespaceOwner


@pytest.fixture
def absent(tmp_path: Path) -> LabPaths:
    return LabPaths(tmp_path / "labs" / "0123456789ab")


def test_each_configuration_folder_has_a_lab_of_its_own(tmp_path: Path) -> None:
    first, other = LabPaths.of(tmp_path / "one"), LabPaths.of(tmp_path / "other")
    assert first.root.parent == other.root.parent
    assert first.root != other.root
    assert LabPaths.of(tmp_path / "other" / ".." / "one") == first


def test_a_link_to_a_configuration_folder_has_the_same_lab(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "one")
    assert LabPaths.of(tmp_path / "link") == LabPaths.of(tmp_path / "one")


@pytest.mark.parametrize(
    ("uid", "runtime", "folder"),
    [
        (0, "/nowhere", "/run/ferryman-lab"),
        (1000, "{tmp}", "{tmp}/ferryman-lab"),
        (1000, "/nowhere", "/tmp/ferryman-lab-1000"),
        (1000, "", "/tmp/ferryman-lab-1000"),
    ],
)
def test_the_folder_of_labs_is_private_to_its_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uid: int, runtime: str, folder: str
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", runtime.format(tmp=tmp_path))
    assert paths._labs_folder(uid) == Path(folder.format(tmp=tmp_path))


def test_a_folder_that_someone_else_made_is_refused(tmp_path: Path, absent: LabPaths) -> None:
    (tmp_path / "elsewhere").mkdir()
    absent.root.parent.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LabError, match="remove it and try again"), absent.locked():
        pass


def test_the_folder_of_labs_and_the_lock_go_with_the_last_lab(absent: LabPaths) -> None:
    with absent.locked():
        assert absent.root.with_suffix(".lock").exists()
        absent.remove_lock()
    assert not absent.root.parent.exists()


def test_a_lock_whose_file_was_taken_away_meanwhile_is_not_taken_for_the_lock(absent: LabPaths) -> None:
    absent.root.parent.mkdir()
    opened = os.open

    def raced(path: Path, *rest: int) -> int:
        descriptor = opened(path, *rest)
        path.unlink()
        return descriptor

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "open", raced)
        assert absent._lock() is None
    with absent.locked() as descriptor:
        assert os.fstat(descriptor).st_nlink == 1


def test_nothing_enters_a_lab_that_is_not_up(absent: LabPaths) -> None:
    for way in (
        lambda: lab.enter(absent),
        lambda: lab.exec_argv(absent, "control", []),
        lambda: lab.console(absent, "rt", "true"),
        lambda: faults.put(absent, "sshd-down"),
        lambda: faults.clear(absent),
    ):
        with pytest.raises(LabError, match=r"^the lab is not up: ferryman lab up$"):
            way()
    assert not lab.status(absent).up
    assert lab.down(absent) is False
    assert not absent.root.parent.exists()


def a_lab_held_by(place: LabPaths, stat: str) -> LabPaths:
    place.own.mkdir(parents=True)
    place.owner.write_text(stat)
    place.ready.write_text('{"engine": "guest"}')
    return place


def own_stat(*, name: str = "unshare", later: int = 0) -> str:
    fields = Path("/proc/self/stat").read_text().rpartition(") ")[2].split()
    fields[19] = str(int(fields[19]) + later)
    return f"{os.getpid()} ({name}) {' '.join(fields)}\n"


@pytest.mark.parametrize("name", ["unshare", "a b", "odd) R 1 (name"])
def test_the_holder_is_found_whatever_its_process_is_called(absent: LabPaths, name: str) -> None:
    found = namespace.find(a_lab_held_by(absent, own_stat(name=name)))
    assert found is not None
    assert found.pid == os.getpid()


def test_a_later_process_with_the_holders_number_is_not_the_holder(absent: LabPaths) -> None:
    a_lab_held_by(absent, own_stat(later=1))
    assert namespace.find(absent) is None
    with pytest.raises(LabError, match="not up"):
        lab.enter(absent)


@pytest.mark.parametrize("torn", ["", "12", "12 (sh"])
def test_a_holder_that_was_not_written_whole_is_none(absent: LabPaths, torn: str) -> None:
    assert namespace.find(a_lab_held_by(absent, torn)) is None


def test_a_killed_boot_is_cleared_by_down(absent: LabPaths) -> None:
    a_lab_held_by(absent, own_stat(later=1))
    assert lab.down(absent) is True
    assert not absent.root.parent.exists()


def test_a_process_that_has_ended_cannot_be_entered_or_killed() -> None:
    with subprocess.Popen(["/bin/true"]) as process:
        pass
    gone = NamespaceOwner(process.pid, 1)
    gone.kill()
    with pytest.raises(LabError, match="has ended"):
        gone.enter()


def test_a_later_process_with_the_holders_number_is_not_killed() -> None:
    NamespaceOwner(os.getpid(), 1).end()


def test_who_is_in_the_namespace_already_needs_no_way_in() -> None:
    me = NamespaceOwner(os.getpid(), 0)
    assert me.entered
    assert me.command_prefix() == []
    me.enter()


def test_the_end_of_a_log_is_never_read_through_a_link(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret\n")
    (tmp_path / "log").symlink_to(secret)
    assert machine._tail(tmp_path / "log") == ""
    assert machine._tail(tmp_path / "none") == ""
    os.mkfifo(tmp_path / "pipe")
    assert machine._tail(secret) == "secret"
