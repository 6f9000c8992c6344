"""Reading one YAML file so that every later complaint can name its line.

Anchors, aliases and merge keys are followed. What YAML itself would accept silently is reported: a key that
stands twice, bytes that are not UTF-8, a second document, an empty file. What is wrong in one entry of a file
stops nobody who needs another: of a text that is not YAML, the entries that are to blame are cut out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from ferryman.inventory.problems import CATALOG_KEY, KeyPath, Problem, Severity, shown, where
from ferryman.inventory.salvage import Cut, salvaged
from ferryman.inventory.yaml_errors import TooLarge, Unreadable, not_yaml, parse_whole, too_deep
from ferryman.inventory.yaml_nodes import Pair, is_null, pairs, step, value_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = [
    "CATALOG_KEY",
    "Cut",
    "Document",
    "Unreadable",
    "bytes_of",
    "decoded",
    "parse",
    "parse_mapping",
    "parse_text",
]

CATALOG_DEPTH = 2
"""How many keys lead to an entry of the service catalog."""


@dataclass(frozen=True, slots=True)
class Document:
    """A YAML file that could be read, or those of its entries that could, and where each key stands."""

    name: str
    """The file's name for people, relative to the inventory's folder."""
    text: str
    """What was read: the file's text, but for comments in place of what was cut, so that each place stays."""
    root: yaml.Node
    cuts: tuple[Cut, ...] = ()
    _indices: dict[int, dict[str, Pair]] = field(default_factory=dict, repr=False, compare=False)

    def line(self, path: KeyPath) -> int:
        """The line of the key or item that ``path`` leads to, or of the deepest part of it that is there."""
        return self._deepest(path)[1] + 1

    def node(self, path: KeyPath) -> yaml.Node:
        """What stands there, or at the deepest part of the path that is there."""
        return self._deepest(path)[0]

    def value(self, node: yaml.Node) -> Any:  # noqa: ANN401  # whatever stands there
        """A node as a value; raises ``Unreadable``."""
        try:
            return value_of(node)
        except yaml.MarkedYAMLError as error:
            raise Unreadable(not_yaml(error, self.text, self.name)) from error
        except RecursionError as error:
            raise Unreadable(too_deep(self.name)) from error

    def _deepest(self, path: KeyPath) -> tuple[yaml.Node, int]:
        node, line = self.root, self.root.start_mark.line
        for key in path:
            found = (
                self._children(node).get(str(key)) if isinstance(node, yaml.MappingNode) else step(node, key)
            )
            if found is None:
                break
            line, node = found[0].start_mark.line, found[1]
        return node, line

    def _children(self, node: yaml.Node) -> dict[str, Pair]:
        """A mapping's pairs by key; a thousand problems of a large one must not cost a search each."""
        if id(node) not in self._indices:
            self._indices[id(node)] = {str(pair[0].value): pair for pair in pairs(node)}
        return self._indices[id(node)]

    def problem(self, path: KeyPath, message: str, severity: Severity = "error") -> Problem:
        """A problem at a key path, with the line of its deepest part that is there."""
        return Problem(self.name, self.line(path), where(path), message, severity)

    def twice(self, found: Iterable[tuple[KeyPath, int, int]]) -> list[Problem]:
        """The problems of keys that stand twice, from what ``duplicates`` found."""
        return [
            Problem(self.name, line, where(path), f"stands twice, first on line {first}")
            for path, line, first in found
        ]

    def cuts_below(self, path: KeyPath) -> list[Cut]:
        """What was cut out below a path, or above it: that may have held it."""
        return [cut for cut in self.cuts if path[: len(cut.keys)] == cut.keys[: len(path)]]


def parse_mapping(content: bytes, name: str, depth: int) -> Document:
    """Read bytes whose top is a mapping, with entries at the end of ``depth`` keys; raises ``Unreadable``."""
    document = parse(content, name, depth)
    if isinstance(document.root, yaml.MappingNode):
        return document
    if is_null(document.root):
        raise Unreadable(Problem(name, 0, "", "is empty, expected a mapping; write {} when nothing is meant"))
    found = document.value(document.root)
    raise Unreadable(document.problem((), f"is {shown(found)}, expected a mapping"))


def parse(content: bytes, name: str, depth: int = CATALOG_DEPTH) -> Document:
    """The document in a file's bytes, with entries at the end of ``depth`` keys; raises ``Unreadable``."""
    return parse_text(decoded(content), name, depth)


def parse_text(text: str, name: str, depth: int = CATALOG_DEPTH) -> Document:
    """Parse text that has no byte order mark, without the entries that cannot be read.

    Raises:
        Unreadable: It cannot be said which entries those are; or none is left.
    """
    try:
        return Document(name, text, parse_whole(text, name))
    except TooLarge:
        raise
    except Unreadable as error:
        rest, cuts = salvaged(text, name, depth)
        if not cuts:
            raise
        try:
            root = parse_whole(rest, name)
        except Unreadable:
            raise error from None
        if isinstance(root, yaml.MappingNode):
            return Document(name, rest, root, tuple(cuts))
        raise Unreadable(*(cut.problem for cut in cuts)) from error


def decoded(content: bytes) -> str:
    """The text without a byte order mark; bytes that are not UTF-8 are kept as lone surrogates."""
    return content.decode("utf-8", "surrogateescape").removeprefix("\ufeff")


def bytes_of(path: Path, name: str) -> bytes:
    """The bytes of a file; raises ``Unreadable`` when it is missing or cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise Unreadable(Problem(name, 0, "", f"is missing, expected a file at {path}")) from error
    except IsADirectoryError as error:
        raise Unreadable(Problem(name, 0, "", "is a directory, expected a file")) from error
    except OSError as error:
        raise Unreadable(Problem(name, 0, "", f"cannot be read: {error.strerror}")) from error
