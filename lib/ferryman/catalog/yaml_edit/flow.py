"""Putting an element into ``[…]`` or ``{…}`` and taking one out, in the way its neighbours are written.

Two layouts are told apart: an element on a line of its own, which comes and goes with its line, and elements
side by side. A comment between elements always stays.
"""

from __future__ import annotations

import re

from ferryman.catalog.yaml_edit.splice import (
    Splice,
    lead,
    line_break_at,
    line_end,
    line_start,
    rest,
    without_lines,
)
from ferryman.catalog.yaml_edit.tree import Element, Mapping, Sequence

_OWN_LINE_REST = re.compile(r"[ \t]*(?P<comma>,)?[ \t]*(?P<comment>#.*)?")
_COMMENT = re.compile(r"#[^\n\r]*")


def elements_of(collection: Sequence | Mapping) -> list[Element]:
    """The items of a list, or the pairs of a mapping."""
    return list(collection.items if isinstance(collection, Sequence) else collection.pairs)


def with_element(
    text: str, collection: Sequence | Mapping, new: str, index: int | None = None
) -> list[Splice]:
    """Put ``new`` before the element at ``index``, or behind the last one."""
    elements = elements_of(collection)
    if not elements:
        comment = text[collection.inside] == "#"
        return [Splice(collection.inside, collection.inside, f"{new} " if comment else new)]
    if index is not None and index < len(elements):
        return _before(text, elements, index, new)
    last = elements[-1]
    if not on_own_line(text, elements, len(elements) - 1):
        return [Splice(last.end, last.end, _separator(text, elements) + new)]
    line = line_break_at(text, last.start) + lead(text, last.start) + new
    comma = _comma(text, last.end, collection.end - 1)
    end = line_end(text, last.end)
    if comma is not None:
        return [Splice(end, end, f"{line},")]
    if end == last.end:
        return [Splice(end, end, f",{line}")]
    return [Splice(last.end, last.end, ","), Splice(end, end, line)]


def _before(text: str, elements: list[Element], index: int, new: str) -> list[Splice]:
    """Above the element where it has a line of its own, else right before it."""
    place = elements[index].start
    if not on_own_line(text, elements, index):
        return [Splice(place, place, new + _separator(text, elements))]
    start = line_start(text, place)
    return [Splice(start, start, f"{lead(text, place)}{new},{line_break_at(text, place)}")]


def without_element(text: str, collection: Sequence | Mapping, index: int) -> list[Splice]:
    """Take out the element at ``index`` and the comma that it no longer needs."""
    elements = elements_of(collection)
    element, last = elements[index], index == len(elements) - 1
    if len(elements) == 1:
        return _without_only(text, collection, element)
    if on_own_line(text, elements, index):
        splices = without_lines(text, [(element.start, element.end)])
        if last and _comma(text, element.end, collection.end - 1) is None:
            splices += _without_comma(text, elements[index - 1].end, element.start)
        return splices
    start, end = (
        (elements[index - 1].end, element.start) if last else (element.end, elements[index + 1].start)
    )
    if "#" in text[start:end]:
        return [Splice(element.start, element.end), *_without_comma(text, start, end)]
    return [Splice(start, element.end) if last else Splice(element.start, end)]


def on_own_line(text: str, elements: list[Element], index: int) -> bool:
    """Whether nothing else stands on the element's line but its comma and a comment."""
    element = elements[index]
    found = _OWN_LINE_REST.fullmatch(rest(text, element.end))
    if lead(text, element.start).strip() or found is None:
        return False
    return bool(found["comma"]) or index == len(elements) - 1


def line_comment(text: str, place: int) -> bool:
    """Whether only a comment stands between ``place`` and the end of its line."""
    found = _OWN_LINE_REST.fullmatch(rest(text, place))
    return found is not None and found["comment"] is not None


def _without_only(text: str, collection: Sequence | Mapping, element: Element) -> list[Splice]:
    if on_own_line(text, [element], 0) and not line_comment(text, element.end):
        return without_lines(text, [(element.start, element.end)])
    return [Splice(element.start, element.end), *_without_comma(text, element.end, collection.end - 1)]


def _separator(text: str, elements: list[Element]) -> str:
    """What stands between the last two elements; a comma and a space when that is no model."""
    if len(elements) > 1:
        between = text[elements[-2].end : elements[-1].start]
        if "#" not in between:
            return between
    return ", "


def _comma(text: str, start: int, end: int) -> int | None:
    """Where the comma stands between two places that only spaces, commas and comments lie between."""
    bare = _COMMENT.sub(lambda found: " " * len(found.group()), text[start:end])
    place = bare.find(",")
    return None if place < 0 else start + place


def _without_comma(text: str, start: int, end: int) -> list[Splice]:
    comma = _comma(text, start, end)
    return [] if comma is None else [Splice(comma, comma + 1)]
