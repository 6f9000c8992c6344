"""The smallest edit of a key with one value in a service's lvs section."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ferryman.catalog.yaml_edit import block, flow
from ferryman.catalog.yaml_edit.block import ListStyle, NoMinimalEdit
from ferryman.catalog.yaml_edit.editor import KeyEditor, Value
from ferryman.catalog.yaml_edit.splice import Splice
from ferryman.catalog.yaml_edit.tree import AliasNode, MapNode, Node, Pair, ScalarNode, SeqNode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ferryman.inventory.document import Document


class ValueEditor(KeyEditor):
    """A key with one value in the text, and its smallest edit."""

    def __init__(
        self, text: str, document: Document, service: str, key: str, meaning: Callable[[object], object]
    ) -> None:
        """With what a value means: two that mean the same need no edit."""
        super().__init__(text, document, service, key)
        self._meaning = meaning

    def says(self, lvs: dict[str, Any], wanted: object) -> bool:
        """Whether the value means what the wanted one does."""
        return self._meaning(lvs.get(self.key)) == self._meaning(wanted)

    def edited(self, wanted: Value, *, default: str | list[str], beside: tuple[str, ...]) -> str:
        """The text with the value as wanted; a new key goes below the first of those it stands beside.

        ``default`` is what is written for None where the key cannot go.

        Raises:
            InventoryError: There is no small edit that changes the value and nothing else.
        """
        return self._smallest(self._candidates(wanted, default, beside), wanted)

    def _candidates(
        self, wanted: Value, default: str | list[str], beside: tuple[str, ...]
    ) -> Iterator[list[Splice]]:
        value = default if wanted is None else wanted
        if self.pair is None:
            yield self._new(value, beside)
            return
        if wanted is None or self._inherited():
            yield from self._without(self.pair)
        yield self._instead(self.pair, value)

    def _new(self, value: str | list[str], beside: tuple[str, ...]) -> list[Splice]:
        model = next((pair for key in beside for pair in self.lvs.named(key)), None)
        new = _written(value, block.quote_of(model.value) if model else "")
        if not self.lvs.flow:
            return block.add_pair(self.text, self.lvs, self.key, [f" {new}"], beside)
        quote = block.quote_of(self.lvs.pairs[-1].key) if self.lvs.pairs else ""
        return [flow.with_element(self.text, self.lvs, f"{block.written(self.key, quote)}: {new}")]

    def _instead(self, pair: Pair, value: str | list[str]) -> list[Splice]:
        """Another value in the place of the old one, in its quotes."""
        old = pair.value
        new = _written(value, block.quote_of(_first(old)))
        if isinstance(old, SeqNode) and not old.flow:
            return block.empty_list(self.text, pair, old, new)
        written = self.text[old.start : old.end]
        if isinstance(old, MapNode) or (isinstance(old, ScalarNode) and old.style in ("|", ">")):
            raise NoMinimalEdit("its value is not written as one word or a list of words")
        space = "" if isinstance(old, AliasNode) or written else " "
        return [Splice(old.start, old.end, space + new)]


def _first(node: Node) -> Node:
    return node.items[0] if isinstance(node, SeqNode) and node.items else node


def _written(value: str | list[str], quote: str) -> str:
    if isinstance(value, str):
        return block.written(value, quote)
    return block.flow_list(value, ListStyle(quote=quote))
