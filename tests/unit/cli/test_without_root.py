"""What an ordinary user is forbidden is one clear message beforehand, with exit code 2 or 3."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ordinary_user import USER, argv_of_user, give
from tools import first_of, require_tool
from unit.cli.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

PROBES = '''"""Needs what a probe needs."""
from ferryman.cookbook import Ferry, Look, Plan, cookbook

class Calm(Look):
    """All is calm."""
    def look(self, report): pass

@cookbook
def probes(ferry):
    """Need what a probe needs."""
    ferry.need_raw_sockets()
    return Plan([Calm()])
'''
RUN = ("waiting", "--yes")
PLACES = first_of([("sub/.ferryman", 0o700), ("sub", 0o555), ("sub/.ferryman", 0)])


@dataclass
class Site:
    """A configuration folder of an ordinary user."""

    workspace: Workspace

    @property
    def folder(self) -> Path:
        return self.workspace.folder

    def ferryman(self, *words: str, **environment: str) -> tuple[int, str]:
        """The exit code of a command that the user runs there, and what it said on standard error."""
        command = [sys.executable, "-m", "ferryman", *words]
        if os.getuid() == 0:
            command = argv_of_user(command, beside=self.folder.with_name("shown"))
        kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
        done = subprocess.run(
            command,
            cwd=self.folder,
            env={**kept, "HOME": str(self.folder), **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert "Traceback" not in done.stderr
        assert "a bug" not in done.stderr
        return done.returncode, done.stderr

    @property
    def is_untouched(self) -> bool:
        return self.workspace.files == ("old", "old")


@pytest.fixture
def site() -> Iterator[Site]:
    """Not below pytest's own folder, which no other user may enter."""
    require_tool("setpriv", "unshare", package="util-linux")
    with tempfile.TemporaryDirectory(prefix="ferryman-user-") as outer:
        Path(outer).chmod(0o711)
        with closing(Workspace(Path(outer) / "site")) as workspace:
            (workspace.folder / "cookbooks" / "probes.py").write_text(PROBES)
            (workspace.folder / "sub").mkdir()
            give(workspace.folder)
            yield Site(workspace)
            for path in workspace.folder.rglob("*"):
                path.chmod(0o700)


def close(path: Path, mode: int = 0) -> None:
    """Let its owner be forbidden too; root's, where the test is root's."""
    path.chmod(mode)
    if os.getuid() == 0:
        os.chown(path, 0, 0)


def test_an_ordinary_user_who_has_no_name_can_run_what_sends_no_probes(site: Site) -> None:
    assert site.ferryman(*RUN)[0] == 0
    assert site.workspace.files == ("new", "new")


@pytest.mark.parametrize(
    ("closed", "says"),
    first_of(
        [
            ("ferryman.toml", "cannot be read"),
            ("cookbooks", "cookbooks cannot be looked for there"),
            ("cookbooks/waiting.py", "cannot be imported"),
            ("inventory", "cannot be looked into"),
            ("inventory/nodes", "cannot be looked into"),
            ("key", "ssh.identity"),
            ("known_hosts", "ssh.known_hosts"),
        ],
        4,
    ),
)
def test_what_cannot_be_read_is_named_and_nothing_is_begun(site: Site, closed: str, says: str) -> None:
    close(site.folder / closed)
    code, said = site.ferryman(*RUN)
    assert code == 2, said
    assert str(site.folder / closed) in said
    assert says in said
    assert site.is_untouched


def test_a_configuration_in_a_closed_folder_is_named_however_it_is_found(site: Site) -> None:
    inside = site.folder / "sub" / "ferryman.toml"
    shutil.copy(site.folder / "ferryman.toml", inside)
    close(site.folder / "sub")
    for code, said in (
        site.ferryman("--config", str(inside), *RUN),
        site.ferryman(*RUN, FERRYMAN_CONFIG=str(inside)),
        site.ferryman("list", FERRYMAN_CONFIG=str(inside)),
    ):
        assert code == 2
        assert f"{inside}: cannot be read: {site.folder / 'sub'} belongs to " in said


@pytest.mark.parametrize(
    ("mode", "commands"),
    [
        (0o444, [RUN]),
        (0, [RUN, ("runs",)]),
    ],
)
def test_a_journal_of_somebody_else_is_named_with_its_owner_and_mode(
    site: Site, mode: int, commands: list[tuple[str, ...]]
) -> None:
    site.ferryman("runs")
    close(site.folder / "state.db", mode)
    for words in commands:
        code, said = site.ferryman(*words)
        assert code == 2
        assert f"{site.folder / 'state.db'} belongs to " in said
        assert f"with mode {mode:04o}, and this process is run by " in said
    assert site.is_untouched


def test_a_journal_that_can_be_read_alone_is_shown(site: Site) -> None:
    site.ferryman("runs")
    close(site.folder / "state.db", 0o444)
    assert site.ferryman("runs")[0] == 0


@pytest.mark.parametrize(("closed", "mode"), PLACES)
def test_a_folder_where_no_journal_can_be_made_is_named(site: Site, closed: str, mode: int) -> None:
    if mode == 0o700 and os.getuid() != 0:
        pytest.skip("needs another user's folder, which root alone can make")
    config = site.folder / "ferryman.toml"
    config.write_text(config.read_text().replace("sqlite:state.db", "sqlite:sub/.ferryman/state.db"))
    (site.folder / closed).mkdir(exist_ok=True)
    close(site.folder / closed, mode)
    code, said = site.ferryman(*RUN)
    assert code == 2
    assert f"the journal cannot be used: {site.folder / closed} belongs to " in said
    assert site.is_untouched


def test_a_picture_that_cannot_be_written_is_told_before_the_run(site: Site) -> None:
    close(site.folder / "sub", 0o555)
    code, said = site.ferryman("--picture", str(site.folder / "sub" / "run.svg"), *RUN)
    assert code == 2
    assert f"{site.folder / 'sub'} belongs to " in said
    assert site.is_untouched


def test_a_new_cookbook_that_cannot_be_made_leaves_nothing_half_made(site: Site) -> None:
    close(site.folder / "cookbooks", 0o555)
    code, said = site.ferryman("new", "mtu/rollout")
    assert code == 2
    assert f"{site.folder / 'cookbooks'} belongs to " in said
    assert not (site.folder / "tests").exists()


def test_a_log_of_runs_that_cannot_be_written_is_a_warning_and_no_more(site: Site) -> None:
    config = site.folder / "ferryman.toml"
    config.write_text(config.read_text() + '[hooks.log.sal]\nfile = "sub/sal.log"\n')
    close(site.folder / "sub", 0o555)
    code, said = site.ferryman(*RUN)
    assert code == 0
    assert f"hooks.log.sal ({site.folder / 'sub' / 'sal.log'}): Permission denied; the run goes on" in said


def test_a_home_that_nobody_knows_is_told(site: Site) -> None:
    if os.getuid() != 0:
        pytest.skip("whoever runs this has a home; only root can become a user without a name")
    config = site.folder / "ferryman.toml"
    config.write_text(config.read_text().replace('identity = "key"', 'identity = "~/key"'))
    shown = argv_of_user(
        ["env", "-u", "HOME", sys.executable, "-m", "ferryman", *RUN], beside=site.folder.with_name("shown")
    )
    done = subprocess.run(shown, cwd=site.folder, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert f"~/key: user {USER} has no home that is known: set $HOME" in done.stderr


def test_who_may_open_no_raw_socket_is_refused_with_what_gives_the_right(site: Site) -> None:
    code, said = site.ferryman("probes")
    assert code == 3
    assert f"{sys.executable}, run by user " in said
    for way in ("setpriv --reuid=", "setcap cap_net_raw+ep", "AmbientCapabilities=CAP_NET_RAW", "--cap-add"):
        assert way in said
