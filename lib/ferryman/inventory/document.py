"""Reading one YAML file so that every later complaint can name its line.

Anchors, aliases and merge keys are followed. What YAML itself would let pass in silence is refused here: a
key that stands twice, bytes that are not UTF-8, a second document, an empty file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from ferryman.inventory.problems import KeyPath, Problem, Severity, dotted, shown

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CATALOG_KEY = "service::catalog"
MERGE_TAG = "tag:yaml.org,2002:merge"
LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
"""What YAML 1.1 takes for the end of a line."""


class Unreadable(Exception):  # noqa: N818  # no error for callers: a parcel of problems on its way to the list
    """The file cannot be read as YAML; carries what is wrong with it."""

    def __init__(self, *problems: Problem) -> None:
        self.problems = problems
        super().__init__("\n".join(map(str, problems)))


@dataclass(frozen=True, slots=True)
class Document:
    """A YAML file that could be read: its data, and where each key of it stands."""

    name: str
    """The file's name for people, relative to the inventory's folder."""
    data: Any
    root: yaml.Node

    def line(self, path: KeyPath) -> int:
        """The line of the key or item that ``path`` leads to, or of the deepest part of it that is there."""
        return self._deepest(path)[1] + 1

    def node(self, path: KeyPath) -> yaml.Node:
        """What stands there, or at the deepest part of the path that is there; merge keys are merged."""
        return self._deepest(path)[0]

    def _deepest(self, path: KeyPath) -> tuple[yaml.Node, int]:
        node, line = self.root, self.root.start_mark.line
        for key in path:
            step = _step(node, key)
            if step is None:
                break
            node, line = step
        return node, line

    def problem(
        self, path: KeyPath, message: str, *, hidden: int = 0, severity: Severity = "error"
    ) -> Problem:
        """A problem at a key path, whose first ``hidden`` keys go without saying."""
        return Problem(self.name, self.line(path), dotted(path[hidden:]), message, severity)


def read(path: Path, name: str) -> Document:
    """Read a file whose top is a mapping.

    Raises:
        Unreadable: It cannot be read, or is no YAML mapping; with every problem found.
    """
    document = parse(_bytes(path, name), name)
    if document.data is None:
        raise Unreadable(Problem(name, 0, "", "is empty, expected a mapping; write {} when nothing is meant"))
    if not isinstance(document.data, dict):
        raise Unreadable(document.problem((), f"is {shown(document.data)}, expected a mapping"))
    return document


def parse(content: bytes, name: str) -> Document:
    """Parse bytes; raises ``Unreadable``."""
    return parse_text(decoded(content, name), name)


def parse_text(text: str, name: str) -> Document:
    """Parse text that has no byte order mark; raises ``Unreadable``."""
    try:
        return _parsed(yaml.CSafeLoader, text, name)
    except (ValueError, AttributeError):
        # A date or a number that is none: only the slower loader can say where.
        return _parsed(_LoaderWithPlaces, text, name)


def _parsed(kind: type[yaml.CSafeLoader], text: str, name: str) -> Document:
    try:
        loader = kind(text)
    except yaml.reader.ReaderError as error:
        raise Unreadable(_forbidden(error, text, name)) from error
    try:
        root = loader.get_single_node()
        if root is None:
            return Document(name, None, _nothing())
        twice = tuple(_twice(root, name))
        if twice:
            raise Unreadable(*twice)
        return Document(name, loader.construct_document(root), root)
    except yaml.MarkedYAMLError as error:
        raise Unreadable(_marked(error, text, name)) from error
    except yaml.reader.ReaderError as error:
        raise Unreadable(_forbidden(error, text, name)) from error
    except RecursionError as error:
        raise Unreadable(Problem(name, 0, "", "is nested too deeply to read")) from error
    finally:
        loader.dispose()


def decoded(content: bytes, name: str) -> str:
    """The text without a byte order mark; raises ``Unreadable`` when it is not UTF-8."""
    try:
        return content.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        bad = content[error.start]
        message = f"byte 0x{bad:02x} is not UTF-8; save the file as UTF-8"
        raise Unreadable(Problem(name, line, "", message)) from error


def _nothing() -> yaml.Node:
    start = yaml.Mark("", 0, 0, 0, "", 0)
    return yaml.ScalarNode("tag:yaml.org,2002:null", "", start, start)


class _LoaderWithPlaces(yaml.CSafeLoader):
    """The safe loader, with a line for values that look like a date or a number and are none."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> object:
        try:
            return super().construct_object(node, deep)
        except (ValueError, AttributeError) as error:
            message = f"{shown(node.value)} cannot be read as the value it looks like ({error}); quote it"
            raise yaml.constructor.ConstructorError(None, None, message, node.start_mark) from error


def _bytes(path: Path, name: str) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise Unreadable(Problem(name, 0, "", f"is missing, expected a file at {path}")) from error
    except IsADirectoryError as error:
        raise Unreadable(Problem(name, 0, "", "is a directory, expected a file")) from error
    except OSError as error:
        raise Unreadable(Problem(name, 0, "", f"cannot be read: {error.strerror}")) from error


def _step(node: yaml.Node, key: str | int) -> tuple[yaml.Node, int] | None:
    if isinstance(node, yaml.MappingNode):
        # Merged pairs come first once the data is made, so that the last one found is the one that counts.
        for found, value in reversed(node.value):
            if found.value == str(key):
                return value, found.start_mark.line
    if isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
        item = node.value[key]
        return item, item.start_mark.line
    return None


def _twice(root: yaml.Node, name: str) -> Iterator[Problem]:
    """Every key that stands twice in one mapping: YAML would silently keep the last."""
    seen: set[int] = set()
    todo: list[tuple[KeyPath, yaml.Node]] = [((), root)]
    while todo:
        path, node = todo.pop()
        if id(node) in seen or isinstance(node, yaml.ScalarNode):
            continue
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            yield from _repeated(node, path, name)
            todo += [((*path, str(key.value)), value) for key, value in node.value]
        else:
            todo += [((*path, index), item) for index, item in enumerate(node.value)]


def _repeated(node: yaml.MappingNode, path: KeyPath, name: str) -> Iterator[Problem]:
    first: dict[tuple[str, str], int] = {}
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.tag == MERGE_TAG:
            continue
        named, line = (key.tag, key.value), key.start_mark.line + 1
        if named in first:
            yield Problem(
                name, line, _where((*path, key.value)), f"stands twice, first on line {first[named]}"
            )
        else:
            first[named] = line


def _where(path: KeyPath) -> str:
    return dotted(path[1:] if path[0] == CATALOG_KEY and len(path) > 1 else path)


def _marked(error: yaml.MarkedYAMLError, text: str, name: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    line = mark.line if mark else 0
    why = error.problem or str(error)
    if error.context:
        begun = error.context_mark.line + 1 if error.context_mark else line + 1
        why += f", {error.context} that begins on line {begun}"
    if "\t" in _line(text, line):
        why += "; there is a tab, YAML indents with spaces"
    return Problem(name, line + 1, "", f"is not YAML: {why}")


def _line(text: str, number: int) -> str:
    lines = LINE_BREAK.split(text)
    return lines[number] if number < len(lines) else ""


def _forbidden(error: yaml.reader.ReaderError, text: str, name: str) -> Problem:
    line = text.encode("utf-8").count(b"\n", 0, error.position) + 1
    return Problem(
        name, line, "", f"has a character that YAML forbids, U+{_code(error.character):04X}; remove it"
    )


def _code(character: int | str | bytes) -> int:
    return character if isinstance(character, int) else ord(character)
