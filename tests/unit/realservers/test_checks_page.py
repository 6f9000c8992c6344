"""docs/checks.md has a line for each check, and each check gives its own id alone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ferryman.model import Kind, MssStrategy, Realserver
from ferryman.realservers.checks import CHECKS
from ferryman.realservers.facts.parse import parse

if TYPE_CHECKING:
    from collections.abc import Callable

    from ferryman.model import Service

PAGE = Path(__file__).parents[3] / "docs" / "checks.md"
ANSWERS = sorted(path.stem for path in (Path(__file__).parent / "cases").glob("*-*.txt"))
REACHABLE = "reachable"
"""What is said of a host that could not be asked; no check gives it."""


def ids_in(text: str) -> list[str]:
    return [
        name
        for line in re.findall(r"^\| (`.+?`) \|", text, re.MULTILINE)
        for name in re.findall(r"`([\w-]+)`", line)
    ]


def test_the_page_has_a_line_for_each_check_in_their_order() -> None:
    of_realservers, *_ = PAGE.read_text().split("\n## ")
    assert ids_in(of_realservers) == [*CHECKS, REACHABLE]


def test_no_check_has_two_lines() -> None:
    known = ids_in(PAGE.read_text())
    assert len(known) == len(set(known))


@pytest.mark.parametrize("line", [line for line in PAGE.read_text().splitlines() if line.startswith("| `")])
def test_each_line_says_what_is_read_the_rule_a_source_a_remedy_and_what_blocks(line: str) -> None:
    cells = [cell.strip() for cell in line.strip("|").split(" | ")]
    assert len(cells) == 6
    assert all(cells)
    assert re.search(r"\b(fail|warn|unknown)\b", cells[-1])


@pytest.mark.parametrize("name", CHECKS)
def test_each_check_has_its_rule_and_its_source_in_its_docstring(name: str) -> None:
    rule = CHECKS[name].__doc__ or ""
    assert re.search(r"Source|[Mm]easured|CVE", rule)


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("answer", ANSWERS)
def test_a_check_gives_findings_of_its_own_id_alone(
    answer: str, kind: Kind, case: Callable[[str], str], service_of: Callable[..., Service]
) -> None:
    facts = parse("rs1", case(answer))
    realserver = Realserver("rs1", kind, None, None, mss=MssStrategy.POD_MTU)
    for service in (service_of("10.99.0.1:80", "fd99::1:80"), service_of("10.99.0.1:53", protocol="udp")):
        for name, check in CHECKS.items():
            assert {finding.check for finding in check(service, realserver, facts)} <= {name}
