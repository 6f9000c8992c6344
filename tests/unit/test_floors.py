"""The shape of the code: imports go down the floors, and each outside library has one home."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "lib" / "ferryman"

FLOORS = {
    0: {
        *("model", "errors", "events", "config", "configfile", "docstrings", "hookconfig", "retry"),
        "__init__",
    },
    1: {
        "inventory",
        "catalog",
        "hosts",
        "realservers",
        "firewall",
        "probe",
        "directors",
        "traffic",
        "kubernetes",
        "diagnosis",
        "management",
        "lab",
    },
    2: {"engine", "state", "testing"},
    3: {"cookbook", "commandline", "console", "hooks"},
    4: {"cli", "__main__"},
}
HOMES = {
    "click": {"commandline.py"},
    "httpx2": {"hooks/web.py"},
    "lightkube": {"kubernetes/api.py"},
    "paramiko": {"hosts/ssh.py"},
    "rich": {"console"},
    "scapy": {"probe/packets.py"},
    "tenacity": {"retry.py"},
}
ONLY_FROM = {
    "console": {"cli", "console"},
    "hooks": {"cli", "hooks"},
    "lab": {"cli", "lab"},
}
"""Parts that nothing but these may import, though the floors would allow it."""

FILES = sorted(PACKAGE.rglob("*.py"))


def part_of(file: Path) -> str:
    first = file.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def floor_of(part: str) -> int:
    return next(floor for floor, parts in FLOORS.items() if part in parts)


def imports_of(file: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            found.add(node.module or "")
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def own_parts(file: Path) -> set[str]:
    words = [name.split(".") for name in imports_of(file)]
    known = set().union(*FLOORS.values())
    return {name[1] for name in words if name[0] == "ferryman" and len(name) > 1 and name[1] in known}


def test_every_part_stands_on_a_floor() -> None:
    known = set().union(*FLOORS.values())
    assert {part_of(file) for file in FILES} <= known


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_go_down_and_never_up(file: Path) -> None:
    here = floor_of(part_of(file))
    assert {part for part in own_parts(file) if floor_of(part) > here} == set()


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_each_outside_library_is_imported_at_home_alone(file: Path) -> None:
    relative = file.relative_to(PACKAGE)
    outside = {name.split(".")[0] for name in imports_of(file)}
    for library, homes in HOMES.items():
        if library in outside:
            assert str(relative) in homes or relative.parts[0] in homes


@pytest.mark.parametrize("part", ONLY_FROM)
def test_what_subscribes_is_imported_by_the_command_line_alone(part: str) -> None:
    importers = {part_of(file) for file in FILES if part in own_parts(file)} - {part}
    assert importers <= ONLY_FROM[part]


def test_no_file_is_two() -> None:
    long = {str(file.relative_to(PACKAGE)): len(file.read_text().splitlines()) for file in FILES}
    assert {file: lines for file, lines in long.items() if lines > 420} == {}
