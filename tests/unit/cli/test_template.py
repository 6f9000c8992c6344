"""``ferryman new`` writes a cookbook that is found, a test that passes and can fail, and a sound scenario."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ferryman.cli import discovery
from ferryman.cli.template import write
from ferryman.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path, Path]:
    return tmp_path / "cookbooks", tmp_path / "tests", tmp_path / "scenarios"


def outcome_of(test: Path) -> int:
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", str(test)]
    return subprocess.run(command, cwd=test.parent, capture_output=True, timeout=60, check=False).returncode


def test_the_new_cookbook_is_a_command_with_its_own_arguments(folders: tuple[Path, Path, Path]) -> None:
    write("kernel/set-one", *folders)
    command = discovery.read([folders[0]]).find("kernel set-one").load()
    assert [parameter.name for parameter in command.params][:3] == ["host", "key", "value"]


def test_its_test_passes_and_turns_red_when_the_cookbook_is_broken(folders: tuple[Path, Path, Path]) -> None:
    book, test, _ = write("one", *folders)
    assert outcome_of(test) == 0
    book.write_text(book.read_text().replace("if self._read() != before:", "if False:"))
    assert outcome_of(test) == 1


def test_nothing_that_is_there_is_overwritten(folders: tuple[Path, Path, Path]) -> None:
    book, _, _ = write("one", *folders)
    book.write_text("mine")
    with pytest.raises(UsageError, match="is there already"):
        write("one", *folders)
    assert book.read_text() == "mine"


@pytest.mark.parametrize("name", ["", "../up", "/etc/x", "a b", "9lives", "a//b", "Übung"])
def test_a_name_that_is_no_module_is_refused(folders: tuple[Path, Path, Path], name: str) -> None:
    with pytest.raises(UsageError, match="expected a name"):
        write(name, *folders)
