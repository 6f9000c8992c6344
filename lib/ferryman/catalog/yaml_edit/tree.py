"""A YAML file as a tree of places in its text, aliases included, for edits that touch nothing else.

Places are indices into the text without its byte order mark.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import yaml

from ferryman.bounded_yaml import LOADER

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(slots=True)
class Node:
    """A value in the text, from its anchor or tag, if it has one, to its end."""

    start: int
    end: int
    anchor: str | None = None


@dataclass(slots=True)
class ScalarNode(Node):
    """A single value; ``style`` is its quote, ``|`` or ``>``, or empty for a plain one."""

    value: str = ""
    style: str = ""


@dataclass(slots=True)
class AliasNode(Node):
    """``*name``: stands for the node that is anchored by this name elsewhere."""

    name: str = ""


@dataclass(slots=True)
class SeqNode(Node):
    """A list; in flow style ``inside`` is the place after the bracket, and ``end`` after the closing one."""

    flow: bool = False
    inside: int = 0
    items: list[Node] = field(default_factory=list)


@dataclass(slots=True)
class Pair:
    """A key of a mapping and its value, each with its place in the text."""

    key: Node
    value: Node

    @property
    def start(self) -> int:
        """The place in the text where the key begins."""
        return self.key.start

    @property
    def end(self) -> int:
        """Where the last thing inside the value ends."""
        return last_place(self.value)


@dataclass(slots=True)
class MapNode(Node):
    """A mapping; as ``SeqNode`` in flow style."""

    flow: bool = False
    inside: int = 0
    pairs: list[Pair] = field(default_factory=list)

    def named(self, name: str) -> list[Pair]:
        """The pairs with this key: none, one, or several where the file has a key twice."""
        return [pair for pair in self.pairs if isinstance(pair.key, ScalarNode) and pair.key.value == name]


Element = Node | Pair
"""What stands between the commas of a flow collection."""


def read_tree(text: str) -> Node:
    """The tree of the text's only document, which has been parsed before."""
    events = iter(yaml.parse(text, LOADER))
    open_nodes: list[SeqNode | MapNode] = []
    keys: list[Node | None] = []
    for event in events:
        if isinstance(event, yaml.SequenceEndEvent | yaml.MappingEndEvent):
            node: Node = open_nodes.pop()
            keys.pop()
            node.end = _end(event)
        elif isinstance(event, yaml.NodeEvent):
            node = _node(event)
        else:
            continue
        if isinstance(node, SeqNode | MapNode) and isinstance(event, yaml.CollectionStartEvent):
            open_nodes.append(node)
            keys.append(None)
        elif not open_nodes:
            return node
        else:
            keys[-1] = _attach(open_nodes[-1], keys[-1], node)
    raise AssertionError("the text was parsed before, so it has a document")


def _node(event: yaml.NodeEvent) -> Node:
    start, end, anchor = _start(event), _end(event), event.anchor
    if isinstance(event, yaml.AliasEvent):
        return AliasNode(start, end, None, event.anchor or "")
    if isinstance(event, yaml.ScalarEvent):
        return ScalarNode(start, end, anchor, event.value, event.style or "")
    assert isinstance(event, yaml.CollectionStartEvent)
    kind = SeqNode if isinstance(event, yaml.SequenceStartEvent) else MapNode
    return kind(start, end, anchor, bool(event.flow_style), end)


def _start(event: yaml.Event) -> int:
    assert event.start_mark is not None
    return event.start_mark.index


def _end(event: yaml.Event) -> int:
    assert event.end_mark is not None
    return event.end_mark.index


def _attach(parent: SeqNode | MapNode, key: Node | None, node: Node) -> Node | None:
    """Put a finished node into its parent; returns the key that now waits for its value."""
    if isinstance(parent, SeqNode):
        parent.items.append(node)
        return None
    if key is None:
        return node
    parent.pairs.append(Pair(key, node))
    return None


def last_place(node: Node) -> int:
    """Where the last token of a node ends; a block collection itself ends where the next thing begins."""
    return last_leaf(node).end


def last_leaf(node: Node) -> Node:
    """The innermost node that a node ends with."""
    if isinstance(node, MapNode) and not node.flow and node.pairs:
        return last_leaf(node.pairs[-1].value)
    if isinstance(node, SeqNode) and not node.flow and node.items:
        return last_leaf(node.items[-1])
    return node


def everything_in(node: Node) -> Iterator[Node]:
    """The node and all below it, in the order of the text."""
    todo = [node]
    while todo:
        found = todo.pop()
        yield found
        if isinstance(found, SeqNode):
            todo += reversed(found.items)
        elif isinstance(found, MapNode):
            todo += [part for pair in reversed(found.pairs) for part in (pair.value, pair.key)]
