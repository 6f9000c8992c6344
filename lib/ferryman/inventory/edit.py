"""The smallest edit of a service's flag in a catalog's text, and the proof that it changes nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import yaml

from ferryman.errors import InventoryError
from ferryman.inventory import block, flow
from ferryman.inventory.block import ListStyle, Unedited
from ferryman.inventory.document import CATALOG_KEY, Document, Unreadable, parse_text
from ferryman.inventory.problems import dotted
from ferryman.inventory.sameness import difference
from ferryman.inventory.splice import Splice, line_number, spliced, without_lines
from ferryman.inventory.tree import Alias, Mapping, Node, Pair, Scalar, Sequence, everything_in, read_tree

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferryman.inventory.problems import KeyPath

FLAG = "ipip_encapsulation"
BESIDE = ("scheduler_flag", "scheduler")
"""A new flag goes below these, where catalogs have it."""
_NULLS = ("~", "null", "Null", "NULL")


def refusal(document: Document, keys: KeyPath, message: str) -> InventoryError:
    """The error that says what keeps a service from being flipped, and where."""
    return InventoryError([str(document.problem(keys, message, hidden=1 if len(keys) > 1 else 0))])


class Edit:
    """The way to a service's flag in the text, and the smallest edit of it."""

    def __init__(self, text: str, document: Document, service: str) -> None:
        self.text = text
        self.document = document
        self.service = service
        self.keys: KeyPath = (CATALOG_KEY, service, "lvs")
        self.tree = read_tree(text)
        self.catalog = self._below(self.tree, CATALOG_KEY, (CATALOG_KEY,))
        self.entry = self._below(self.catalog, service, self.keys[:2])
        self.lvs = self._below(self.entry, "lvs", self.keys)
        self.flag = next(iter(self.lvs.named(FLAG)), None)

    def _below(self, node: Node, key: str, keys: KeyPath) -> Mapping:
        """The mapping under a key, when it is written there and not somewhere else."""
        own = node.named(key) if isinstance(node, Mapping) else []
        value = own[0].value if own else None
        if isinstance(value, Mapping):
            return value
        how = f"is an alias (*{value.name})" if isinstance(value, Alias) else "comes through a merge key (<<)"
        hand = f"write out {key} of {self.service} there by hand, then flip again"
        raise refusal(self.document, keys, f"{how}, so that others would change with it; {hand}")

    def edited(self, now: list[str], wanted: list[str]) -> str:
        """The text with the list as wanted.

        Raises:
            InventoryError: There is no small edit that changes the list and nothing else.
        """
        objection = ""
        try:
            for way in self._ways(now, wanted):
                after = spliced(self.text, way)
                objection = self._objection(after, wanted)
                if not objection:
                    return after
        except Unedited as reason:
            objection = objection or str(reason)
        hand = f"edit {FLAG} of {self.service} by hand"
        raise refusal(self.document, (*self.keys, FLAG), f"not edited: {objection}; {hand}")

    def _ways(self, now: list[str], wanted: list[str]) -> Iterator[list[Splice]]:
        """The edits that may do, the best first."""
        if self.flag is None:
            yield self._new_flag(wanted)
            return
        value = self.flag.value
        if not wanted:
            yield from self._gone(self.flag)
        if not isinstance(value, Sequence):
            yield self._instead(value, wanted)
        elif len(wanted) > len(now):
            yield self._one_more(value, wanted[-1])
        else:
            index = next(index for index, name in enumerate(now) if name not in wanted)
            yield self._one_less(self.flag, value, index)

    def _one_more(self, items: Sequence, name: str) -> list[Splice]:
        if not items.flow:
            return block.add_item(self.text, items, name)
        quote = block.quote_of(items.items[-1]) if items.items else self._style().quote
        return flow.with_element(self.text, items, block.written(name, quote))

    def _one_less(self, flag: Pair, items: Sequence, index: int) -> list[Splice]:
        if items.flow:
            return flow.without_element(self.text, items, index)
        if len(items.items) == 1:
            return block.empty_list(self.text, flag, items)
        return block.remove_item(self.text, items, index)

    def _instead(self, value: Node, wanted: list[str]) -> list[Splice]:
        """A list of its own in place of an alias, whose other users must not notice, or of nothing."""
        new = block.flow_list(wanted, self._style())
        if isinstance(value, Scalar) and self.text[value.start : value.end] not in _NULLS:
            return [Splice(value.end, value.end, f" {new}")]
        return [Splice(value.start, value.end, new)]

    def _new_flag(self, wanted: list[str]) -> list[Splice]:
        style = self._style()
        if not self.lvs.flow:
            return block.add_pair(self.text, self.lvs, FLAG, style.behind_key(wanted), BESIDE)
        quote = block.quote_of(self.lvs.pairs[-1].key) if self.lvs.pairs else ""
        pair = f"{block.written(FLAG, quote)}: {block.flow_list(wanted, style)}"
        return flow.with_element(self.text, self.lvs, pair)

    def _gone(self, flag: Pair) -> Iterator[list[Splice]]:
        """Without the key, unless something else would go with it."""
        comment = "#" in self.text[flag.start : flag.end] and not _block_list(flag.value)
        if comment or self._inherited():
            return
        if not self.lvs.flow:
            lines = block.pair_lines(self.text, flag) if len(self.lvs.pairs) > 1 else None
            yield from [without_lines(self.text, lines)] if lines else []
        elif not flow.line_comment(self.text, flag.end):
            yield flow.without_element(self.text, self.lvs, self.lvs.pairs.index(flag))

    def _inherited(self) -> bool:
        """Whether the flag would still be there without this key, through a merge key."""
        node = self.document.node(self.keys)
        return isinstance(node, yaml.MappingNode) and sum(key.value == FLAG for key, _ in node.value) > 1

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
            if isinstance(node, Mapping)
            for pair in node.named(FLAG)
        ]
        for pair in sorted(flags, key=lambda pair: abs(pair.start - self.lvs.start)):
            if (style := ListStyle.of(self.text, pair)) is not None:
                yield style

    def _objection(self, after: str, wanted: list[str]) -> str:
        """What the edited text says beyond the list as wanted; empty when it says that alone."""
        try:
            data = parse_text(after, self.document.name).data
        except Unreadable as error:
            return f"the result would not be readable ({error})"
        other = difference(self.document.data, data, around=self.keys, but=FLAG)
        if other is not None:
            return f"{dotted(other[1:]) or 'the file'} would change with it{self._sharing()}"
        if (data[CATALOG_KEY][self.service]["lvs"].get(FLAG) or []) != wanted:
            return "the way it is written has no small edit"
        return ""

    def _sharing(self) -> str:
        """Which anchor on the way to the flag is used elsewhere."""
        on_the_way: list[Node] = [self.entry, self.lvs]
        on_the_way += [self.flag.value] if self.flag is not None else []
        anchors = {node.anchor: node for node in on_the_way if node.anchor}
        for node in everything_in(self.tree):
            if isinstance(node, Alias) and node.name in anchors:
                here, there = (line_number(self.text, place.start) for place in (anchors[node.name], node))
                return f" (&{node.name} of line {here} is used on line {there})"
        return ""


def _block_list(value: Node) -> bool:
    return isinstance(value, Sequence) and not value.flow
