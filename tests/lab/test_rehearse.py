"""Scenarios through the command, on labs that it boots itself, with the real run."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

from ferryman.cli.template import write
from ferryman.lab import LabPaths
from lab.conftest import require_lab
from lab.running import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1800)]

SCENARIOS = REPOSITORY / "scenarios"
ONE_S = 400.0
ALL_S = 1700.0
WRONG = """\
title: It is said to end well though a realserver would drop everything.
faults:
  - { put: rp-filter-strict, on: web2, at: start }
run: ferryman migrate static --site lab
expect:
  exit: 0
  findings:
    - { check: rp-filter, host: web1 }
  changes: none
"""
KILLED = """\
title: The process dies with its intent on disk and nothing done; another one ends it.
faults:
  - { kill: run, at: 'during step "lvs2 has a host route"', then: rollback }
run: ferryman migrate static --site lab
expect:
  exit: 0
  outcome: rolled-back
  changes: none
  end: all old
"""
NEVER = """\
title: What is to strike after the soak never does, for the run is refused long before.
faults:
  - { put: rp-filter-strict, on: web2, at: start }
  - { kill: run, at: in soak, then: resume }
run: ferryman migrate static --site lab
expect: { exit: 3 }
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A configuration of the lab's own, whose rehearsals' labs belong to it."""
    require_lab()
    shutil.copytree(REPOSITORY / "inventory", tmp_path / "inventory")
    shutil.copyfile(REPOSITORY / "ferryman.toml", tmp_path / "ferryman.toml")
    (tmp_path / "cookbooks").symlink_to(REPOSITORY / "cookbooks")
    return tmp_path


def rehearse(folder: Path, *words: str, timeout_s: float = ONE_S) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "ferryman",
        "--config",
        str(folder / "ferryman.toml"),
        "--output",
        "json",
    ]
    return subprocess.run(
        [*command, "rehearse", *words], capture_output=True, text=True, check=False, timeout=timeout_s
    )


def results(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    """The rows of the table at the end, by scenario."""
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return {row["scenario"]: row for row in rows}


def require_nothing_left(folder: Path) -> None:
    stages = folder / ".ferryman" / "rehearsals"
    assert [path.name for path in stages.iterdir() if path.suffix != ".lock"] == []
    assert not LabPaths.of(stages / "1").root.exists()


def test_one_ends_as_expected_and_another_one_does_not(folder: Path) -> None:
    """On one lab, one after the other: it is clean again in between."""
    (folder / "a-wrong.yaml").write_text(WRONG)
    (folder / "b-killed.yaml").write_text(KILLED)
    junit, html = folder / "out.xml", folder / "out.html"
    done = rehearse(
        folder, f"{folder}/a-wrong.yaml", f"{folder}/b-killed.yaml", f"--junit={junit}", f"--html={html}"
    )
    assert done.returncode == 8, done.stderr
    assert {name: row["result"] for name, row in results(done).items()} == {
        "a-wrong": "fail",
        "b-killed": "pass",
    }
    assert "FAILED expect exit: expected 0; seen 3 (" in done.stderr
    assert re.search(
        r"FAILED expect finding: expected rp-filter on web1: .*; seen .*rp-filter on web2: fail", done.stderr
    )
    assert "killed with SIGKILL" in done.stderr
    assert done.stderr.count("is up: after") == 1, "the second one has the first one's lab"
    case = ET.parse(junit).getroot()[0][0]
    assert "expected 0; seen 3" in str(case.findtext("failure"))
    assert "2 scenarios, 1 failed" in html.read_text()
    require_nothing_left(folder)


def test_what_never_strikes_is_a_failure_though_the_end_is_as_expected(folder: Path) -> None:
    (folder / "never.yaml").write_text(NEVER)
    done = rehearse(folder, f"{folder}/never.yaml")
    assert done.returncode == 8, done.stderr
    assert (
        "FAILED kill: run, then: resume in soak: expected that moment comes; seen it never came"
        in done.stderr
    )
    require_nothing_left(folder)


def test_the_scenario_of_a_new_cookbook_ends_as_expected(folder: Path) -> None:
    (folder / "cookbooks").unlink()
    book, _, scenario = write("kernel/set-one", folder / "cookbooks", folder / "tests", folder / "scenarios")
    done = rehearse(folder, str(scenario))
    assert done.returncode == 0, done.stderr
    assert "killed with SIGKILL" in done.stderr
    assert book.exists()


def test_every_scenario_ends_as_expected_with_the_command_of_the_pages(
    folder: Path,
) -> None:
    page = (REPOSITORY / "docs" / "ci.md").read_text()
    command = re.findall(r"\.venv/bin/ferryman (rehearse [^'\n]+)", page)[0]
    _, given, *options = shlex.split(command)
    assert given == "scenarios/"
    named = [str(folder / word) if word.endswith((".xml", ".html")) else word for word in options]
    done = rehearse(folder, str(SCENARIOS), *named, timeout_s=ALL_S)
    assert {name: row["what"] for name, row in results(done).items() if row["result"] != "pass"} == {}
    assert done.returncode == 0, done.stderr
    require_nothing_left(folder)
