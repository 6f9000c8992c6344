"""The answer to the facts script in its parts, and what is made of a part that is garbled."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from ferryman.realservers.facts.values import Unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")

HEADER = "ferryman-facts"
"""Begins the answer, before its token."""

GARBLED = (
    *(ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError, StopIteration),
    PermissionError,
)
"""What a parser raises at text that is not what it should be, or that the host did not let be read."""
LONGEST_COMPLAINT = 300
"""Characters of a complaint that are kept; a usage text has thousands."""


@dataclass(frozen=True, slots=True)
class Section:
    """What one part of the script printed."""

    text: str
    status: int
    complaint: str
    """What it said on standard error, as far as people read it."""
    said: str = ""
    """All of that."""

    @property
    def whole(self) -> str:
        """What it printed, and then what it complained of."""
        return f"{self.text}\n{self.said}"


def sections_of(text: str) -> Mapping[str, Section]:
    """The parts of the answer; whatever stands before the header (a greeting) is passed over."""
    header = re.search(rf"^{HEADER} (@@[0-9a-f]+)$", text, re.MULTILINE)
    if header is None:
        return {}
    token = re.escape(header[1])
    begin, end = rf"^{token} begin (?P<name>\w+)\n", rf"^{token} end (?P=name) (?P<status>\d+)$"
    part = re.compile(rf"{begin}(?P<text>.*?)\n?{end}", re.MULTILINE | re.DOTALL)
    complained = re.compile(rf"^{token} stderr (\w+)\n(.*?)(?=^{token} |\Z)", re.MULTILINE | re.DOTALL)
    complaints = dict(complained.findall(text))
    return {
        found["name"]: Section(found["text"], int(found["status"]), shortened(said), said)
        for found in part.finditer(text, header.end())
        for said in (complaints.get(found["name"], ""),)
    }


def shortened(complaint: str) -> str:
    """A complaint on one line, cut where it is longer than anybody reads."""
    line = " ".join(complaint.split())
    return line if len(line) <= LONGEST_COMPLAINT else f"{line[:LONGEST_COMPLAINT]} …"


def tried(name: str, complaint: str, understand: Callable[[], T]) -> T | Unknown:
    """What the part says, or what it complained of when nothing can be made of it."""
    try:
        return understand()
    except GARBLED as error:
        return Unknown(f"{name}: {complaint or f'{type(error).__name__}: {error}'}")
