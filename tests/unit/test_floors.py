"""The shape of the code: imports go down the floors, never in circles; each outside library has its homes."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PACKAGE = Path(__file__).parents[2] / "lib" / "ferryman"

FLOORS = {
    0: {
        *(
            "model",
            "bounded_yaml",
            "names",
            "numerals",
            "errors",
            "events",
            "config",
            "configfile",
            "deadline",
            "docstrings",
            "encapsulation",
            "junit",
            "lazy",
            "outcomes",
            "permissions",
            "plain_text",
            "retry",
            "printable",
            "redaction",
            "trust",
            "waits",
            "whole_file",
        ),
        "__init__",
    },
    1: {
        "inventory",
        "catalog",
        "hosts",
        "ipvs",
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
    2: {"engine", "state", "tape", "testing", "rehearsal"},
    3: {"cookbook", "click_shim", "console", "hooks"},
    4: {"cli", "__main__"},
}
HOMES = {
    "click": {"click_shim.py"},
    "cryptography": {"hosts/certificates.py", "probe/exchange/tls.py"},
    "httpx2": {"hooks/web.py", "kubernetes/transport.py", "state/etcd/gateway.py"},
    "lightkube": {"kubernetes"},
    "paramiko": {"hosts/ssh_library.py"},
    "rich": {"console"},
    "scapy": {"probe/packets.py", "tape/pcap.py", "tape/scrub/packets.py"},
    "tenacity": {"retry.py"},
}
ONLY_FROM = {
    "console": {"cli", "console"},
    "hooks": {"cli", "hooks"},
    "lab": {"cli", "lab", "rehearsal", "tape"},
    "rehearsal": {"cli", "rehearsal"},
}
"""Parts that nothing but these may import, though the floors would allow it."""

FILES = sorted(PACKAGE.rglob("*.py"))


@cache
def tree_of(file: Path) -> ast.Module:
    return ast.parse(file.read_text())


def part_of(file: Path) -> str:
    first = file.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def floor_of(part: str) -> int:
    return next(floor for floor, parts in FLOORS.items() if part in parts)


@cache
def imports_of(file: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree_of(file)):
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


def module_of(file: Path) -> str:
    parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def import_graph(*, everywhere: bool) -> dict[str, set[str]]:
    """What each module imports when it is imported itself, with the packages around that; or all it names."""
    modules = {module_of(file): file for file in FILES}
    graph: dict[str, set[str]] = {}
    for module, file in modules.items():
        names = {
            name
            for node in imports(tree_of(file), everywhere=everywhere)
            for name in imported_names(node, set(modules))
        }
        packages = set() if everywhere else {package for name in names for package in parents(name)}
        graph[module] = (names | packages - {*parents(module)}) & set(modules) - {module}
    return graph


def imports(tree: ast.Module, *, everywhere: bool) -> Iterator[ast.Import | ast.ImportFrom]:
    nodes = ast.walk(tree) if everywhere else run_at_import(tree.body)
    yield from (node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom))


def run_at_import(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    for node in body:
        yield node
        if isinstance(node, ast.If):
            for_types = isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
            yield from run_at_import([*([] if for_types else node.body), *node.orelse])
        elif isinstance(node, ast.Try):
            yield from run_at_import(node.body)


def imported_names(node: ast.Import | ast.ImportFrom, modules: set[str]) -> set[str]:
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    names = {f"{node.module}.{alias.name}" for alias in node.names}
    return {name if name in modules else str(node.module) for name in names}


def parents(module: str) -> list[str]:
    """The packages that a module is in, which Python imports before it."""
    parts = module.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts))]


def circles(graph: dict[str, set[str]]) -> list[set[str]]:
    """The sets of modules each of which imports all others of its set, directly or through others."""
    reach = {module: reachable(graph, module) for module in graph}
    found: list[set[str]] = []
    for module in graph:
        circle = {other for other in reach[module] if module in reach[other]}
        if circle and circle not in found:
            found.append(circle)
    return found


def reachable(graph: dict[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        new = graph[waiting.pop()] - seen
        seen |= new
        waiting += new
    return seen


def test_circles_are_found_whatever_their_length() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set(), "e": {"a", "d"}}
    assert circles(graph) == [{"b", "c"}]


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


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Counted is what Python runs to import a module: not what type checkers alone read."""
    assert circles(import_graph(everywhere=False)) == []


def test_nor_by_what_only_type_checkers_read_or_a_function_imports_when_it_is_called() -> None:
    assert circles(import_graph(everywhere=True)) == []


def test_no_file_is_two() -> None:
    long = {str(file.relative_to(PACKAGE)): len(file.read_text().splitlines()) for file in FILES}
    assert {file: lines for file, lines in long.items() if lines > 420} == {}
