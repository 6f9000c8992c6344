"""The lines of an ssh_config file, with those of the files that it includes (ssh_config(5)).

Own code, for paramiko's reader runs commands (``Match exec``) while it reads, and knows no line numbers.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING

from ferryman.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BYTES = 1 << 20
MAX_DEPTH = 16
"""Files that may include each other, as ssh has it."""
MAX_FILES = 256
"""Files that are read in all; a file may include itself many times over."""
_KEYWORD = re.compile(r"[ \t]*([^ \t=]+)(?:[ \t]*=[ \t]*|[ \t]+|$)(.*)")


@dataclass(frozen=True, slots=True)
class Line:
    """A keyword with its arguments, and where it stands."""

    path: Path
    number: int
    keyword: str
    """In lower case."""
    written: str
    """The keyword as it is written."""
    arguments: tuple[str, ...]
    fault: str = ""
    """Why the line cannot be understood; empty when it can."""
    included: tuple[Line, ...] = ()
    """The lines of the files that an ``Include`` names."""

    def __str__(self) -> str:
        return f"{self.path}:{self.number}: {self.written}"


def read(path: Path, *, required: bool) -> tuple[Line, ...]:
    """The lines of the file; none where it is not there and need not be.

    Raises:
        ConfigError: It, or a file that it includes, cannot be read, or others may write to it.
    """
    if not required and not path.exists():
        return ()
    return tuple(_Reader().lines(path))


class _Reader:
    def __init__(self) -> None:
        self._read = 0

    def lines(self, path: Path, depth: int = 0) -> Iterator[Line]:
        self._read += 1
        if depth > MAX_DEPTH or self._read > MAX_FILES:
            raise ConfigError(f"ssh.config: {path}: too many files that include each other")
        for number, text in enumerate(_text(path).splitlines(), start=1):
            line = parse(path, number, text)
            if line is None:
                continue
            if line.keyword == "include" and not line.fault:
                line = Line(
                    path,
                    number,
                    line.keyword,
                    line.written,
                    line.arguments,
                    included=tuple(
                        one for pattern in line.arguments for one in self._included(pattern, depth)
                    ),
                )
            yield line

    def _included(self, pattern: str, depth: int) -> Iterator[Line]:
        wide = os.path.expanduser(pattern)  # noqa: PTH111  # a pattern, no path yet
        if not os.path.isabs(wide):  # noqa: PTH117
            wide = str(Path("~/.ssh").expanduser() / wide)
        for found in sorted(glob(wide)):  # noqa: PTH207  # a pattern that may be absolute
            yield from self.lines(Path(found), depth + 1)


def parse(path: Path, number: int, text: str) -> Line | None:
    """The line as keyword and arguments; None when it is empty or a comment."""
    found = _KEYWORD.fullmatch(text.strip(" \t\r\f"))
    if found is None or found[1].startswith("#"):
        return None
    written = found[1].strip('"')
    if "\0" in text:
        return Line(path, number, written.lower(), written, (), fault="has a NUL byte")
    try:
        arguments = tuple(split(found[2]))
    except ValueError as error:
        return Line(path, number, written.lower(), written, (), fault=str(error))
    if not arguments:
        return Line(path, number, written.lower(), written, (), fault="has no argument")
    return Line(path, number, written.lower(), written, arguments)


def split(text: str) -> Iterator[str]:
    r"""The words of a line as ssh takes them apart: quotes of both kinds, ``\`` before a quote, comments.

    >>> list(split(r'a "b c" d\"e # f'))
    ['a', 'b c', 'd"e']
    """
    at = 0
    while at < len(text):
        if text[at] in " \t":
            at += 1
            continue
        if text[at] == "#":
            return
        word, at = _word(text, at)
        yield word


def _word(text: str, at: int) -> tuple[str, int]:
    word, quote = "", ""
    while at < len(text):
        here, following = text[at], text[at + 1 : at + 2]
        if here == "\\" and following and (following in "'\"\\" or (not quote and following == " ")):
            word += following
            at += 1
        elif not quote and here in " \t":
            break
        elif not quote and here in "'\"":
            quote = here
        elif here == quote:
            quote = ""
        else:
            word += here
        at += 1
    if quote:
        raise ValueError("a quote is not closed")
    return word, at


def _text(path: Path) -> str:
    """The file's text.

    Raises:
        ConfigError: It cannot be read, is too long, or is not the operator's (ssh has the same rule).
    """
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"ssh.config: {path}: {error.strerror}") from error
    if found.st_uid not in (0, os.geteuid()) or found.st_mode & 0o022:
        raise ConfigError(
            f"ssh.config: {path}: others may write to it; chmod go-w {path}, or ssh.config = false"
        )
    if len(content) > MAX_BYTES:
        raise ConfigError(f"ssh.config: {path}: longer than {MAX_BYTES} bytes")
    return content.decode("utf-8", "surrogateescape")
