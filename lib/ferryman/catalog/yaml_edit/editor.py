"""The smallest edit of one key of a service's lvs section, and the proof that it changes nothing else."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from ferryman.catalog.yaml_edit import block, flow
from ferryman.catalog.yaml_edit.block import ListStyle, NoMinimalEdit
from ferryman.catalog.yaml_edit.splice import (
    Splice,
    line_end,
    line_number,
    line_start,
    spliced,
    without_lines,
)
from ferryman.catalog.yaml_edit.tree import (
    AliasNode,
    MapNode,
    Node,
    Pair,
    SeqNode,
    everything_in,
    last_place,
    read_tree,
)
from ferryman.errors import InventoryError
from ferryman.inventory.document import CATALOG_KEY, Document, Unreadable
from ferryman.inventory.problems import dotted
from ferryman.inventory.unchanged import difference
from ferryman.inventory.yaml_errors import parse_whole
from ferryman.inventory.yaml_nodes import merged

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ferryman.inventory.problems import KeyPath

Value = str | list[str] | None
"""A value as a catalog writes it; None: the key is not there."""
NULLS = ("~", "null", "Null", "NULL")
"""How nothing is written, where it is written at all."""
_NO_EDIT = "the way it is written has no small edit"


def edit_error(document: Document, keys: KeyPath, message: str) -> InventoryError:
    """The error that says what keeps a service from being edited, with file, line and key path."""
    return InventoryError([str(document.problem(keys, message))])


class KeyEditor(ABC):
    """One key of a service's lvs section in the text, found, and its smallest edit."""

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

    def _below(self, node: Node, key: str, keys: KeyPath) -> MapNode:
        """The mapping under a key, when it is written there and not somewhere else."""
        own = node.named(key) if isinstance(node, MapNode) else []
        value = own[0].value if own else None
        if isinstance(value, MapNode):
            return value
        how = (
            f"is an alias (*{value.name})"
            if isinstance(value, AliasNode)
            else "comes through a merge key (<<)"
        )
        hand = f"write out {key} of {self.service} there by hand, then run again"
        raise edit_error(self.document, keys, f"{how}, so that others would change with it; {hand}")

    def _smallest(self, candidates: Iterable[list[Splice]], wanted: Value) -> str:
        """The text after the first of these edits that does what is wanted and nothing else.

        Raises:
            InventoryError: There is none; says which edit to make by hand.
        """
        to = "" if wanted is None else f" to {self._hand_written(wanted)}"
        hand = f"{'set' if to else 'remove'} lvs.{self.key} of {self.service}{to} by hand"
        self._require_supported_layout(hand)
        objection = ""
        try:
            for splices in candidates:
                after = spliced(self.text, splices)
                objection = self._objection(after, wanted)
                if not objection:
                    return spliced(self._original, splices)
        except NoMinimalEdit as reason:
            objection = objection or str(reason)
        raise edit_error(
            self.document, (*self.keys, self.key), f"not edited: {objection or _NO_EDIT}; {hand}"
        )

    @staticmethod
    def _hand_written(value: str | list[str]) -> str:
        return block.written(value, "") if isinstance(value, str) else block.flow_list(value, ListStyle())

    def _require_supported_layout(self, hand: str) -> None:
        """Refuse layouts that nobody writes by hand in a catalog: they would need many more ways to edit."""
        if isinstance(self.tree, MapNode) and self.tree.flow:
            raise edit_error(
                self.document, (), f"not edited: the whole file is one {{…}}, as JSON is; {hand}"
            )
        start, end = line_start(self.text, self.entry.start), line_end(self.text, last_place(self.entry))
        if "\r" in self.text[start:end]:
            message = (
                rf"not edited: its lines end in CR LF or CR, expected LF alone; sed -i 's/\r$//' "
                f"{self.document.name}, then run again, or {hand}"
            )
            raise edit_error(self.document, self.keys[:2], message)
        value = [((*self.keys, self.key), self.pair.value)] if self.pair is not None else []
        around = [
            (self.keys[:depth], node) for depth, node in enumerate((self.catalog, self.entry, self.lvs), 1)
        ]
        for keys, node in [*around, *value]:
            if isinstance(node, MapNode | SeqNode) and node.flow and "\n" in self.text[node.start : node.end]:
                first, last = (line_number(self.text, place) for place in (node.start, node.end))
                brackets = "{…}" if isinstance(node, MapNode) else "[…]"
                message = f"not edited: {brackets} on more than one line (lines {first} to {last}); {hand}"
                raise edit_error(self.document, keys, message)

    def _without(self, pair: Pair) -> Iterator[list[Splice]]:
        """Without the key, unless a comment would go with it."""
        if self.lvs.flow:
            yield [flow.without_element(self.lvs, self.lvs.pairs.index(pair))]
        elif len(self.lvs.pairs) > 1 and (lines := block.pair_lines(self.text, pair)):
            yield without_lines(self.text, lines)

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
        return "" if self.says(lvs, wanted) else _NO_EDIT

    def _sharing(self) -> str:
        """Which anchor above the key, or on its value, is used elsewhere, with both lines."""
        anchors = self._anchors()
        for node in everything_in(self.tree):
            if isinstance(node, AliasNode) and node.name in anchors:
                anchored, used = (line_number(self.text, place.start) for place in (anchors[node.name], node))
                return f" (&{node.name} of line {anchored} is used on line {used})"
        return ""

    def _shared_with_unread(self) -> str:
        """An anchor above the key, or on its value, that an unreadable part uses; else an empty text."""
        used = [name for name in self._anchors() for cut in self.document.cuts if f"*{name}" in cut.text]
        return f"&{used[0]}" if used else ""

    def _anchors(self) -> dict[str, Node]:
        """The anchors of the mappings above the key, and of its value, by name."""
        nodes: list[Node] = [self.catalog, self.entry, self.lvs]
        nodes += [self.pair.value] if self.pair is not None else []
        return {node.anchor: node for node in nodes if node.anchor}
