"""Cookbooks are found by folder, described without being run, and a broken one breaks no other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ferryman.cli import discovery
from ferryman.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

GOOD = '''"""Do one thing."""
from ferryman.cookbook import Plan, cookbook
OWNER = "net"
@cookbook
def good(ferry) -> Plan:
    """Do one thing, at length."""
    raise NotImplementedError
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mtu" / "deep").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    (tmp_path / "__init__.py").write_text('"""All of them."""')
    (tmp_path / "good.py").write_text(GOOD)
    (tmp_path / "mtu" / "__init__.py").write_text('"""MTU runbooks."""')
    (tmp_path / "mtu" / "roll_out.py").write_text(GOOD)
    (tmp_path / "mtu" / "deep" / "one.py").write_text(GOOD)
    (tmp_path / "_hidden.py").write_text(GOOD)
    (tmp_path / "notes.txt").write_text("no cookbook")
    return tmp_path


def test_a_file_is_a_command_and_a_folder_is_a_group(folder: Path) -> None:
    found = discovery.read([folder])
    assert [cookbook.name for cookbook in found.all()] == ["good", "mtu deep one", "mtu roll-out"]
    assert found.groups["mtu"].summary == "MTU runbooks."


def test_summary_and_owner_are_read_without_running_the_file(folder: Path) -> None:
    (folder / "good.py").write_text(GOOD + "raise SystemExit('this file was run')\n")
    cookbook = discovery.read([folder]).find("good")
    assert (cookbook.summary, cookbook.owner) == ("Do one thing.", "net")


def test_a_loaded_cookbook_knows_its_words(folder: Path) -> None:
    command = discovery.read([folder]).find("mtu roll-out").load()
    assert command.cookbook == "mtu roll-out"
    assert {parameter.name for parameter in command.params} == {
        "dry_run",
        "yes",
        "reason",
        "task",
        "on_doubt",
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import nothing_of_that_name\n", r"broken\.py:1: cannot be imported: ModuleNotFoundError"),
        ("x = 1\ny = 1 / 0\n", r"broken\.py:2: cannot be imported: ZeroDivisionError"),
        ("def f(:\n", r"broken\.py:1: cannot be imported: SyntaxError"),
        ("x = 1\n", r"broken\.py: declares 0 cookbooks"),
    ],
)
def test_a_broken_cookbook_names_its_line_and_breaks_no_other(folder: Path, text: str, said: str) -> None:
    (folder / "broken.py").write_text(text)
    found = discovery.read([folder])
    with pytest.raises(UsageError, match=said):
        found.find("broken").load()
    assert found.find("good").load().cookbook == "good"


def test_an_unknown_cookbook_is_a_usage_error(folder: Path) -> None:
    with pytest.raises(UsageError, match="no cookbook 'bad'"):
        discovery.read([folder]).find("bad")


def test_the_first_folder_wins_a_name_and_a_missing_folder_is_empty(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "empty"
    (other / "good.py").write_text('"""Another."""\n' + GOOD)
    assert discovery.read([folder, other, tmp_path / "gone"]).find("good").summary == "Do one thing."
    assert discovery.read([other, folder]).find("good").summary == "Another."
