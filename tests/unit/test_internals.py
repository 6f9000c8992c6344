"""docs/internals.md names files, definitions and folders that are there, and every folder of the package."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "lib" / "ferryman"
PAGE = (ROOT / "docs" / "internals.md").read_text()

QUOTED = sorted(set(re.findall(r"`([^`\n]+)`", PAGE)))
PATHS = [text for text in QUOTED if re.fullmatch(r"[\w./-]+(/|\.py|\.md)", text)]
DEFINITIONS = [text for text in QUOTED if re.fullmatch(r"[\w./-]+\.py:[\w.]+", text)]
STAGES = ("load", "plan", "preflight", "confirm", "execute", "verify", "or roll back")


def file_of(path: str) -> Path:
    """The path under the package, or under the repository."""
    return PACKAGE / path if (PACKAGE / path).exists() else ROOT / path


def definitions(body: list[ast.stmt], prefix: str = "") -> set[str]:
    """Names that are defined at the top level, and in its classes with the class's name before them."""
    found: set[str] = set()
    for statement in body:
        match statement:
            case ast.ClassDef(name=name):
                found |= {prefix + name, *definitions(statement.body, f"{prefix}{name}.")}
            case ast.FunctionDef(name=name):
                found.add(prefix + name)
            case ast.AnnAssign(target=ast.Name(id=name)):
                found.add(prefix + name)
            case ast.Assign(targets=[ast.Name(id=name)]):
                found.add(prefix + name)
    return found


@pytest.mark.parametrize("path", PATHS)
def test_each_path_on_the_page_is_in_the_tree(path: str) -> None:
    found = file_of(path)
    assert found.is_dir() if path.endswith("/") else found.is_file(), f"docs/internals.md: there is no {path}"


@pytest.mark.parametrize("text", DEFINITIONS)
def test_each_definition_on_the_page_is_in_its_file(text: str) -> None:
    path, _, name = text.partition(":")
    assert file_of(path).is_file(), f"docs/internals.md: there is no {path}"
    assert name in definitions(ast.parse(file_of(path).read_text()).body), f"docs/internals.md: {text}"


def test_each_folder_of_the_package_is_on_the_page() -> None:
    folders = {file.relative_to(PACKAGE).parts[0] for file in PACKAGE.glob("*/*.py")}
    assert {folder for folder in folders if f"`{folder}/`" not in PAGE} == set()


def test_the_life_of_a_run_has_its_stages_in_order() -> None:
    rows = re.findall(r"^\| ([\w ]+) \|", PAGE.partition("## Where is")[0], re.MULTILINE)
    assert [row for row in rows if row != "stage"] == list(STAGES)


def test_the_page_is_on_the_list_of_pages() -> None:
    assert "docs/internals.md" in (ROOT / "README.md").read_text()
