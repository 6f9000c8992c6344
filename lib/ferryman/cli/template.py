"""A new cookbook with its test and a scenario: files that run as they are, to be made one's own."""

from __future__ import annotations

import os
import re
from importlib import resources
from string import Template
from typing import TYPE_CHECKING

from ferryman.errors import UsageError
from ferryman.permissions import WRITE, denied, user_name

if TYPE_CHECKING:
    from pathlib import Path

_NAME = re.compile(r"[a-z][a-z0-9_]*(/[a-z][a-z0-9_]*)*")


def test_file_of(book: Path, tests: Path) -> Path:
    """Where the test of a cookbook stands; ``book`` is relative to the folder of cookbooks."""
    return tests / book.parent / f"test_{book.name}"


def write(name: str, cookbooks: Path, tests: Path, scenarios: Path) -> list[Path]:
    """Write the cookbook, its test and its scenario; returns their paths.

    Raises:
        UsageError: The name is no name of a module, or one of the files is there already.
    """
    plain = name.removesuffix(".py").replace("-", "_")
    if not _NAME.fullmatch(plain):
        raise UsageError(
            f"{name!r}: expected a name of small letters, digits and dashes, such as mtu/rollout"
        )
    words = plain.split("/")
    book = cookbooks.joinpath(*words).with_suffix(".py")
    test = test_file_of(book.relative_to(cookbooks), tests)
    scenario = scenarios.joinpath(*words).with_suffix(".yaml")
    files = (book, test, scenario)
    if existing := [str(file) for file in files if file.exists()]:
        raise UsageError(f"{', '.join(existing)}: is there already")
    for file in files:
        if obstacle := denied(file, WRITE):
            raise UsageError(f"{file}: cannot be made: {obstacle}; nothing was written")
    values = {
        "function": words[-1],
        "title": " ".join(words).replace("_", "-"),
        "owner": user_name(),
        "file": os.path.relpath(book, test.parent),
    }
    for group in reversed([*book.parents][: len(words) - 1]):
        group.mkdir(parents=True, exist_ok=True)
        if not (group / "__init__.py").exists():
            (group / "__init__.py").write_text(f'"""Runbooks for {group.name}."""\n')
    for file, template in zip(files, ("cookbook.txt", "test.txt", "scenario.txt"), strict=True):
        file.parent.mkdir(parents=True, exist_ok=True)
        text = resources.files("ferryman.cli").joinpath("templates", template).read_text(encoding="utf-8")
        file.write_text(Template(text).substitute(values), encoding="utf-8")
    return list(files)
