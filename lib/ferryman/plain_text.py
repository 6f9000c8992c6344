"""Texts that can be stored and shown, of whatever there is: nothing here raises, but for an interruption.

A run that is stopped says why, and the words come from cookbooks, hosts and libraries: an error whose text
cannot be made, or that no UTF-8 has, must not come between the error and the rollback.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_DEEPEST = 50
"""Values within values; what is nested more deeply is named by its type."""


def storable(text: str) -> str:
    r"""The text as UTF-8 has it: each lone surrogate, a byte of a host that was no UTF-8, is an escape.

    >>> print(storable("caf\udce9"))
    caf\udce9
    """
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def text_of(value: object) -> str:
    """A value's text, which can be stored; its type in words where it has none."""
    try:
        return storable(str(value))
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001  # a text of somebody's that cannot be made, whatever it raises
        return f"<{type(value).__name__}, which has no text>"


def has_text(value: object) -> bool:
    """Whether the text of a value can be made."""
    try:
        str(value)
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001  # as above
        return False
    return True


def storable_value(value: object, depth: int = 0) -> Any:  # noqa: ANN401  # JSON
    """A value as JSON has it: what JSON has no form for is its text."""
    if value is None or type(value) in (bool, int, float):
        return value
    if isinstance(value, str):
        return text_of(value)
    if depth > _DEEPEST:
        return f"<{type(value).__name__}, nested too deeply>"
    if isinstance(value, dict):
        return _storable_mapping(value, depth)
    if isinstance(value, (list, tuple, set, frozenset)):
        return [storable_value(item, depth + 1) for item in value]
    return text_of(value)


def _storable_mapping(value: Mapping[object, object], depth: int) -> dict[str, Any]:
    return {text_of(key): storable_value(item, depth + 1) for key, item in value.items()}
