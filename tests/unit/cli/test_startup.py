"""The command starts quickly, and works where nothing else does."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

SLOW = ("scapy", "paramiko", "pydantic", "rich", "tenacity", "yaml", "sqlite3")

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


def test_help_works_without_a_configuration(tmp_path: Path) -> None:
    done = python(LOADED.format(slow=()), tmp_path)
    assert "inventory" in done.stdout
