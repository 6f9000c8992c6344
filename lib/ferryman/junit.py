"""Results of a suite as JUnit XML, which CI systems show beside their own tests' results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from ferryman.printable import printable
from ferryman.whole_file import write_whole

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_FIRST_LINE = 300
"""Characters of a message that is shown in one line."""


@dataclass(frozen=True, slots=True)
class Result:
    """One tape or one scenario: how long it took, and what was different or kept it from being tried."""

    name: str
    seconds: float
    difference: str | None = None
    """How it went otherwise than recorded or expected: a failure of JUnit's."""
    error: str | None = None
    """Why it could not be tried: an error of JUnit's."""
    output: str = ""
    """What more there is to read of it, line by line."""

    @property
    def passed(self) -> bool:
        """Whether it was tried and all was equal."""
        return self.difference is None and self.error is None


def xml_of(suite: str, results: Sequence[Result]) -> bytes:
    """The results as a document in the form that Jenkins and GitLab read."""
    root = ET.Element("testsuites")
    counted = {
        "name": _text(suite),
        "tests": str(len(results)),
        "failures": str(sum(result.error is None and not result.passed for result in results)),
        "errors": str(sum(result.error is not None for result in results)),
        "skipped": "0",
        "time": f"{sum(result.seconds for result in results):.3f}",
    }
    cases = ET.SubElement(root, "testsuite", counted)
    for result in results:
        given = {"classname": _text(suite), "name": _text(result.name), "time": f"{result.seconds:.3f}"}
        case = ET.SubElement(cases, "testcase", given)
        if result.error is not None:
            _add(case, "error", result.error)
        elif result.difference is not None:
            _add(case, "failure", result.difference)
        if result.output:
            ET.SubElement(case, "system-out").text = _text(result.output)
    ET.indent(root)
    whole: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return whole + b"\n"


def write_junit(path: Path, suite: str, results: Sequence[Result]) -> None:
    """Write the results into a file, whole or not at all.

    Raises:
        OSError: It could not be written.
    """
    write_whole(path, xml_of(suite, results), mode=0o644)  # CI systems read it as another user


def _add(case: ET.Element, kind: str, text: str) -> None:
    first = text.strip().partition("\n")[0][:_FIRST_LINE]
    ET.SubElement(case, kind, {"message": _text(first)}).text = _text(text)


def _text(text: str) -> str:
    """The text with what does not print as Python writes it; XML could not even say most of it."""
    return printable(text)
