"""YAML's nodes: composed from a text, looked into, and made into values one at a time.

A node knows the line that it stands on. Nothing is made into a value before it is asked for, so that a tag
or a date that cannot be read is an error only for those who need it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from ferryman.bounded_yaml import compose, repeats_too_much, require_few
from ferryman.inventory.problems import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferryman.inventory.problems import KeyPath

MERGE_TAG = "tag:yaml.org,2002:merge"
NULL_TAG = "tag:yaml.org,2002:null"
STR_TAG = "tag:yaml.org,2002:str"

LARGEST_BITS = 1024
"""Of a whole number, written in whatever base: Python shows none of more than 4300 decimal digits."""

Pair = tuple[yaml.Node, yaml.Node]
"""A key and its value."""


def pairs(node: yaml.Node) -> list[Pair]:
    """A mapping's pairs, behind those that its merge keys bring and it has not itself; none of anything else.

    The last pair with a key is the one that counts.
    """
    own = node.value if isinstance(node, yaml.MappingNode) else []
    if not any(key.tag == MERGE_TAG for key, _ in own):
        return own
    if repeats_too_much(node):
        return [pair for pair in own if pair[0].tag != MERGE_TAG]  # whoever asks for its value is told
    own = [pair for pair in own if pair[0].tag != MERGE_TAG]
    named = {key.value for key, _ in own if isinstance(key, yaml.ScalarNode)}
    return [*(pair for pair in merged(node) if not _named(pair[0], named)), *own]


def merged(node: yaml.Node, within: frozenset[int] = frozenset()) -> list[Pair]:
    """What a mapping's merge keys bring, each key once; what contains itself brings nothing."""
    within |= {id(node)}
    found: dict[tuple[str, str], Pair] = {}
    for source in _sources(node):
        own = [pair for pair in source.value if pair[0].tag != MERGE_TAG] if id(source) not in within else []
        below_it = merged(source, within) if own else []
        # Of a mapping's own keys the last counts, of what it merges the first that has it.
        fetched = {(key.tag, str(key.value)): (key, value) for key, value in (*below_it, *own)}
        found |= {key: pair for key, pair in fetched.items() if key not in found}
    return list(found.values())


def _sources(node: yaml.Node) -> Iterator[yaml.MappingNode]:
    """The mappings that a mapping merges, the one that counts first."""
    for key, value in reversed(node.value) if isinstance(node, yaml.MappingNode) else ():
        if key.tag == MERGE_TAG:
            several = value.value if isinstance(value, yaml.SequenceNode) else [value]
            yield from (source for source in several if isinstance(source, yaml.MappingNode))


def _named(key: yaml.Node, names: set[str]) -> bool:
    return isinstance(key, yaml.ScalarNode) and key.value in names


def step(node: yaml.Node, key: str | int) -> Pair | None:
    """What is below a key or an index, and what names its line: the key, or the item itself."""
    if isinstance(node, yaml.SequenceNode):
        inside = isinstance(key, int) and key < len(node.value)
        return (node.value[key], node.value[key]) if inside else None
    named = str(key)
    return next((pair for pair in reversed(pairs(node)) if key_name(pair[0]) == named), None)


def below(node: yaml.Node | None, *keys: str) -> yaml.Node | None:
    """What stands at the end of a path of keys; None when the path does not exist."""
    for key in keys:
        found = step(node, key) if node is not None else None
        node = found[1] if found is not None else None
    return node


def key_name(key: yaml.Node) -> str:
    """What a key is called in a path: its text, and brackets for a key that is a list or a mapping."""
    if isinstance(key, yaml.ScalarNode):
        return str(key.value)
    return "[…]" if isinstance(key, yaml.SequenceNode) else "{…}"


def is_null(node: yaml.Node) -> bool:
    """Whether the node is YAML's null: written as such, or left empty."""
    return bool(node.tag == NULL_TAG)


def duplicates(root: yaml.Node, path: KeyPath = ()) -> Iterator[tuple[KeyPath, int, int]]:
    """Every key that stands twice in one mapping: its path, its line, and the line of the first, from 1."""
    seen: set[int] = set()
    todo: list[tuple[KeyPath, yaml.Node]] = [(path, root)]
    while todo:
        here, node = todo.pop()
        if isinstance(node, yaml.ScalarNode) or id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            yield from duplicate_keys(node, here)
            todo += [((*here, key_name(key)), value) for key, value in node.value]
        else:
            todo += [((*here, index), item) for index, item in enumerate(node.value)]


def duplicate_keys(node: yaml.Node, path: KeyPath) -> Iterator[tuple[KeyPath, int, int]]:
    """As ``duplicates``, but only of the keys of this one mapping."""
    first: dict[tuple[str, str], int] = {}
    for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
        if not isinstance(key, yaml.ScalarNode) or key.tag == MERGE_TAG:
            continue
        named, line = (key.tag, key.value), key.start_mark.line + 1
        if named in first:
            yield (*path, key.value), line, first[named]
        else:
            first[named] = line


class _Constructor(yaml.constructor.SafeConstructor):
    """The safe constructor that leaves the nodes as they are.

    It has a line for values that look like a date or a number and are none.
    """

    def construct_object(self, node: yaml.Node, deep: bool = False) -> object:
        try:
            return _small(super().construct_object(node, deep))
        except (ValueError, AttributeError, LookupError, ArithmeticError) as error:
            message = f"{shown(node.value)} cannot be read as the value it looks like ({error}); quote it"
            raise yaml.constructor.ConstructorError(None, None, message, node.start_mark) from error

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Merge nothing into the node itself."""

    def construct_mapping(self, node: yaml.Node, deep: bool = False) -> dict[Any, Any]:
        for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
            several = value.value if isinstance(value, yaml.SequenceNode) else [value]
            if key.tag == MERGE_TAG and not all(isinstance(source, yaml.MappingNode) for source in several):
                what = "expected a mapping or list of mappings for merging"
                raise yaml.constructor.ConstructorError(
                    "while constructing a mapping", node.start_mark, what, value.start_mark
                )
        whole = yaml.MappingNode(node.tag, pairs(node), node.start_mark, node.end_mark)
        return dict(super().construct_mapping(whole, deep=deep))


def _small(value: object) -> object:
    if isinstance(value, int) and value.bit_length() > LARGEST_BITS:
        raise ValueError("it is too large")
    return value


def value_of(node: yaml.Node) -> Any:  # noqa: ANN401  # whatever stands there
    """A node as a value.

    Raises:
        yaml.MarkedYAMLError: Its aliases stand for too much, it has a tag that is not known, or
            something that cannot be what it looks like.
        RecursionError: It is nested too deeply.
    """
    require_few(node)
    return _Constructor().construct_document(node)


def loaded(text: str) -> Any:  # noqa: ANN401  # whatever it says
    """The value of a text that a host has said, within the same limits; None when there is nothing in it.

    Raises:
        yaml.YAMLError: It is not YAML, has a tag that is not known, or is larger than what is read.
    """
    try:
        root = compose(text)
    except UnicodeEncodeError as error:  # a lone surrogate: a byte of the host's that is no UTF-8
        raise yaml.YAMLError("has bytes that are not UTF-8") from error
    return None if root is None else value_of(root)
