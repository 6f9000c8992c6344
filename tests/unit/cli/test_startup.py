"""The command starts quickly, and works where nothing else does."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

SLOW = (
    *("scapy", "paramiko", "cryptography", "pydantic", "rich", "tenacity", "yaml", "sqlite3", "httpx2"),
    *("asyncio", "concurrent.futures", "ssl", "subprocess", "http", "email", "json", "importlib.metadata"),
    *("ferryman.config", "ferryman.model", "ferryman.events", "ferryman.hosts", "ferryman.inventory"),
)
"""What no help text needs."""

COMMANDS = {
    "as a module": [sys.executable, "-m", "ferryman", "--help"],
    "as an installed script": [str(Path(sys.executable).with_name("ferryman")), "--help"],
}

LOADED = """
import sys
sys.argv = ["ferryman", "--help"]
from ferryman.cli import main
try:
    main()
except SystemExit as leaving:
    assert leaving.code == 0, leaving.code
print("loaded:", *[name for name in {slow!r} if name in sys.modules], file=sys.stderr)
"""


def python(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, timeout=30, check=False
    )


def test_help_imports_nothing_that_is_slow(tmp_path: Path) -> None:
    (tmp_path / "cookbooks").mkdir()
    (tmp_path / "cookbooks" / "one.py").write_text('"""Does one thing."""\nimport scapy\n')
    (tmp_path / "ferryman.toml").write_text("")
    done = python(LOADED.format(slow=SLOW), tmp_path)
    assert "Does one thing." in done.stdout
    assert done.stderr.split() == ["loaded:"]


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_help_imports_nothing_that_is_slow_however_it_is_called(command: list[str], tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPROFILEIMPORTTIME": "1"}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=30, check=True
    )
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if "|" in line}
    assert "click" in imported
    assert imported.isdisjoint(SLOW)


def test_the_installed_script_is_the_command_line() -> None:
    (script,) = entry_points(group="console_scripts", name="ferryman")
    assert script.value == "ferryman.cli:main"


def test_help_works_without_a_configuration(tmp_path: Path) -> None:
    done = python(LOADED.format(slow=()), tmp_path)
    assert "inventory" in done.stdout
