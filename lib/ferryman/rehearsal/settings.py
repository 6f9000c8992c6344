"""The configuration of a scenario: that in force, with the scenario's own keys in its place."""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


def configure(source: Path, target: Path, tables: Mapping[str, Any]) -> None:
    """Write the ``ferryman.toml`` of a scenario, made of the one in force."""
    values = merged(tomllib.loads(source.read_text(encoding="utf-8")), tables)
    target.write_text(as_toml(values), encoding="utf-8")


def merged(values: Mapping[str, Any], others: Mapping[str, Any]) -> dict[str, Any]:
    """Values with others in their place, table by table."""
    found = dict(values)
    for key, value in others.items():
        here = found.get(key)
        found[key] = merged(here, value) if isinstance(here, dict) and isinstance(value, dict) else value
    return found


def as_toml(values: Mapping[str, Any]) -> str:
    """Values as TOML; dates are not among them.

    >>> print(as_toml({"lab": True, "watch": {"soak": 0.5, "more": {"a b": [1, "x"]}}}), end="")
    "lab" = true
    ["watch"]
    "soak" = 0.5
    ["watch"."more"]
    "a b" = [1, "x"]
    """
    return "".join(f"{line}\n" for line in _lines(values, ()))


def _lines(values: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    if path:
        yield f"[{'.'.join(map(_quoted, path))}]"
    for key, value in values.items():
        if not isinstance(value, dict):
            yield f"{_quoted(key)} = {_value(value)}"
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _lines(value, (*path, key))


def _value(value: object) -> str:
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{_quoted(key)} = {_value(item)}' for key, item in value.items())} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    return _quoted(value)


def _quoted(value: object) -> str:
    """A string, number or boolean, which JSON writes as TOML does, but for a character that TOML escapes."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
