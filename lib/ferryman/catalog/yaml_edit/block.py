"""Lines of block style: an item ``- x`` of a list, a key of a mapping; how they are written and taken out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml

from ferryman.catalog.yaml_edit.splice import Splice, lead, line_end, line_start, rest, without_lines
from ferryman.catalog.yaml_edit.tree import MapNode, Pair, ScalarNode, SeqNode, everything_in, last_leaf

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ferryman.catalog.yaml_edit.tree import Node

_DASH = re.compile(r" *-[ \t]+")
_NOTHING_MORE = re.compile(r"[ \t]*(#.*)?")
_SAFE_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_PROPERTIES = re.compile(r"[ \t]*:(?:[ \t]+[&!][^\s#]*)*")


class NoMinimalEdit(Exception):  # noqa: N818  # no error for callers: the reason why a edit_error will be made
    """The text is written in a way that has no small edit; says which."""


def add_item(text: str, items: SeqNode, index: int, name: str) -> list[Splice]:
    """A line for one more item, below the one that it follows; a first one above the comments of the old."""
    model = items.items[max(index - 1, 0)]
    _need_own_line(text, model)
    line = lead(text, model.start) + written(name, quote_of(model))
    if index == 0:
        start = line_start(text, model.start)
        while lead(text, start - 1).lstrip().startswith("#"):
            start = line_start(text, start - 1)
        return [Splice(start, start, f"{line}\n")]
    end = line_end(text, model.end)
    return [Splice(end, end, f"\n{line}")]


def remove_item(text: str, items: SeqNode, index: int) -> list[Splice]:
    """Take out the line of an item."""
    item = items.items[index]
    _need_own_line(text, item)
    return without_lines(text, [(item.start, item.end)])


def _need_own_line(text: str, item: Node) -> None:
    alone = _DASH.fullmatch(lead(text, item.start)) and _NOTHING_MORE.fullmatch(rest(text, item.end))
    if not alone:
        raise NoMinimalEdit("an item of the list does not stand on a line of its own behind its dash")


def pair_lines(text: str, pair: Pair) -> list[tuple[int, int]] | None:
    """The spans of lines that are the pair's alone; None when they hold something else too."""
    if lead(text, pair.start).strip():
        return None
    value = pair.value
    if not isinstance(value, SeqNode) or value.flow:
        return [(pair.start, pair.end)] if not rest(text, pair.end).strip() else None
    if _after_properties(text, pair).strip():
        return None
    for item in value.items:
        _need_own_line(text, item)
    return [(pair.start, pair.key.end), *((item.start, item.end) for item in value.items)]


def empty_list(text: str, pair: Pair, items: SeqNode, new: str = "[]") -> list[Splice]:
    """The key with ``[]``, or something new, instead of its item lines: the comment on its line stays."""
    for item in items.items:
        _need_own_line(text, item)
    place = pair.key.end + len(rest(text, pair.key.end)) - len(_after_properties(text, pair))
    lines = without_lines(text, [(item.start, item.end) for item in items.items])
    return [Splice(place, place, f" {new}"), *lines]


def _after_properties(text: str, pair: Pair) -> str:
    """What stands on the key's line behind the colon, and behind the value's anchor and tag."""
    line = rest(text, pair.key.end)
    found = _PROPERTIES.match(line)
    if found is None:
        raise NoMinimalEdit("the key and its colon do not stand on one line")
    return line[found.end() :]


@dataclass(frozen=True, slots=True)
class ListStyle:
    """How a list is written in a file: a model for a new one."""

    flow: bool = False
    indent: str = "  "
    """In block style: what stands between the column of the key and the dash."""
    gap: str = " "
    """In block style: what stands between the dash and the item."""
    pad: str = ""
    """In flow style: what stands between bracket and item."""
    quote: str = ""

    @classmethod
    def of(cls, text: str, pair: Pair) -> ListStyle | None:
        """How the pair's value is written; None when it is no list, empty or unlike any model."""
        value = pair.value
        if not isinstance(value, SeqNode) or not value.items:
            return None
        first = value.items[0]
        if value.flow:
            pad = text[value.inside : first.start]
            return cls(flow=True, pad=pad if pad.strip(" ") == "" else "", quote=quote_of(first))
        before, key_lead = lead(text, first.start), lead(text, pair.start)
        if not _DASH.fullmatch(before) or key_lead.strip(" ") or not before.startswith(key_lead):
            return None
        indent, _, gap = before.removeprefix(key_lead).partition("-")
        return cls(indent=indent, gap=gap, quote=quote_of(first))

    def behind_key(self, names: Sequence[str]) -> list[str]:
        """A list as the value of a key: the rest of the key's line, and more lines as from its column."""
        if self.flow or not names:
            return [f" {flow_list(names, self)}"]
        return ["", *(f"{self.indent}-{self.gap}{written(name, self.quote)}" for name in names)]


def add_pair(
    text: str, mapping: MapNode, key: str, value: Sequence[str], after: Iterable[str]
) -> list[Splice]:
    """Lines for a new key, below the first of the keys in ``after`` that can be followed.

    ``value`` has what stands behind the colon, then lines as from the key's column.
    """
    pair = _followed(text, mapping, after)
    head = lead(text, pair.start)
    first, *more = value
    new = [f"{written(key, quote_of(pair.key))}:{first}", *more]
    end = line_end(text, pair.end)
    return [Splice(end, end, "".join(f"\n{head}{line}" for line in new))]


def _followed(text: str, mapping: MapNode, after: Iterable[str]) -> Pair:
    named = [pair for key in after for pair in mapping.named(key)]
    for pair in [*named, *reversed(mapping.pairs)]:
        leaf = last_leaf(pair.value)
        block_text = isinstance(leaf, ScalarNode) and leaf.style in ("|", ">")
        alone = not lead(text, pair.start).strip() and _NOTHING_MORE.fullmatch(rest(text, pair.end))
        if alone and not block_text:
            return pair
    raise NoMinimalEdit("no key of it stands at the start of a line of its own")


def flow_list(names: Sequence[str], style: ListStyle) -> str:
    """A list in flow style.

    >>> flow_list(["codfw", "eqiad"], ListStyle(pad=" ")), flow_list([], ListStyle())
    ('[ codfw, eqiad ]', '[]')
    """
    inside = ", ".join(written(name, style.quote) for name in names)
    return f"[{style.pad}{inside}{style.pad}]" if names else "[]"


def written(name: str, quote: str) -> str:
    """A name as YAML, in the quotes of its neighbours, or in some when plain would mean something else.

    >>> written("codfw", ""), written("codfw", '"'), written("no", "")
    ('codfw', '"codfw"', "'no'")
    """
    if quote == "" and _SAFE_PLAIN.fullmatch(name) and yaml.safe_load(name) == name:
        return name
    if quote == '"' and '"' not in name and "\\" not in name:
        return f'"{name}"'
    return "'" + name.replace("'", "''") + "'"


def quote_of(node: Node) -> str:
    """The quote that a name is written in; empty for a plain one."""
    return node.style if isinstance(node, ScalarNode) and node.style in ("'", '"') else ""


def list_styles(text: str, mapping: Node) -> list[ListStyle]:
    """How the lists inside a mapping are written, in the order of the text."""
    pairs = [pair for node in everything_in(mapping) if isinstance(node, MapNode) for pair in node.pairs]
    return [style for pair in pairs if (style := ListStyle.of(text, pair)) is not None]
