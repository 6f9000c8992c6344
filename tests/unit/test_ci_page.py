"""The commands of docs/ci.md: taken from the page; each is one that there is, with options that there are."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(yaml|groovy)\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = re.findall(r"\.venv/bin/ferryman ([^'\n]+)", "\n".join(text for _, text in BLOCKS))
NAMES = sorted({command.split()[0] for command in COMMANDS})


def run(words: str, *more: str) -> subprocess.CompletedProcess[str]:
    """A command of the page, as it stands there."""
    command = [sys.executable, "-m", "ferryman", *shlex.split(words), *more]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=100)


def exists(name: str) -> bool:
    return run(name, "--help").returncode == 0


def test_each_page_has_both_commands_and_all_say_the_same() -> None:
    assert len(BLOCKS) == 3
    assert NAMES == ["rehearse", "replay"]
    assert len(COMMANDS) == 6
    assert len(set(COMMANDS)) == 2


@pytest.mark.parametrize("text", [text for kind, text in BLOCKS if kind == "yaml"])
def test_each_yaml_file_is_one(text: str) -> None:
    assert isinstance(yaml.safe_load(text), dict)


@pytest.mark.parametrize("target", sorted(set(re.findall(r"(?:- |run: |sh ')make ([\w-]+)", PAGE))))
def test_each_target_of_make_is_there(target: str) -> None:
    assert f"\n{target}:" in (ROOT / "Makefile").read_text()


def test_rehearse_takes_the_pages_words_and_its_scenarios_are_sound() -> None:
    """Played are they in the lab's own tests."""
    (command,) = {command for command in COMMANDS if command.startswith("rehearse ")}
    done = run(command, "--check")
    assert done.returncode == 0, done.stderr


def test_replay_ends_well_on_the_tapes_of_the_repository(tmp_path: Path) -> None:
    (command,) = {command for command in COMMANDS if command.startswith("replay ")}
    if not exists("replay"):
        pytest.xfail("ferryman has no replay command yet: what the page says of it cannot be run")
    done = run(command.replace("replay.xml", str(tmp_path / "replay.xml")))
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "replay.xml").exists()
