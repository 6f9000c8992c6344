"""What is imported is declared in pyproject.toml, and what is declared there is imported."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

REPOSITORY = Path(__file__).parents[2]
PRODUCT, TESTS = ("lib", "cookbooks"), ("tests",)
OWN = {"ferryman", *(path.stem for path in (REPOSITORY / "tests").iterdir()), "tests"}
"""What the repository itself has; the folder ``tests`` is on the path of its tests."""
NOT_IMPORTED = {
    "hatchling",  # builds the project
    *("cyclonedx-bom", "pip-tools"),  # write the locks and the list of components
    *("mypy", "ruff", "types-paramiko", "types-pyyaml"),  # check the source
    *("pytest-timeout", "pytest-xdist"),  # plugins of pytest
}
"""Dev extras that are programs, plugins or type stubs."""
PYTEST_PLUGIN = REPOSITORY / "lib" / "ferryman" / "cli" / "pytest_tapes.py"
"""Only pytest loads it, so what it imports is there."""


def declared() -> tuple[set[str], set[str]]:
    """The distributions of the product, and those of the dev extra."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    return names(project["dependencies"]), names(project["optional-dependencies"]["dev"])


def names(requirements: Iterable[str]) -> set[str]:
    return {normal(re.split(r"[^A-Za-z0-9._-]", requirement)[0]) for requirement in requirements}


def normal(name: str) -> str:
    """A distribution's name as package indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def imported(folders: Iterable[str]) -> set[str]:
    """The modules of others, by their first name, that a file in these folders imports."""
    files = {file for folder in folders for file in (REPOSITORY / folder).rglob("*.py")} - {PYTEST_PLUGIN}
    found = {name for file in files for name in imports_of(file)}
    return found - set(sys.stdlib_module_names) - OWN


@cache
def imports_of(file: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").split(".")[0])
    return found


@cache
def installed() -> Mapping[str, list[str]]:
    """The distributions that have each module; reads all of their lists of files."""
    return packages_distributions()


def providers(modules: Iterable[str]) -> dict[str, set[str]]:
    """The distributions that each module may come from; one that is not installed goes by its own name."""
    return {module: {normal(name) for name in installed().get(module, [module])} for module in modules}


def undeclared(modules: Iterable[str], known: set[str]) -> list[str]:
    return sorted(module for module, homes in providers(modules).items() if not homes & known)


def test_what_the_product_imports_is_declared() -> None:
    product, _ = declared()
    assert undeclared(imported(PRODUCT), product) == []


def test_what_tests_import_is_declared() -> None:
    product, dev = declared()
    assert undeclared(imported(TESTS), product | dev) == []


def test_what_is_declared_is_imported() -> None:
    product, dev = declared()
    assert product - set().union(*providers(imported(PRODUCT)).values()) == set()
    assert dev - set().union(*providers(imported(TESTS)).values()) == NOT_IMPORTED


def test_a_dev_extra_is_no_dependency_of_the_product_too() -> None:
    product, dev = declared()
    assert product & dev == set()
