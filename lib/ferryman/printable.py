"""Text of others, made harmless for whoever reads it: nothing of it moves a cursor or turns letters around.

What a host, a remote, a store or a file says may hold whatever somebody put there. It is kept as it is where
it is compared or put back, and made printable here where it leaves for a terminal, a log, a report or a
message.
"""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")

_SUSPECT = re.compile(r"[^\n -~]")
"""Most texts have nothing but letters of ASCII."""
_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0")
"""What Python takes for letters and marks, and no terminal shows."""


def printable(text: str, *, keep: str = "\n\t") -> str:
    r"""The text with what does not print as Python writes it in a string; equal texts stay equal.

    That is: control characters (C0, C1, DEL), what turns the direction of letters around, what has no width,
    separators of lines that are none of ASCII, and bytes that are not UTF-8. ``keep`` is left as it is.

    >>> printable("a\x1b[2J\u202eb\x9bc\u2028d\n")
    'a\\x1b[2J\\u202eb\\x9bc\\u2028d\n'
    """
    if _SUSPECT.search(text) is None and ("\n" in keep or "\n" not in text):
        return text
    if "\n" in keep:
        text = text.replace("\r\n", "\n")
    return "".join(each if each in keep or is_harmless(each) else ascii(each)[1:-1] for each in text)


def is_harmless(character: str) -> bool:
    """Whether a character is shown as itself, and does nothing else."""
    return character.isprintable() and character not in _INVISIBLE


def printable_value(value: T) -> T:
    """A value with every text in it printable, however deep: of mappings, sequences and dataclasses."""
    return each_text(value, printable)


def each_text(value: T, change: Callable[[str], str]) -> T:
    """A value with every text in it changed, however deep: of mappings, sequences and dataclasses."""
    return cast("T", _made(value, change))


def _made(value: Any, change: Callable[[str], str]) -> Any:  # noqa: ANN401  # whatever an event holds
    if isinstance(value, str):
        return value if isinstance(value, Enum) else change(value)
    if isinstance(value, dict):
        return _mapping(value, change)
    if isinstance(value, list | tuple | set | frozenset):
        items = [_made(item, change) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    if is_dataclass(value) and not isinstance(value, type):
        own = {field.name: getattr(value, field.name) for field in fields(value) if field.init}
        made = {name: _made(item, change) for name, item in own.items()}
        changed = {name: item for name, item in made.items() if item is not own[name]}
        return replace(value, **changed) if changed else value
    if not isinstance(value, Enum) and hasattr(value, "items") and hasattr(value, "keys"):
        return _mapping(value, change)
    return value


def _mapping(value: Mapping[Any, Any], change: Callable[[str], str]) -> dict[Any, Any]:
    return {_made(key, change): _made(item, change) for key, item in value.items()}


def json_line(value: object) -> str:
    r"""A value as one line of JSON in which nothing but the line's end is a control character.

    Its texts are what they were: what does not print is escaped as JSON has it.

    >>> json_line({"a": "\x9b\u2028é"})
    '{"a": "\\u009b\\u2028é"}'
    """
    import json  # noqa: PLC0415  # not for --help to wait for

    text = json.dumps(value, ensure_ascii=False, default=str)
    if _SUSPECT.search(text) is None:
        return text
    return "".join(each if is_harmless(each) else json.dumps(each)[1:-1] for each in text)
