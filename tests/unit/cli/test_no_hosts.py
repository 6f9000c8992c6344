"""Without a key that can be used, what is wrong with the arguments is told all the same."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from unit.cli.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COOKBOOK = '''"""Asks for a service."""
from ferryman.cookbook import Ferry, Plan, Look, cookbook, service_argument, site_option

class Calm(Look):
    """All is calm."""
    def look(self, report): pass

@cookbook
@service_argument
@site_option
def ask(ferry, service, site):
    """Ask for a service."""
    if service != "calm":
        ferry.service(service, site)
    return Plan([Calm()])
'''


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    workspace = Workspace(tmp_path)
    (tmp_path / "cookbooks" / "ask.py").write_text(COOKBOOK)
    yield tmp_path
    workspace.close()


def ferryman(folder: Path, *words: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "ferryman", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stderr


def test_a_misspelt_service_is_told_before_the_missing_key(folder: Path) -> None:
    (folder / "key").unlink()
    code, said = ferryman(folder, "ask", "stattic", "--site", "lab")
    first, second = said.splitlines()
    assert code == 2
    assert "'stattic'" in first
    assert f"ssh.identity: {folder / 'key'}: No such file" in second


def test_the_missing_key_alone_is_told_alone(folder: Path) -> None:
    (folder / "key").unlink()
    code, said = ferryman(folder, "ask", "calm", "--site", "lab")
    assert code == 2
    assert said.startswith("ferryman: ssh.identity: ")
    assert len(said.splitlines()) == 1


def test_with_a_key_it_is_the_service_alone(folder: Path) -> None:
    code, said = ferryman(folder, "ask", "stattic", "--site", "lab")
    assert code == 2
    assert "ssh.identity" not in said


@pytest.mark.parametrize(("asks", "code"), [("hosts", 2), ("clusters", 0), ("nobody", 0)])
def test_who_asks_no_hosts_needs_no_key(folder: Path, asks: str, code: int) -> None:
    (folder / "key").unlink()
    book = COOKBOOK.replace("cookbook, s", "cookbook_asking, s").replace(
        "@cookbook\n", f"@cookbook_asking({asks!r})\n"
    )
    (folder / "cookbooks" / "ask.py").write_text(book)
    assert ferryman(folder, "ask", "calm", "--site", "lab")[0] == code


def test_who_asks_nobody_needs_no_lab(folder: Path) -> None:
    toml = folder / "ferryman.toml"
    toml.write_text(toml.read_text().replace("lab = false", "lab = true"))
    assert ferryman(folder, "ask", "calm", "--site", "lab")[0] == 2
    book = COOKBOOK.replace("cookbook, s", "cookbook_asking, s").replace(
        "@cookbook\n", '@cookbook_asking("nobody")\n'
    )
    (folder / "cookbooks" / "ask.py").write_text(book)
    assert ferryman(folder, "ask", "calm", "--site", "lab") == (0, "")
