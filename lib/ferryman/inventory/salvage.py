"""Of a text that is not YAML, the entries that can be read all the same.

Each entry is parsed alone. Those that cannot be, or that use an anchor that is not there, are replaced by
comments of the same length, so that every other place stays the same. This is done only to a text that
does not parse as a whole, and what is left must parse as a whole then.

No entry may be read cut short: where the line behind it is faulty and may be a part of it, it is cut out too.
No entries are found in a mapping in flow style (``{…}``). A line of a text in quotes that looks as an entry's
first line does is taken for one; the text around it cannot be read then.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import yaml

from ferryman.bounded_yaml import events
from ferryman.inventory.problems import KeyPath, Problem, where
from ferryman.inventory.text_blocks import Block, blocks_of, lines_of
from ferryman.inventory.yaml_errors import LINE_BREAK, NO_UTF8, forbidden, no_utf8, not_yaml

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Cut:
    """An entry that cannot be read, though others of its file can."""

    keys: KeyPath
    """Where it stands, as far as its first line says so."""
    problem: Problem
    text: str

    def mentions(self, name: str) -> bool:
        """Whether a name stands in it, so that it could be the entry that was meant."""
        return bool(re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", self.text))


def salvaged(text: str, name: str, depth: int) -> tuple[str, list[Cut]]:
    """The text without the entries that cannot be read, and those; ``depth`` keys lead to an entry."""
    lines = lines_of(text)
    top = blocks_of(lines, depth, lambda block: _fault(lines, block, name) is not None)
    blocks = [leaf for block in top for leaf in block.leaves()]
    found = {index: problem for index, block in enumerate(blocks) if (problem := _fault(lines, block, name))}
    faults = {blocks[index].first: problem for index, problem in found.items()}
    short = _cut_short(top, faults)
    found = {
        index: problem
        for index, block in enumerate(blocks)
        if (problem := found.get(index) or short.get(block.first))
    }
    _add_lost_anchors(lines, blocks, found, name)
    cuts = [
        Cut(block.keys, replace(problem, where=where(block.keys)), block.text(lines))
        for index, problem in sorted(found.items())
        for block in (blocks[index],)
    ]
    return _without(lines, [blocks[index] for index in found]), cuts


def _cut_short(siblings: list[Block], faults: dict[int, Problem]) -> dict[int, Problem]:
    """By first line, the entries that a faulty line behind them may belong to, with what is wrong there."""
    found: dict[int, Problem] = {}
    for block, following in pairwise(siblings):
        fault = faults.get(following.first) if not following.begins_clearly else None
        if fault is not None and block.is_open:
            found |= {leaf.first: fault for leaf in block.leaves()}
    for block in siblings:
        found |= _cut_short(block.below, faults)
    return found


def _fault(lines: list[str], block: Block, name: str) -> Problem | None:
    """What keeps a block from being parsed alone."""
    text = block.text(lines)
    if (byte := NO_UTF8.search(text)) is not None:
        return no_utf8(text, byte, name, block.first)
    try:
        for _ in events(text):
            pass
    except yaml.MarkedYAMLError as error:
        return not_yaml(error, text, name, block.first)
    except yaml.reader.ReaderError as error:
        return forbidden(error, text, name, block.first)
    return None


def _add_lost_anchors(lines: list[str], blocks: list[Block], found: dict[int, Problem], name: str) -> None:
    """Find the blocks that use an anchor which is not there, or not there any more; and so on with theirs."""
    while True:
        lost = dict(_lost(lines, blocks, found, name))
        if not lost:
            return
        found |= lost


def _lost(
    lines: list[str], blocks: list[Block], found: dict[int, Problem], name: str
) -> Iterator[tuple[int, Problem]]:
    rest, firsts = _without(lines, [blocks[index] for index in found]), [block.first for block in blocks]
    if NO_UTF8.search(rest):
        return  # above all entries; whoever reads what is left gets that error
    known: set[str] = set()
    doubtful: set[str] = set()
    try:
        for event in events(rest):
            if not isinstance(event, yaml.NodeEvent) or not event.anchor or event.start_mark is None:
                continue
            line, alias = event.start_mark.line, isinstance(event, yaml.AliasEvent)
            if alias == (event.anchor in known) and event.anchor not in doubtful:
                known.add(event.anchor)
                continue
            if not alias:
                doubtful.add(event.anchor)  # what follows may have meant this one
            index = bisect_right(firsts, line) - 1
            if index >= 0 and line < blocks[index].end:
                what = "duplicate anchor" if event.anchor in doubtful else "undefined alias"
                yield index, Problem(name, line + 1, "", f"is not YAML: found {what} {event.anchor!r}")
    except (yaml.MarkedYAMLError, yaml.reader.ReaderError):
        return  # as above


def _without(lines: list[str], blocks: list[Block]) -> str:
    """The text with comments in place of these blocks, every place as it was."""
    kept = list(lines)
    for block in blocks:
        for index in range(block.first, block.end):
            content = LINE_BREAK.sub("", kept[index])
            ends = kept[index][len(content) :]
            kept[index] = f"{'#'.ljust(len(content))}{ends}" if content else ends
    return "".join(kept)
