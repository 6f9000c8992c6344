"""Putting an element into ``[…]`` or ``{…}`` on one line and taking one out, as its neighbours are written.

No comment can stand inside such a collection: it would go on to the end of the line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.catalog.yaml_edit.splice import Splice
from ferryman.catalog.yaml_edit.tree import MapNode, SeqNode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ferryman.catalog.yaml_edit.tree import Element


def elements_of(collection: SeqNode | MapNode) -> Sequence[Element]:
    """The items of a list, or the pairs of a mapping."""
    return collection.items if isinstance(collection, SeqNode) else collection.pairs


def with_element(text: str, collection: SeqNode | MapNode, new: str, index: int | None = None) -> Splice:
    """Put ``new`` before the element at ``index``, or behind the last one."""
    elements = elements_of(collection)
    if not elements:
        return Splice(collection.inside, collection.inside, new)
    separator = text[elements[-2].end : elements[-1].start] if len(elements) > 1 else ", "
    if index is not None and index < len(elements):
        return Splice(elements[index].start, elements[index].start, new + separator)
    return Splice(elements[-1].end, elements[-1].end, separator + new)


def without_element(collection: SeqNode | MapNode, index: int) -> Splice:
    """Take out the element at ``index``, with the comma that it no longer needs."""
    elements = elements_of(collection)
    if len(elements) == 1:
        return Splice(collection.inside, collection.end - 1)
    if index == len(elements) - 1:
        return Splice(elements[index - 1].end, elements[index].end)
    return Splice(elements[index].start, elements[index + 1].start)
