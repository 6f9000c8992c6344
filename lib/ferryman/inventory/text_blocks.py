"""A YAML text taken apart by its lines, without being parsed: which lines are one entry's?

An entry begins with a line that has a key and is indented as its first neighbour is, and ends before the next
such line. Every other line belongs to the entry above it, so that what is wrong with the line is that entry's
fault: it may be a part of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ferryman.inventory.yaml_errors import LINE_BREAK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ferryman.inventory.problems import KeyPath

_HEADER = re.compile(
    r"""(?P<key>'(?:[^']|'')*'|"[^"\\]*"|"""
    r"""(?:[^\s'"\[\]{}#&*!|>%@`?,:-]|-[^\s#])(?:[^#:]|:(?=\S))*+)\s*:(?P<rest>\s.*)?""",
    re.DOTALL,
)
"""The first line of an entry, without its indent. Of a plain key nothing is given back: lines may be long."""
_NOTHING_MORE = re.compile(r"\s*(?:&[^\s]+\s*)?(?:#.*)?", re.DOTALL)
"""What stands behind the colon of a key whose value is on the lines below it."""
_MARKER = re.compile(r"(?:---|\.\.\.)(?:\s|$)|%")
"""What stands between documents and before them."""


@dataclass(slots=True)
class Block:
    """The lines of one key, with the blocks of the keys right below it."""

    keys: KeyPath
    first: int
    end: int
    """The line behind its last one."""
    is_open: bool
    """Whether its value is on the lines below the key: only then could more lines belong to it."""
    below: list[Block] = field(default_factory=list)

    @property
    def begins_clearly(self) -> bool:
        """Whether its first line is a name and a colon, and so no part of what stands above it."""
        return self.is_open and not re.search(r"\s", str(self.keys[-1]))

    def leaves(self) -> Iterator[Block]:
        """The innermost blocks of this one, which may be itself, in the order of the text."""
        if not self.below:
            yield self
        for block in self.below:
            yield from block.leaves()

    def text(self, lines: list[str]) -> str:
        """The text of its lines, with their line breaks."""
        return "".join(lines[self.first : self.end])


def lines_of(text: str) -> list[str]:
    """The lines with their ends, as YAML has them."""
    ends = [found.end() for found in LINE_BREAK.finditer(text)]
    starts = [0, *ends]
    return [text[start:end] for start, end in zip(starts, [*ends, len(text)], strict=True) if start < end]


def blocks_of(lines: list[str], depth: int, is_faulty: Callable[[Block], bool]) -> list[Block]:
    """The blocks at the top, each with those below it, down to the entries at the end of ``depth`` keys.

    A faulty block at the top that stands below one which holds entries may be a line that slipped out of an
    entry: it is taken for the end of that, so that the entries behind it are found all the same.
    """
    top: list[Block] = []
    for block in _split(lines, (), 0, len(lines), -1):
        if top and depth > 1 and top[-1].is_open and is_faulty(block):
            top[-1].end = block.end
        else:
            top.append(block)
    for block in top:
        _look_below(lines, block, depth, 0)
    return top


def _look_below(lines: list[str], block: Block, depth: int, indent: int) -> None:
    if depth > 1 and block.is_open:
        block.below = _split(lines, block.keys, block.first + 1, block.end, indent)
        for inside in block.below:
            _look_below(lines, inside, depth - 1, _indent(lines[inside.first]) or 0)


def _split(lines: list[str], keys: KeyPath, first: int, end: int, above: int) -> list[Block]:
    """The blocks between two lines, indented more than ``above``; none where no line begins one."""
    begun = [(index, indent) for index in range(first, end) if (indent := _indent(lines[index])) is not None]
    if not begun or begun[0][1] <= above:
        return []
    usual = begun[0][1]
    starts = [
        index
        for index, indent in begun
        if indent == usual and (index == begun[0][0] or _HEADER.fullmatch(lines[index].strip()))
    ]
    return [_block(lines, keys, start, last) for start, last in zip(starts, [*starts[1:], end], strict=True)]


def _block(lines: list[str], keys: KeyPath, first: int, end: int) -> Block:
    header = lines[first].strip()
    found = _HEADER.fullmatch(header)
    if found is None:
        return Block((*keys, header), first, end, is_open=True)
    is_open = _NOTHING_MORE.fullmatch(found["rest"] or "") is not None
    return Block((*keys, _unquoted(found["key"].rstrip())), first, end, is_open)


def _indent(line: str) -> int | None:
    """How far a line is indented; None where no key can begin."""
    bare = line.lstrip(" ")
    if not bare.strip() or bare.startswith(("#", "\t", "- ")) or bare.strip() == "-" or _MARKER.match(line):
        return None
    return len(line) - len(bare)


def _unquoted(key: str) -> str:
    if key[0] == "'":
        return key[1:-1].replace("''", "'")
    return key.strip('"')
