"""YAML within limits: what a file or a host says is judged by its size before anything is made of it.

PyYAML composes with the recursion of C, so that 50,000 brackets end the process; and twenty lines of aliases
of aliases are more values than there is memory. Here the parser's events are counted before it composes, and
what a node's aliases stand for before it becomes a value: an entry that is too large stops nobody who needs
another.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_CHARACTERS = 8 * 1024 * 1024
MAX_DEPTH = 100
"""Mappings and lists within each other."""
MAX_NODES = 200_000
"""Values, mappings, lists and keys; the largest public catalog has 5,000."""
MAX_FROM_ALIASES = 100_000
"""Nodes that aliases repeat."""
_FEW = 1_000
"""Nodes that are quickly counted, each as often as it stands for something; most entries have a dozen."""

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's, ten times as quick, where PyYAML was built with it; both keep the places of what they read."""

_DEEP_LINE = re.compile(rf"^[-?: ]{{{MAX_DEPTH}}}", re.MULTILINE)
"""A block within a block begins further to the right."""


class TooDeepError(yaml.MarkedYAMLError):
    """It is nested too deeply to be read."""


class TooMuchError(yaml.MarkedYAMLError):
    """It is larger than what is read; says where, and what the limit is."""


def compose(text: str) -> yaml.Node | None:
    """The root of the text's only document; None when there is nothing in it.

    Raises:
        yaml.MarkedYAMLError: It is not YAML, there is another document, or it is larger than the limits.
        yaml.reader.ReaderError: It has a character that YAML forbids.
    """
    if len(text) > MAX_CHARACTERS:
        raise TooMuchError(None, None, f"has {len(text)} characters, {MAX_CHARACTERS} are read at most")
    if _may_be_large(text):
        for _ in events(text):
            pass
    loader = LOADER(text)
    try:
        root: yaml.Node | None = loader.get_single_node()
    finally:
        loader.dispose()
    return root


def _may_be_large(text: str) -> bool:
    """Whether it can be too deep or too many; most texts cannot, and need not be read twice."""
    return (
        len(text) > MAX_NODES
        or text.count("[") + text.count("{") >= MAX_DEPTH
        or _DEEP_LINE.search(text) is not None
    )


def events(text: str) -> Iterator[yaml.Event]:
    """What a parser finds in a text, one after the other; raises as ``compose`` does."""
    depth = nodes = 0
    for event in yaml.parse(text, LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        nodes += isinstance(event, yaml.NodeEvent)
        if depth > MAX_DEPTH:
            what = f"is nested too deeply to read: more than {MAX_DEPTH} mappings and lists within each other"
            raise TooDeepError(None, None, what, mark_of(event))
        if nodes > MAX_NODES:
            raise TooMuchError(None, None, f"has more than {MAX_NODES} values", mark_of(event))
        yield event


def mark_of(event: yaml.Event) -> Any:  # noqa: ANN401  # libyaml's marks are of a class of their own
    """Where an event begins."""
    return event.start_mark


def require_few(node: yaml.Node) -> None:
    """Make sure that a node can be made into a value; raises TooMuchError."""
    if repeats_too_much(node):
        what = f"has aliases that stand for more than {MAX_FROM_ALIASES} values"
        raise TooMuchError(None, None, what, node.start_mark)


def repeats_too_much(root: yaml.Node) -> bool:
    """Whether aliases in a node stand for too many others; what contains itself counts once there."""
    if _is_few(root):
        return False
    sizes: dict[int, int] = {}
    begun: set[int] = set()
    todo: list[tuple[yaml.Node, bool]] = [(root, False)]
    while todo:
        node, is_ready = todo.pop()
        inside = _inside(node)
        if is_ready:
            sizes[id(node)] = min(1 + sum(sizes.get(id(each), 1) for each in inside), 2**62)
        elif id(node) not in begun:
            begun.add(id(node))
            todo.append((node, True))
            todo += [(each, False) for each in inside]
    return sizes[id(root)] - len(sizes) > MAX_FROM_ALIASES


def _is_few(root: yaml.Node) -> bool:
    """Whether all that a node stands for is not much; what contains itself never is."""
    todo, left = [root], _FEW
    while todo and left:
        todo += _inside(todo.pop())
        left -= 1
    return not todo


def _inside(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else []
