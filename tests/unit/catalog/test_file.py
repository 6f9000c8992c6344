from __future__ import annotations

import errno
import fcntl
import os
import resource
import signal
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ferryman.catalog import Catalog
from ferryman.errors import BusyError, DryRunError, InventoryError, VerifyError, WorldChangedError

if TYPE_CHECKING:
    from collections.abc import Callable

BEFORE = b"service::catalog:\n  web: {sites: [lab], lvs: {a: 1}}\n"
AFTER = b"service::catalog:\n  web: {sites: [lab], lvs: {a: 1, ipip_encapsulation: [lab]}}\n"
STEPS = ("mkstemp", "fchmod", "listxattr", "fsync of the file", "replace", "fsync of the folder")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "services.yaml"
    file.write_bytes(BEFORE)
    file.chmod(0o640)
    return file


def everything_in(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def broken_at(step: str, fail: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the system fail at one of the steps of a write."""

    def instead(owner: Any, name: str, when: Callable[..., bool]) -> None:  # noqa: ANN401  # a module, any
        real = getattr(owner, name)

        def call(*arguments: Any, **more: Any) -> Any:  # noqa: ANN401  # whatever the real one takes
            if when(*arguments):
                fail()
            return real(*arguments, **more)

        monkeypatch.setattr(owner, name, call)

    def is_folder(descriptor: int) -> bool:
        return stat.S_ISDIR(os.fstat(descriptor).st_mode)

    if step == "mkstemp":
        instead(__import__("tempfile"), "mkstemp", lambda *_: True)
    elif step == "fsync of the file":
        instead(os, "fsync", lambda descriptor: not is_folder(descriptor))
    elif step == "fsync of the folder":
        instead(os, "fsync", is_folder)
    else:
        instead(os, step, lambda *_: True)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EIO])
@pytest.mark.parametrize("step", STEPS)
def test_a_write_that_fails_at_any_step_leaves_the_file_whole_and_nothing_beside_it(
    path: Path, monkeypatch: pytest.MonkeyPatch, step: str, number: int
) -> None:
    def fail() -> None:
        raise OSError(number, os.strerror(number))

    broken_at(step, fail, monkeypatch)
    with pytest.raises(VerifyError) as caught:
        Catalog(path).write(AFTER, expected=BEFORE)
    in_place = step == "fsync of the folder"
    assert path.read_bytes() == (AFTER if in_place else BEFORE)
    assert everything_in(path.parent) == ["services.yaml"]
    assert os.strerror(number) in str(caught.value)
    assert ("was written, but the folder could not be synced" in str(caught.value)) == in_place


@pytest.mark.parametrize("step", STEPS)
def test_a_writer_killed_at_any_step_leaves_the_file_whole_and_the_next_one_tidies_up(
    path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    child = os.fork()
    if child == 0:
        broken_at(step, lambda: os.kill(os.getpid(), signal.SIGKILL), monkeypatch)
        Catalog(path).write(AFTER, expected=BEFORE)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    now = path.read_bytes()
    assert now == (AFTER if step == "fsync of the folder" else BEFORE)
    Catalog(path).write(b"service::catalog: {}\n", expected=now)
    assert everything_in(path.parent) == ["services.yaml"]


def test_a_file_that_outgrows_its_space_is_left_whole(path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(BEFORE), hard))
    try:
        with pytest.raises(VerifyError, match="File too large"):
            Catalog(path).write(AFTER, expected=BEFORE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == BEFORE
    assert everything_in(path.parent) == ["services.yaml"]


def test_a_file_system_without_attributes_is_no_obstacle(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise OSError(errno.ENOTSUP, "Operation not supported")

    broken_at("listxattr", fail, monkeypatch)
    Catalog(path).write(AFTER, expected=BEFORE)
    assert path.read_bytes() == AFTER


def test_a_link_that_leads_to_itself_is_told(tmp_path: Path) -> None:
    (tmp_path / "services.yaml").symlink_to("services.yaml")
    with pytest.raises(VerifyError, match="could not be written"):
        Catalog(tmp_path / "services.yaml").write(AFTER, expected=BEFORE)


def test_a_write_that_is_interrupted_leaves_nothing_beside_the_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise KeyboardInterrupt

    broken_at("fsync of the file", fail, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        Catalog(path).write(AFTER, expected=BEFORE)
    assert path.read_bytes() == BEFORE
    assert everything_in(path.parent) == ["services.yaml"]


def test_a_file_that_someone_else_changed_is_left_alone_and_the_change_shown(path: Path) -> None:
    theirs = BEFORE + b"# theirs\n"
    path.write_bytes(theirs)
    with pytest.raises(WorldChangedError, match=r"(?s)someone else changed it .*\+# theirs"):
        Catalog(path).write(AFTER, expected=BEFORE)
    assert path.read_bytes() == theirs


def test_a_long_change_of_someone_else_is_shown_in_part(path: Path) -> None:
    path.write_bytes(BEFORE + b"# theirs\n" * 100)
    with pytest.raises(WorldChangedError, match=r"\(\d+ more lines\)$"):
        Catalog(path).write(AFTER, expected=BEFORE)


def test_a_file_that_is_gone_is_not_made_anew(path: Path) -> None:
    path.unlink()
    with pytest.raises(WorldChangedError, match="is gone since it was read"):
        Catalog(path).write(AFTER, expected=BEFORE)
    assert everything_in(path.parent) == []


def test_a_dry_run_cannot_write(path: Path) -> None:
    with pytest.raises(DryRunError, match="nothing was written"):
        Catalog(path, dry_run=True).write(AFTER, expected=BEFORE)
    assert path.read_bytes() == BEFORE


def test_a_dry_run_reads_and_flips(path: Path) -> None:
    assert Catalog(path, dry_run=True).flipped("web", "lab", "ipip").after == AFTER
    assert path.read_bytes() == BEFORE


@pytest.mark.parametrize("kind", [fcntl.LOCK_EX, fcntl.LOCK_SH])
def test_a_writer_waits_for_others_but_not_for_ever_and_says_who_it_is(path: Path, kind: int) -> None:
    descriptor = os.open(path.parent, os.O_RDONLY)
    fcntl.flock(descriptor, kind)
    try:
        with pytest.raises(BusyError) as caught:
            Catalog(path, lock_timeout_s=0).write(AFTER, expected=BEFORE)
    finally:
        os.close(descriptor)
    assert f"{path.parent}: waited 0 s to write here; its lock is held by process {os.getpid()} (" in str(
        caught.value
    )
    assert path.read_bytes() == BEFORE
    Catalog(path, lock_timeout_s=0).write(AFTER, expected=BEFORE)
    assert path.read_bytes() == AFTER


def test_what_is_written_already_is_written_only_once(path: Path) -> None:
    Catalog(path).write(AFTER, expected=BEFORE)
    inode = path.stat().st_ino
    Catalog(path).write(AFTER, expected=BEFORE)
    assert path.stat().st_ino == inode


def test_mode_and_owner_stay(path: Path) -> None:
    if os.geteuid() == 0:
        os.chown(path, 12, 34)
    before = path.stat()
    Catalog(path).write(AFTER, expected=BEFORE)
    after = path.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert after.st_ino != before.st_ino


def test_extended_attributes_stay_where_there_are_any(path: Path) -> None:
    try:
        os.setxattr(path, "user.note", b"mine")
    except OSError as error:
        pytest.skip(f"no extended attributes here: {error.strerror}")
    Catalog(path).write(AFTER, expected=BEFORE)
    assert os.getxattr(path, "user.note") == b"mine"


def test_a_link_stays_a_link_and_its_file_is_written(path: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    link = tmp_path / "there" / "catalog.yaml"
    link.symlink_to(Path("..") / "services.yaml")
    Catalog(link).write(AFTER, expected=BEFORE)
    assert link.is_symlink()
    assert path.read_bytes() == AFTER
    assert everything_in(link.parent) == ["catalog.yaml"]


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: None], ids=["a directory", "nothing"])
def test_what_cannot_be_read_is_an_inventory_error(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "services.yaml")
    with pytest.raises(InventoryError, match=r"services\.yaml: cannot be read"):
        Catalog(tmp_path / "services.yaml").text()


def test_a_flip_is_pure_and_carries_both_texts_and_the_diff(path: Path) -> None:
    flip = Catalog(path).flipped("web", "lab", "ipip")
    assert (flip.before, flip.after) == (BEFORE, AFTER)
    assert flip.diff.splitlines()[:2] == ["--- a/services.yaml", "+++ b/services.yaml"]
    assert path.read_bytes() == BEFORE


def test_a_flip_to_what_is_so_has_no_diff(path: Path) -> None:
    flip = Catalog(path).flipped("web", "lab", "direct")
    assert flip.before == flip.after
    assert flip.diff == ""
