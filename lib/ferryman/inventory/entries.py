"""The entries of one mapping in one file, each read and judged when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import yaml

from ferryman.errors import InventoryError
from ferryman.inventory.document import Document, Unreadable
from ferryman.inventory.problems import KeyPath, Problem, errors_of, shown
from ferryman.inventory.yaml_nodes import STR_TAG, below, duplicate_keys, duplicates, is_null, key_name, pairs
from ferryman.names import EXPECTED, is_name

if TYPE_CHECKING:
    from collections.abc import Iterator

T = TypeVar("T")
Judge = Callable[[Document, KeyPath, Any], tuple[T | None, list[Problem]]]
"""Makes an entry of a value: the entry as far as it can be used, and everything wrong with it."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file that entries are read from: what it says, or why it cannot be read; or there is none."""

    document: Document | None
    trouble: tuple[Problem, ...] = ()


class Entries(Mapping[str, T]):
    """The entries by name; a faulty one raises when it is asked for, and stops nobody who needs another."""

    def __init__(  # noqa: PLR0913  # what the entries of a file are like
        self,
        source: Source,
        keys: KeyPath,
        judge: Judge[T],
        *,
        expected: str = "a mapping",
        nullable: bool = False,
        is_named: Callable[[str], bool] = is_name,
    ) -> None:
        """``expected`` says what the mapping holds; one that is ``nullable`` may be left empty.

        ``is_named`` says what an entry may be called; one that is called otherwise has that fault.
        """
        self._is_named = is_named
        self._document = document = source.document
        self._keys = keys
        self._judge = judge
        self._judged: dict[str, tuple[T | None, list[Problem]]] = {}
        self._nodes: dict[str, yaml.Node] = {}
        self._twice: dict[str, list[Problem]] = {}
        self.trouble = list(source.trouble)
        """What keeps the mapping as a whole from being read."""
        self.misnamed: list[Problem] = []
        """Keys that are no names."""
        if document is not None:
            self.trouble += _ambiguous(document, keys)
            self._look_into(document, expected, nullable=nullable)

    def __iter__(self) -> Iterator[str]:
        return iter(self._nodes)

    def __len__(self) -> int:
        return len(self._nodes)

    def __contains__(self, name: object) -> bool:
        return name in self._nodes

    def __getitem__(self, name: str) -> T:
        """The entry.

        Raises:
            InventoryError: It is faulty, or there is none and a part that cannot be read may hold it.
            KeyError: There is none.
        """
        if errors := errors_of(self.faults(name)):
            raise InventoryError([str(problem) for problem in errors])
        entry = self.read(name)
        if entry is None:
            raise KeyError(name)
        return entry

    def read(self, name: str) -> T | None:
        """The entry as far as it can be used; None when it cannot, or is not there.

        Of a key that stands twice the last one counts.
        """
        return self._read(name)[0]

    def readable(self) -> Iterator[tuple[str, T]]:
        """All that ``read`` makes something of, with their names."""
        for name in self._nodes:
            entry = self.read(name)
            if entry is not None:
                yield name, entry

    def faults(self, name: str) -> list[Problem]:
        """Everything that is wrong with an entry; of one that is not there, what may hold it unseen."""
        cuts = self._document.cuts if self._document is not None and name not in self else ()
        hidden = [cut.problem for cut in cuts if cut.mentions(name)]
        found = [*self.trouble, *self._twice.get(name, ()), *self.cut(name), *hidden, *self._read(name)[1]]
        return list(dict.fromkeys(found))

    def cut(self, name: str) -> list[Problem]:
        """What keeps an entry of this very name, or a part of it, from being read as YAML."""
        own = (*self._keys, name)
        cuts = self._document.cuts if self._document is not None else ()
        return [cut.problem for cut in cuts if cut.keys[: len(own)] == own]

    @property
    def unseen(self) -> list[Problem]:
        """What may hold an entry that is not found: parts that cannot be read, keys that are no names."""
        cuts = self._document.cuts_below(self._keys) if self._document is not None else []
        return [*self.trouble, *(cut.problem for cut in cuts), *self.misnamed]

    def unread_with(self, word: str) -> list[Problem]:
        """Of the parts that cannot be read, the entries with this word in them, and what holds them all."""
        cuts, depth = self._document.cuts if self._document is not None else (), len(self._keys)
        inside = [cut for cut in cuts if cut.keys[:depth] == self._keys and cut.mentions(word)]
        around = [cut for cut in cuts if cut.keys == self._keys[: len(cut.keys)]]
        return [cut.problem for cut in (*inside, *around)]

    @property
    def problems(self) -> list[Problem]:
        """Everything that is wrong with the mapping and its entries."""
        return [*self.unseen, *(problem for name in self._nodes for problem in self.faults(name))]

    def mentions(self, name: str, word: str) -> bool:
        """Whether a word stands in the text of an entry, as a value or in one."""
        node, document = self._nodes.get(name), self._document
        if document is None:
            return False
        own = (*self._keys, name)
        return any(cut.mentions(word) for cut in document.cuts if cut.keys[: len(own)] == own) or (
            node is not None and any(word in _words(scalar) for scalar in _scalars(node))
        )

    def _read(self, name: str) -> tuple[T | None, list[Problem]]:
        if name not in self._judged:
            self._judged[name] = self._judgement(name)
        return self._judged[name]

    def _judgement(self, name: str) -> tuple[T | None, list[Problem]]:
        node, document = self._nodes.get(name), self._document
        if node is None or document is None:
            return None, []
        keys = (*self._keys, name)
        twice = document.twice(duplicates(node, keys))
        if not self._is_named(name):
            twice.append(document.problem(keys, f"is called so, expected {EXPECTED}"))
        try:
            entry, problems = self._judge(document, keys, document.value(node))
        except Unreadable as error:
            return None, [*twice, *error.problems]
        return entry, [*twice, *problems]

    def _look_into(self, document: Document, expected: str, *, nullable: bool) -> None:
        node = below(document.root, *map(str, self._keys))
        if node is None or (is_null(node) and (nullable or document.cuts_below(self._keys))):
            return
        if not isinstance(node, yaml.MappingNode):
            message = f"is {_shown(document, node)}, expected {expected}"
            self.trouble.append(document.problem(self._keys, message))
            return
        for key, value in pairs(node):
            if key.tag == STR_TAG:
                self._nodes[key.value] = value
            else:
                message = f"the key is {_shown(document, key)}, expected a name; quote it"
                self.misnamed.append(document.problem((*self._keys, key_name(key)), message))
        for path, line, first in duplicate_keys(node, self._keys):
            self._twice.setdefault(str(path[-1]), []).extend(document.twice([(path, line, first)]))


def _ambiguous(document: Document, keys: KeyPath) -> list[Problem]:
    """The keys above a mapping that stand twice, so that nobody can say which is meant."""
    found = []
    for index, key in enumerate(keys):
        node = below(document.root, *map(str, keys[:index]))
        if node is not None:
            found += [
                duplicate_key
                for duplicate_key in duplicate_keys(node, keys[:index])
                if duplicate_key[0][-1] == key
            ]
    return document.twice(found)


def _shown(document: Document, node: yaml.Node) -> str:
    try:
        return shown(document.value(node))
    except Unreadable:
        return shown(key_name(node))


def _scalars(root: yaml.Node) -> Iterator[yaml.ScalarNode]:
    seen: set[int] = set()
    todo = [root]
    while todo:
        node = todo.pop()
        if isinstance(node, yaml.ScalarNode):
            yield node
        elif id(node) not in seen:
            seen.add(id(node))
            todo += [part for pair in pairs(node) for part in pair] or node.value


def _words(node: yaml.ScalarNode) -> list[str]:
    return [word.strip("[]'\"") for word in node.value.replace(",", " ").split()]
