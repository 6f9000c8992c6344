"""The smallest edit of one key of a service's lvs section, and the proof that it changes nothing else."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from ferryman.catalog.yaml_edit import block, flow
from ferryman.catalog.yaml_edit.block import NoMinimalEdit
from ferryman.catalog.yaml_edit.splice import Splice, line_number, spliced, without_lines
from ferryman.catalog.yaml_edit.tree import Alias, Mapping, Node, Pair, Sequence, everything_in, read_tree
from ferryman.errors import InventoryError
from ferryman.inventory.document import CATALOG_KEY, Document, Unreadable
from ferryman.inventory.problems import dotted
from ferryman.inventory.unchanged import difference
from ferryman.inventory.yaml_errors import parse_whole
from ferryman.inventory.yaml_nodes import merged

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ferryman.inventory.problems import KeyPath

NULLS = ("~", "null", "Null", "NULL")
"""How nothing is written, where it is written at all."""
_NO_WAY = "the way it is written has no small edit"


def refusal(document: Document, keys: KeyPath, message: str) -> InventoryError:
    """The error that says what keeps a service from being edited, and where."""
    return InventoryError([str(document.problem(keys, message))])


class Edit(ABC):
    """The way to one key of a service's lvs section in the text, and the smallest edit of it."""

    def __init__(self, text: str, document: Document, service: str, key: str) -> None:
        self.text = document.text
        """What was read; the same as the original, place by place, wherever an edit may be made."""
        self._original = text
        self.document = document
        self.service = service
        self.key = key
        self.keys: KeyPath = (CATALOG_KEY, service, "lvs")
        self.tree = read_tree(self.text)
        self.catalog = self._below(self.tree, CATALOG_KEY, (CATALOG_KEY,))
        self.entry = self._below(self.catalog, service, self.keys[:2])
        self.lvs = self._below(self.entry, "lvs", self.keys)
        self.pair = next(iter(self.lvs.named(key)), None)

    @abstractmethod
    def says(self, lvs: dict[str, Any], wanted: object) -> bool:
        """Whether the section, as it was read again, says what is wanted."""

    def _below(self, node: Node, key: str, keys: KeyPath) -> Mapping:
        """The mapping under a key, when it is written there and not somewhere else."""
        own = node.named(key) if isinstance(node, Mapping) else []
        value = own[0].value if own else None
        if isinstance(value, Mapping):
            return value
        how = f"is an alias (*{value.name})" if isinstance(value, Alias) else "comes through a merge key (<<)"
        hand = f"write out {key} of {self.service} there by hand, then run again"
        raise refusal(self.document, keys, f"{how}, so that others would change with it; {hand}")

    def _smallest(self, ways: Iterable[list[Splice]], wanted: object) -> str:
        """The text after the first of these ways that does what is wanted and nothing else.

        Raises:
            InventoryError: There is none.
        """
        objection = ""
        try:
            for way in ways:
                after = spliced(self.text, way)
                objection = self._objection(after, wanted)
                if not objection:
                    return spliced(self._original, way)
        except NoMinimalEdit as reason:
            objection = objection or str(reason)
        hand = f"edit {self.key} of {self.service} by hand"
        raise refusal(self.document, (*self.keys, self.key), f"not edited: {objection or _NO_WAY}; {hand}")

    def _without(self, pair: Pair) -> Iterator[list[Splice]]:
        """Without the key, unless a comment would go with it."""
        if "#" in self.text[pair.start : pair.end] and not _block_list(pair.value):
            return
        if not self.lvs.flow:
            lines = block.pair_lines(self.text, pair) if len(self.lvs.pairs) > 1 else None
            yield from [without_lines(self.text, lines)] if lines else []
        elif not flow.line_comment(self.text, pair.end):
            yield flow.without_element(self.text, self.lvs, self.lvs.pairs.index(pair))

    def _inherited(self) -> bool:
        """Whether there would still be such a key without this one, through a merge key."""
        return any(key.value == self.key for key, _ in merged(self.document.node(self.keys)))

    def _objection(self, after: str, wanted: object) -> str:
        """What the edited text says beyond what is wanted; empty when it says that alone."""
        try:
            read = Document(self.document.name, after, parse_whole(after, self.document.name))
            other = difference(self.document.root, read.root, around=self.keys, but=self.key)
            lvs = read.value(read.node(self.keys))
        except Unreadable as error:
            return f"the result would not be readable ({error})"
        if other is not None:
            return f"{dotted(other[1:]) or 'the file'} would change with it{self._sharing()}"
        if shared := self._shared_with_unread():
            return f"{shared} is used where the file cannot be read"
        return "" if self.says(lvs, wanted) else _NO_WAY

    def _sharing(self) -> str:
        """Which anchor on the way to the key is used elsewhere."""
        anchors = self._anchors()
        for node in everything_in(self.tree):
            if isinstance(node, Alias) and node.name in anchors:
                here, there = (line_number(self.text, place.start) for place in (anchors[node.name], node))
                return f" (&{node.name} of line {here} is used on line {there})"
        return ""

    def _shared_with_unread(self) -> str:
        """An anchor on the way to the key that a part which cannot be read uses; empty when there is none."""
        used = [name for name in self._anchors() for cut in self.document.cuts if f"*{name}" in cut.text]
        return f"&{used[0]}" if used else ""

    def _anchors(self) -> dict[str, Node]:
        """The anchors on the way to the key, by name."""
        on_the_way: list[Node] = [self.catalog, self.entry, self.lvs]
        on_the_way += [self.pair.value] if self.pair is not None else []
        return {node.anchor: node for node in on_the_way if node.anchor}


def _block_list(value: Node) -> bool:
    return isinstance(value, Sequence) and not value.flow
