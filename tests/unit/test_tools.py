"""A tool that a test wants and the machine lacks: who is told what, and where it must not happen."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import tools
from ferryman.lab.engines import PACKAGES
from tools import require_tool

TESTS = Path(__file__).parents[1]
BOOTSTRAP = TESTS.parent / "scripts" / "bootstrap.sh"


def skipped(*names: str) -> str:
    with pytest.raises(pytest.skip.Exception) as told:
        require_tool(*names, package="no-such-package")
    return str(told.value)


def test_a_skip_says_what_is_missing_and_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    words = "not installed: no-such-tool (Debian package no-such-package); `make setup-dev` installs it"
    assert skipped("sh", "no-such-tool") == words


def test_in_ci_a_missing_tool_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match=r"not installed: no-such-tool .*may not be skipped"):
        require_tool("no-such-tool", package="no-such-package")


def test_a_tool_that_is_there_is_no_reason_to_skip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    require_tool("sh", package="dash")


def test_a_program_of_root_is_found_on_an_ordinary_users_path(tmp_path: Path) -> None:
    assert {"/usr/sbin", "/sbin"} <= set(tools.PATH.split(":"))


def test_setup_installs_every_package_that_a_test_or_the_lab_wants() -> None:
    lists = re.findall(r"^(?:lab|dev)_packages=['\"]([^'\"]*)['\"]", BOOTSTRAP.read_text(), re.MULTILINE)
    assert len(lists) == 2
    here = Path(__file__)
    wanted = {
        package
        for file in TESTS.rglob("*.py")
        if file != here
        for call in re.findall(r"require_tool\(([^)]*)\)", file.read_text())
        for packages in re.findall(r'package="([^"]+)"', call)
        for package in packages.split(", ")
    }
    assert wanted
    assert wanted | set(PACKAGES.values()) <= set(" ".join(lists).split())


def test_no_test_judges_by_itself_whether_to_skip_for_a_missing_program() -> None:
    judging = {
        str(file.relative_to(TESTS))
        for file in TESTS.rglob("*.py")
        if file not in (Path(__file__), Path(tools.__file__))
        if "shutil.which(" in (text := file.read_text()) and re.search(r"pytest\.skip\(|skipif\(", text)
    }
    assert judging == set()
