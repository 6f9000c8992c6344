"""The smallest edit of a service's list of sites, its flag for IPIP."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ferryman.catalog.yaml_edit import block, flow
from ferryman.catalog.yaml_edit.block import ListStyle
from ferryman.catalog.yaml_edit.editor import NULLS, KeyEditor
from ferryman.catalog.yaml_edit.splice import Splice
from ferryman.catalog.yaml_edit.tree import MapNode, Node, Pair, ScalarNode, SeqNode, everything_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferryman.inventory.document import Document

FLAG = "ipip_encapsulation"
BESIDE = ("scheduler_flag", "scheduler")
"""A new flag goes below these, where catalogs have it."""


class ListEditor(KeyEditor):
    """A service's flag in the text, and its smallest edit."""

    def __init__(self, text: str, document: Document, service: str) -> None:
        super().__init__(text, document, service, FLAG)

    def says(self, lvs: dict[str, Any], wanted: object) -> bool:
        """Whether the list is as wanted; none is an empty one."""
        return (lvs.get(FLAG) or []) == wanted

    def edited(self, now: list[str], wanted: list[str]) -> str:
        """The text with the list as wanted.

        Raises:
            InventoryError: There is no small edit that changes the list and nothing else.
        """
        return self._smallest(self._candidates(now, wanted), wanted)

    def _candidates(self, now: list[str], wanted: list[str]) -> Iterator[list[Splice]]:
        """The edits that may be small and safe, the best first."""
        if self.pair is None:
            yield self._new_flag(wanted)
            return
        value = self.pair.value
        if not wanted and not self._inherited():
            yield from self._without(self.pair)
        if not isinstance(value, SeqNode):
            yield self._instead(value, wanted)
        elif len(wanted) > len(now):
            index = next(index for index, name in enumerate(wanted) if name not in now)
            yield self._one_more(value, index, wanted[index])
        else:
            index = next(index for index, name in enumerate(now) if name not in wanted)
            yield self._one_less(self.pair, value, index)

    def _one_more(self, items: SeqNode, index: int, name: str) -> list[Splice]:
        if not items.flow:
            return block.add_item(self.text, items, index, name)
        beside = items.items[max(index - 1, 0)] if items.items else None
        quote = block.quote_of(beside) if beside is not None else self._style().quote
        return [flow.with_element(self.text, items, block.written(name, quote), index)]

    def _one_less(self, flag: Pair, items: SeqNode, index: int) -> list[Splice]:
        if items.flow:
            return [flow.without_element(items, index)]
        if len(items.items) == 1:
            return block.empty_list(self.text, flag, items)
        return block.remove_item(self.text, items, index)

    def _instead(self, value: Node, wanted: list[str]) -> list[Splice]:
        """A list of its own in place of an alias, whose other users must not notice, or of nothing."""
        new = block.flow_list(wanted, self._style())
        if isinstance(value, ScalarNode) and self.text[value.start : value.end] not in NULLS:
            return [Splice(value.end, value.end, f" {new}")]
        return [Splice(value.start, value.end, new)]

    def _new_flag(self, wanted: list[str]) -> list[Splice]:
        style = self._style()
        if not self.lvs.flow:
            return block.add_pair(self.text, self.lvs, FLAG, style.behind_key(wanted), BESIDE)
        quote = block.quote_of(self.lvs.pairs[-1].key) if self.lvs.pairs else ""
        pair = f"{block.written(FLAG, quote)}: {block.flow_list(wanted, style)}"
        return [flow.with_element(self.text, self.lvs, pair)]

    def _style(self) -> ListStyle:
        """How a list is written here: as the service's sites, as its other lists, as other flags."""
        for pair in self.entry.named("sites"):
            if (style := ListStyle.of(self.text, pair)) is not None:
                return style
        quote = block.quote_of(self.lvs.pairs[-1].key) if self.lvs.pairs else ""
        for style in (*block.list_styles(self.text, self.entry), *self._other_flags()):
            return replace(style, quote=quote)
        return ListStyle(quote=quote)

    def _other_flags(self) -> Iterator[ListStyle]:
        """How other services' flags are written, the nearest first."""
        flags = [
            pair
            for node in everything_in(self.catalog)
            if isinstance(node, MapNode)
            for pair in node.named(FLAG)
        ]
        for pair in sorted(flags, key=lambda pair: abs(pair.start - self.lvs.start)):
            if (style := ListStyle.of(self.text, pair)) is not None:
                yield style
