"""The tables of what is in ``make test``: a test that was renamed must not drop out of it, or in, unseen."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from lab.chosen import CHOSEN
from unit.left_out import LEFT_OUT

UNIT = Path(__file__).parent
LAB = UNIT.parent / "lab"


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


@pytest.mark.parametrize("file", LEFT_OUT)
def test_each_test_that_is_left_out_is_in_its_file_and_is_not_all_of_it(file: str) -> None:
    names = {name for name in names_in(UNIT / file) if name.startswith("test_")}
    left_out = {name.partition("[")[0] for name in LEFT_OUT[file]}
    assert left_out <= names
    assert names - left_out
