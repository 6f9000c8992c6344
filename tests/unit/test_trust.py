"""Files that somebody else may have written are refused by name, before any line of them is used."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ferryman.engine.process import ProcessId
from ferryman.errors import JournalError
from ferryman.state import NewRecord, RunRequest
from ferryman.state.foretellings import Foretellings
from ferryman.state.records import Run
from ferryman.state.spool import Spool
from ferryman.tape.appending import _created
from ferryman.trust import TRUSTED_FOLDERS, untrusted
from ordinary_user import USER, give

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).parents[2]
needs_root = pytest.mark.skipif(os.getuid() != 0, reason="needs two users, whom only root can become")


@pytest.fixture(autouse=True)
def not_called_by_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUDO_UID", raising=False)
    monkeypatch.delenv(TRUSTED_FOLDERS, raising=False)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A checkout with configuration, inventory, a cookbook and a state, of this user; in a sticky folder."""
    with tempfile.TemporaryDirectory(prefix="ferryman-trust-") as outer:
        Path(outer).chmod(0o755)
        found = Path(outer) / "checkout"
        (found / "cookbooks").mkdir(parents=True)
        (found / "ferryman.toml").write_text('inventory = "inventory"\nstate = "sqlite:state/state.db"\n')
        (found / "cookbooks" / "harm.py").write_text(
            f'"""Harm."""\nfrom pathlib import Path\nPath("{found}/executed").touch()\n'
        )
        shutil.copytree(REPOSITORY / "inventory", found / "inventory")
        (found / "state").mkdir()
        for path in (found, *found.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        yield found


def new_run(name: str) -> Run:
    request = RunRequest(cookbook="renew", operator="alice")
    return Run(
        name, request, (), "", "2026-11-30T12:00:00.000Z", None, None, None, "", ProcessId("h", 1, 1, "b")
    )


def run(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ferryman", *words]
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "lib"), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_ones_own_files_are_trusted_in_tmp_too(folder: Path) -> None:
    assert untrusted(folder / "ferryman.toml") is None
    assert untrusted(folder / "inventory" / "nodes") is None
    assert untrusted(folder / "not" / "there") is None
    assert untrusted(Path("/dev/null")) is None


def test_what_nobody_else_can_get_to_is_trusted_whatever_its_mode(folder: Path) -> None:
    file = folder / "ferryman.toml"
    file.chmod(0o666)
    folder.chmod(0o700)
    assert untrusted(file) is None
    (folder / "link").symlink_to(folder.parent)
    folder.parent.chmod(0o757)
    assert untrusted(folder / "link") is not None
    folder.chmod(0o710)
    assert untrusted(file) is not None


@pytest.mark.parametrize("part", ["ferryman.toml", "", "inventory/services.yaml", "inventory/nodes"])
def test_what_everybody_may_write_is_refused_with_the_command_that_mends_it(folder: Path, part: str) -> None:
    path = folder / part
    path.chmod(path.stat().st_mode | 0o002)
    found = untrusted(path if path.is_file() else path / "file")
    mode = "0757" if path.is_dir() else "0646"
    assert found == f"{path} has mode {mode}, so everybody may write to it: chmod o-w {path}"


@needs_root
def test_the_folder_above_counts_and_so_does_the_link(folder: Path) -> None:
    theirs = folder.parent / "theirs"
    theirs.mkdir()
    (theirs / "ferryman.toml").symlink_to(folder / "ferryman.toml")
    give(theirs)
    found = untrusted(theirs / "ferryman.toml") or ""
    assert found.startswith(f"{theirs} belongs to {USER}, and this process is run by root: run it as {USER}")
    (folder / "link").symlink_to(theirs)
    assert f"{theirs} belongs to" in (untrusted(folder / "link" / "x") or "")
    own = folder / "own.toml"
    own.symlink_to("ferryman.toml")
    os.chown(own, USER, USER, follow_symlinks=False)
    assert f"{own} belongs to {USER}" in (untrusted(own) or "")


@needs_root
def test_a_group_that_may_write_is_refused_unless_nobody_else_is_in_it(folder: Path) -> None:
    file = folder / "ferryman.toml"
    file.chmod(0o664)
    assert untrusted(file) is None  # root's group, where only root is
    os.chown(file, 0, next(group for group in (12, 33, 100) if _has_strangers(group)))
    assert "may write to it: chmod g-w" in (untrusted(file) or "")


def _has_strangers(group: int) -> bool:
    import grp  # noqa: PLC0415
    import pwd  # noqa: PLC0415

    try:
        members = grp.getgrgid(group).gr_mem
    except KeyError:
        return False
    return bool(members) or any(user.pw_gid == group and user.pw_uid != 0 for user in pwd.getpwall())


@needs_root
def test_a_checkout_of_who_called_sudo_is_trusted_with_umask_002(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    give(folder)
    for path in (folder, folder / "ferryman.toml"):
        path.chmod(path.stat().st_mode | 0o020)
    assert untrusted(folder / "ferryman.toml") is not None
    monkeypatch.setenv("SUDO_UID", str(USER))
    assert untrusted(folder / "ferryman.toml") is None
    monkeypatch.setenv("SUDO_UID", "root")
    assert untrusted(folder / "ferryman.toml") is not None


@needs_root
def test_a_folder_that_is_named_as_trusted_is(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    give(folder)
    monkeypatch.setenv(TRUSTED_FOLDERS, f"/elsewhere:{folder}")
    assert untrusted(folder / "ferryman.toml") is None
    monkeypatch.setenv(TRUSTED_FOLDERS, f"{folder}x:relative")
    assert untrusted(folder / "ferryman.toml") is not None


@needs_root
@pytest.mark.parametrize("named", [False, True])
def test_no_cookbook_below_a_configuration_of_somebody_else_is_executed(folder: Path, named: bool) -> None:
    give(folder)
    words = ["--config", str(folder / "ferryman.toml")] if named else []
    for command in (["harm"], ["list"], ["runs"], ["inventory", "lint"]):
        ended = run(folder, *words, *command)
        assert ended.returncode == 2, ended
        assert f"belongs to {USER}, and this process is run by root" in ended.stderr
    assert not (folder / "executed").exists()
    assert run(folder, *words, "--help").returncode == 0


@needs_root
@pytest.mark.parametrize("part", ["cookbooks/harm.py", "cookbooks/__pycache__/harm.cpython-311.pyc"])
def test_a_cookbook_of_somebody_else_in_ones_own_folder_is_not_executed(folder: Path, part: str) -> None:
    path = folder / part
    path.parent.mkdir(exist_ok=True)
    path.touch()
    os.chown(path, USER, USER)
    ended = run(folder, "harm")
    assert (ended.returncode, "is not trusted" in ended.stderr) == (2, True), ended
    assert not (folder / "executed").exists()


@needs_root
@pytest.mark.parametrize("part", ["state", "state/state.db", "state/state.db-wal", "state/state.db-shm"])
def test_a_state_that_others_may_write_is_not_opened(folder: Path, part: str) -> None:
    path = folder / part
    if path.name != "state":
        path.touch()
    path.chmod(0o777 if path.is_dir() else 0o666)
    ended = run(folder, "runs")
    assert ended.returncode == 2, ended
    assert f"{path} has mode" in ended.stderr
    assert f"chmod o-w {path}" in ended.stderr


@pytest.mark.parametrize(
    "planted",
    [
        "CREATE TRIGGER freed AFTER INSERT ON locks BEGIN DELETE FROM locks; END",
        "CREATE VIEW more AS SELECT * FROM locks",
        "DROP TABLE locks; CREATE VIEW locks AS SELECT '' AS key",
        "DROP TABLE locks; CREATE TABLE locks (key, run, state, operator, host, pid)",
    ],
)
def test_a_state_with_a_schema_of_somebody_else_is_not_used(folder: Path, planted: str) -> None:
    assert run(folder, "runs").returncode == 0
    file = folder / "state" / "state.db"
    with closing(sqlite3.connect(file)) as plain, plain:
        plain.executescript(planted)
    ended = run(folder, "runs")
    assert ended.returncode == 2, ended
    assert "its schema is not as ferryman makes it: " in ended.stderr


@needs_root
def test_records_foretellings_and_tapes_are_not_put_where_somebody_else_could_change_them(
    folder: Path,
) -> None:
    theirs = folder / "theirs"
    theirs.mkdir()
    give(theirs)
    entry = new_run("run-1")
    (theirs / "run-1.jsonl").write_text("[]\n")
    with pytest.raises(JournalError, match=f"records of a run: .*{theirs} belongs to {USER}"):
        Spool.load(theirs, entry)
    spool = Spool(theirs, entry)
    spool.add([NewRecord("2026-11-30T12:00:00.000Z", "remark", {})])
    assert f"{theirs} belongs to {USER}" in spool.summary()
    foretellings = Foretellings(theirs)
    foretellings.write(entry.request, {"a": 1})
    assert [path.name for path in theirs.iterdir()] == ["run-1.jsonl"]
    assert foretellings.read(entry.request) is None
    with pytest.raises(PermissionError, match=f"{theirs} belongs to {USER}"):
        _created(theirs / "run-1.tape")


def test_what_is_written_is_ones_own_from_its_first_moment(folder: Path) -> None:
    """Whatever the umask: no mode is changed after a file was made."""
    before = os.umask(0)
    try:
        assert run(folder, "runs").returncode == 0
        tape = _created(folder / "tapes" / "run-1.tape")
        tape.close()
        entry = new_run("run-1")
        Spool(folder / "spool", entry).add([NewRecord("2026-11-30T12:00:00.000Z", "remark", {})])
        Foretellings(folder / "foretold").write(entry.request, {"a": 1})
    finally:
        os.umask(before)
    made = [
        folder / "state" / "state.db",
        folder / "tapes",
        folder / "tapes" / "run-1.tape",
        folder / "spool",
        *(folder / "spool").iterdir(),
        folder / "foretold",
        *(folder / "foretold").iterdir(),
    ]
    assert {path.name: path.stat().st_mode & 0o077 for path in made} == {path.name: 0 for path in made}


@needs_root
def test_an_inventory_of_somebody_else_stops_those_alone_who_read_it(folder: Path) -> None:
    os.chown(folder / "inventory" / "hosts.yaml", USER, USER)
    ended = run(folder, "inventory", "lint")
    assert (ended.returncode, "hosts.yaml: is not trusted" in ended.stdout) == (2, True), ended
    flip = ["inventory", "flip", "web", "--site", "lab", "--to", "ipip"]
    assert run(folder, *flip).returncode == 0
    os.chown(folder / "inventory" / "services.yaml", USER, USER)
    ended = run(folder, *flip)
    assert (ended.returncode, "is not trusted" in ended.stderr) == (2, True), ended
