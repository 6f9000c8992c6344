"""Findings that pass are counted, and shown where they are what was asked for."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from unit.cli.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path

COOKBOOK = '''"""Tells a number."""
from ferryman.cookbook import Finding, Look, Plan, Verdict, cookbook

class Told(Look):
    """A number is told."""
    def look(self, report):
        report.finding(Finding("number", "web1", Verdict.PASS, "it is 1460", "a number"))

@cookbook
def tell(ferry):
    """Tell a number."""
    return Plan([Told()], shows_passing=%s)
'''


@pytest.mark.parametrize("shows", [True, False])
def test_a_plan_says_whether_people_see_them_without_asking_for_more(tmp_path: Path, *, shows: bool) -> None:
    workspace = Workspace(tmp_path)
    (tmp_path / "cookbooks" / "tell.py").write_text(COOKBOOK % shows)
    command = [sys.executable, "-m", "ferryman", "tell"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    workspace.close()
    assert done.returncode == 0, done.stderr
    assert "1 pass" in done.stdout
    assert ("it is 1460" in done.stdout) is shows
