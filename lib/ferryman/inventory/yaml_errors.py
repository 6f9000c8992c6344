"""A text as YAML's nodes, or what keeps it from being YAML: which line, and what is wrong there."""

from __future__ import annotations

import re

import yaml

from ferryman.bounded_yaml import TooDeepError, TooMuchError, compose
from ferryman.inventory.problems import Problem
from ferryman.inventory.yaml_nodes import NULL_TAG

LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
"""What YAML 1.1 takes for the end of a line."""
NO_UTF8 = re.compile("[\udc80-\udcff]")
"""What stands in a text for a byte that is not UTF-8."""


class Unreadable(Exception):  # noqa: N818  # no error for callers: it carries problems to where they are listed
    """It cannot be read as YAML; carries what is wrong with it."""

    def __init__(self, *problems: Problem) -> None:
        self.problems = problems
        super().__init__("\n".join(map(str, problems)))


class TooLarge(Unreadable):
    """There is more of it than is read; no part of it is looked for."""


def parse_whole(text: str, name: str) -> yaml.Node:
    """The root of a text, an empty value when there is nothing in it; raises ``Unreadable``."""
    if (found := NO_UTF8.search(text)) is not None:
        raise Unreadable(no_utf8(text, found, name))
    try:
        return compose(text) or _nothing()
    except TooMuchError as error:
        raise TooLarge(not_yaml(error, text, name)) from error
    except yaml.MarkedYAMLError as error:
        raise Unreadable(not_yaml(error, text, name)) from error
    except yaml.reader.ReaderError as error:
        raise Unreadable(forbidden(error, text, name)) from error
    except RecursionError as error:
        raise Unreadable(too_deep(name)) from error


def no_utf8(text: str, found: re.Match[str], name: str, above: int = 0) -> Problem:
    """A byte that is not UTF-8, on a line of a text that has ``above`` lines above it in its file."""
    line = text.count("\n", 0, found.start()) + 1 + above
    bad = ord(found.group()) - 0xDC00
    return Problem(name, line, "", f"byte 0x{bad:02x} is not UTF-8; save the file as UTF-8")


def not_yaml(error: yaml.MarkedYAMLError, text: str, name: str, above: int = 0) -> Problem:
    """The problem that a loader found in a text that has ``above`` lines above it in its file."""
    mark = error.problem_mark or error.context_mark
    line = mark.line if mark else 0
    why = error.problem or str(error)
    if error.context:
        begun = error.context_mark.line + 1 if error.context_mark else line + 1
        why += f", {error.context} that begins on line {begun + above}"
    if "\t" in _line(text, line):
        why += "; there is a tab, YAML indents with spaces"
    why = why if isinstance(error, TooMuchError | TooDeepError) else f"is not YAML: {why}"
    return Problem(name, line + 1 + above, "", why)


def forbidden(error: yaml.reader.ReaderError, text: str, name: str, above: int = 0) -> Problem:
    """The problem of a character that YAML forbids."""
    line = text.encode("utf-8").count(b"\n", 0, error.position) + 1 + above
    message = f"has a character that YAML forbids, U+{_code(error.character):04X}; remove it"
    return Problem(name, line, "", message)


def too_deep(name: str) -> Problem:
    """The problem of a file that is nested too deeply for the loader."""
    return Problem(name, 0, "", "is nested too deeply to read")


def _nothing() -> yaml.Node:
    start = yaml.Mark("", 0, 0, 0, "", 0)
    return yaml.ScalarNode(NULL_TAG, "", start, start)


def _line(text: str, number: int) -> str:
    lines = LINE_BREAK.split(text)
    return lines[number] if number < len(lines) else ""


def _code(character: int | str | bytes) -> int:
    return character if isinstance(character, int) else ord(character)
