"""Does a changed catalog say the same as before, but for one list?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ferryman.inventory.problems import KeyPath


def difference(before: object, after: object, *, around: KeyPath, but: str) -> KeyPath | None:
    """Where the two first differ, leaving out the key ``but`` of the mapping at ``around``; None: nowhere.

    The order of keys counts, and so do types: ``1``, ``1.0`` and ``true`` differ. Shared parts are compared
    once, so that aliases of aliases cost nothing, and what contains itself ends.
    """
    seen: set[tuple[int, int]] = set()
    todo: list[tuple[KeyPath, Any, Any]] = [((), before, after)]
    while todo:
        path, old, new = todo.pop()
        on_the_way = path == around[: len(path)]
        if not on_the_way and (id(old), id(new)) in seen:
            continue
        if not on_the_way:
            seen.add((id(old), id(new)))
        inside = _children(path, old, new, but if path == around else None)
        if inside is None:
            return path
        todo += inside
    return None


def _children(
    path: KeyPath, old: object, new: object, but: str | None
) -> list[tuple[KeyPath, Any, Any]] | None:
    """What is left to be compared below two values; None when they differ already."""
    if type(old) is not type(new):
        return None
    if isinstance(old, dict) and isinstance(new, dict):
        keys = [key for key in old if key != but]
        if _typed(keys) != _typed([key for key in new if key != but]):
            return None
        return [((*path, key), old[key], new[key]) for key in reversed(keys)]
    if isinstance(old, list | tuple) and isinstance(new, list | tuple):
        if len(old) != len(new):
            return None
        return [((*path, index), one, other) for index, (one, other) in enumerate(zip(old, new, strict=True))]
    # By repr too, for .nan is not equal to itself.
    return [] if old == new or repr(old) == repr(new) else None


def _typed(keys: list[Any]) -> list[tuple[type, Any]]:
    return [(type(key), key) for key in keys]
