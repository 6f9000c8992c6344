"""One thing wrong with the inventory: where it is, what is there, what was expected."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Severity = Literal["error", "warn"]
KeyPath = tuple[str | int, ...]

CATALOG_KEY = "service::catalog"
_LONGEST_SHOWN = 60


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One line for people; problems sort by file, then by line.

    >>> str(Problem("services.yaml", 812, "web: port", "is 0, expected a port number, 1 to 65535"))
    'services.yaml:812: web: port: is 0, expected a port number, 1 to 65535'
    """

    file: str
    """Relative to the inventory's folder."""
    line: int
    """Counted from 1; 0 when the problem is the file itself."""
    where: str
    """The key path, empty when there is none."""
    message: str
    severity: Severity = "error"

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return ": ".join(part for part in (place, self.where, self.message) if part)


def errors_of(problems: Iterable[Problem]) -> list[Problem]:
    """The problems that stop a run, in order, each once."""
    return sorted({problem for problem in problems if problem.severity == "error"})


def dotted(path: KeyPath) -> str:
    """A key path as people write it: the entry, a colon, and the way inside it.

    >>> dotted(("web", "probes", 0, "path"))
    'web: probes[0].path'
    """
    if not path:
        return ""
    inside = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path[1:])
    return f"{path[0]}: {inside.lstrip('.')}" if inside else str(path[0])


def where(path: KeyPath) -> str:
    """A key path in a file for people; that a service stands in the service catalog goes without saying.

    >>> where((CATALOG_KEY, "web", "port")), where((CATALOG_KEY,))
    ('web: port', 'service::catalog')
    """
    return dotted(path[1:] if path and path[0] == CATALOG_KEY and len(path) > 1 else path)


def shown(value: object) -> str:
    """What is there, short, in the file's own words.

    >>> shown(True), shown(None), shown("x"), shown([1, 2]), shown({"a": 1})
    ('true', 'empty', "'x'", 'the list [1, 2]', 'a mapping')
    """
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a mapping"
    text = repr(value)
    text = text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 3]}..."
    return f"the list {text}" if isinstance(value, list) else text


def nearest(word: str, known: Iterable[str]) -> str:
    """«did you mean …», or what there is when nothing is near.

    >>> nearest("wbe", ["web", "maps"]), nearest("x", ["web", "maps"]), nearest("x", [])
    ('did you mean web?', 'there is web, maps', 'there is none')
    """
    names = [str(name) for name in known]
    close = similar(word, names)
    if close:
        return f"did you mean {' or '.join(close)}?"
    return f"there is {_some(names)}" if names else "there is none"


def similar(word: str, known: Iterable[str]) -> list[str]:
    """Names that may have been meant, the nearest first."""
    return difflib.get_close_matches(word, list(known), n=3, cutoff=0.6)


def _some(names: Sequence[str], most: int = 12) -> str:
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
