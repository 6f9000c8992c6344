"""The lab's tests in ``make test`` are there: a test that was renamed must not drop out of it unseen."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from lab.chosen import CHOSEN

LAB = Path(__file__).parents[1] / "lab"


def names_in(file: Path) -> set[str]:
    tree = ast.parse(file.read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("file", CHOSEN)
def test_each_chosen_test_is_in_its_file(file: str) -> None:
    names = names_in(LAB / file)
    wanted = {name.partition("[")[0] for name in CHOSEN[file]}
    assert {part for part in wanted if not any(name.startswith(part) for name in names)} == set()


def test_each_file_of_the_lab_has_a_test_that_is_chosen() -> None:
    """Each file of lab tests has a test that ``make test`` runs."""
    assert {file.relative_to(LAB).as_posix() for file in LAB.rglob("test_*.py")} == set(CHOSEN)
