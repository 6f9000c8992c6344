"""Does a changed catalog say the same as before, but for one key?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from ferryman.inventory.yaml_nodes import key_name, pairs

if TYPE_CHECKING:
    from ferryman.inventory.problems import KeyPath


def difference(before: yaml.Node, after: yaml.Node, *, around: KeyPath, but: str) -> KeyPath | None:
    """Where the two first differ, leaving out the key ``but`` of the mapping at ``around``; None: nowhere.

    Everything that stands there is compared, whether or not it could be made into a value, and twice where it
    stands twice. The order of keys counts, and so do types: ``1``, ``1.0`` and ``true`` differ. Shared parts
    are compared once, so that aliases of aliases cost nothing, and what contains itself ends.
    """
    seen: set[tuple[int, int]] = set()
    todo: list[tuple[KeyPath, yaml.Node, yaml.Node]] = [((), before, after)]
    while todo:
        path, old, new = todo.pop()
        leads_to_key = path == around[: len(path)]
        if not leads_to_key and (id(old), id(new)) in seen:
            continue
        if not leads_to_key:
            seen.add((id(old), id(new)))
        inside = _children(path, old, new, but if path == around else None)
        if inside is None:
            return path
        todo += inside
    return None


def _children(
    path: KeyPath, old: yaml.Node, new: yaml.Node, but: str | None
) -> list[tuple[KeyPath, yaml.Node, yaml.Node]] | None:
    """What is left to be compared below two nodes; None when they differ already."""
    if type(old) is not type(new) or old.tag != new.tag:
        return None
    if isinstance(old, yaml.MappingNode):
        return _values(path, old, new, but)
    if isinstance(old, yaml.SequenceNode):
        if len(old.value) != len(new.value):
            return None
        both = zip(old.value, new.value, strict=True)
        return [((*path, index), old_item, new_item) for index, (old_item, new_item) in enumerate(both)]
    return [] if old.value == new.value else None


def _values(
    path: KeyPath, old: yaml.Node, new: yaml.Node, but: str | None
) -> list[tuple[KeyPath, yaml.Node, yaml.Node]] | None:
    of_old, of_new = ([pair for pair in pairs(node) if pair[0].value != but] for node in (old, new))
    if len(of_old) != len(of_new):
        return None
    inside: list[tuple[KeyPath, yaml.Node, yaml.Node]] = []
    for (key, value), (new_key, new_value) in zip(reversed(of_old), reversed(of_new), strict=True):
        if isinstance(key, yaml.ScalarNode) and (key.tag, key.value) != (new_key.tag, new_key.value):
            return None
        if not isinstance(key, yaml.ScalarNode):
            inside.append((path, key, new_key))
        inside.append(((*path, key_name(key)), value, new_value))
    return inside
