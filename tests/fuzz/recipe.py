"""Inputs for parsers: real texts that were damaged, as bytes that Hypothesis makes say how.

A recipe is a short byte string: which real text, and then what is done to it. So an input of 200 KB is still
a few bytes for Hypothesis, quick to draw and to shrink, and the same bytes always give the same input.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LONGEST = 1 << 15
"""Characters of an input at most. What costs their square takes seconds then, and what is linear does not."""
RECIPE_BYTES = 40
NUMBERS = (
    *(
        "0",
        "-1",
        "1",
        "00",
        "08",
        "0x1",
        "0b1",
        "1_0",
        "1e9",
        "1e999",
        "NaN",
        "-Infinity",
        "255",
        "256",
        "1.5",
    ),
    *("65535", "65536", "4294967295", "4294967296", "18446744073709551616", "9" * 40, "1" + "0" * 4400),
    *("١٢", "²", "12:34:56"),
)
ODD = (
    *("\0", "\x1b[2J", "\x9b31m", "\x1b]52;c;AAAA\x07", "\r", "\r\n", "\n\n", "\n", "\t", "\v", "\f", "\x1c"),
    *(
        "\x85",
        "\u2028",
        "\u202e",
        "\ufeff",
        "\ufffe",
        "\U0001f6a2",
        "\udcff",
        "\ud800",
        "\xa0",
        "e\u0301",
        "é",
    ),
    *(
        "ß",
        "İ",
        "'",
        '"',
        '"""',
        "\\",
        "\\\n",
        "\\x",
        "`id`",
        "$(id)",
        "${x}",
        "%s%n",
        "{",
        "}",
        "[",
        "]",
        "(",
        ")",
    ),
    *("{}", "[]", "<", ">", "&", "&a", "*a", "<<: *a", "|", ">-", "!!python/object:os.system", "!!binary"),
    *(
        "!!timestamp",
        "---",
        "...",
        "#",
        "//",
        ";",
        ",",
        ":",
        ": ",
        "=",
        "==",
        "-",
        "--",
        "-x",
        "!",
        "?",
        "@",
        "*",
    ),
    *("**", "/", "../", "/dev/zero", "::", "::/0", "0.0.0.0/0", "1.2.3.4/33", "fe80::1%eth0", "null", "true"),
    *("None", " ", " " * 300, "a" * 5000, "{1..9}", "{a,b}{a,b}", "[" * 40, "{" * 40, "(" * 40, '{"a":' * 40),
)


class _Recipe:
    """The bytes of a recipe, taken one after the other; zeros behind the last."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._content)

    def byte(self) -> int:
        self._at += 1
        return self._content[self._at - 1] if self._at <= len(self._content) else 0

    def place(self, size: int) -> int:
        """A number from 0 to the size, both included."""
        return (self.byte() << 8 | self.byte()) * size // 0xFFFF

    def of(self, several: Sequence[str]) -> str:
        return several[self.byte() % len(several)] if several else ""


@dataclass
class _Draft:
    """The text so far, and what can be put into it."""

    text: str
    recipe: _Recipe
    seeds: Sequence[str]
    words: Sequence[str]

    def cut(self) -> tuple[int, int]:
        """A stretch of up to 64 characters, now and then of any length."""
        begin = self.recipe.place(len(self.text))
        length = self.recipe.byte()
        return begin, begin + (length % 65 if length < 250 else self.recipe.place(len(self.text)))

    def put(self, begin: int, end: int, new: str) -> None:
        self.text = self.text[:begin] + new + self.text[end:]


def _delete(draft: _Draft) -> None:
    draft.put(*draft.cut(), "")


def _insert_word(draft: _Draft) -> None:
    at = draft.recipe.place(len(draft.text))
    draft.put(at, at, draft.recipe.of(draft.words))


def _insert_odd(draft: _Draft) -> None:
    at = draft.recipe.place(len(draft.text))
    draft.put(at, at, draft.recipe.of(ODD))


def _replace_word(draft: _Draft) -> None:
    """Another word of the format in the place of the next one."""
    at = draft.recipe.place(len(draft.text))
    if found := re.compile(r"[\w.:/-]+").search(draft.text, at):
        draft.put(*found.span(), draft.recipe.of((*draft.words, *NUMBERS)))


def _replace_number(draft: _Draft) -> None:
    at = draft.recipe.place(len(draft.text))
    if found := re.compile(r"[0-9]+").search(draft.text, at):
        draft.put(*found.span(), draft.recipe.of(NUMBERS))


def _change_character(draft: _Draft) -> None:
    at = draft.recipe.place(len(draft.text))
    draft.put(at, at + 1, chr(draft.recipe.byte()))


def _drop_line(draft: _Draft) -> None:
    lines = draft.text.split("\n")
    del lines[draft.recipe.place(len(lines) - 1)]
    draft.text = "\n".join(lines)


def _repeat_line(draft: _Draft) -> None:
    lines = draft.text.split("\n")
    line = lines[draft.recipe.place(len(lines) - 1)]
    lines.insert(draft.recipe.place(len(lines)), line)
    draft.text = "\n".join(lines)


def _truncate(draft: _Draft) -> None:
    draft.text = draft.text[: draft.recipe.place(len(draft.text))]


def _splice(draft: _Draft) -> None:
    other = draft.recipe.of(draft.seeds)
    begin = draft.recipe.place(len(other))
    at = draft.recipe.place(len(draft.text))
    draft.put(at, at, other[begin : begin + draft.recipe.byte() * 4])


def _repeat(draft: _Draft) -> None:
    """A stretch many times: what costs more than its length shows. Seldom, for it costs time as it is."""
    begin, end = draft.cut()
    stretch = draft.text[begin:end] or draft.recipe.of(ODD)
    power = draft.recipe.byte()
    times = 1 << (power % 5 if power < 250 else 4 + power % 15)  # one in forty
    draft.put(begin, end, stretch * min(times, LONGEST // len(stretch)))


_OPERATIONS: tuple[Callable[[_Draft], None], ...] = (
    _delete,
    _insert_word,
    _insert_odd,
    _replace_word,
    _replace_number,
    _change_character,
    _drop_line,
    _repeat_line,
    _splice,
    _repeat,
    _truncate,
    _insert_word,
    _insert_odd,
    _replace_word,
    _replace_number,
)
_NOTHING = 11
"""One recipe in so many begins with an empty text: what words alone make."""


def build(recipe: bytes, seeds: Sequence[str], words: Sequence[str]) -> str:
    """The input that a recipe makes of real texts and the words of their format."""
    taken = _Recipe(recipe)
    first = taken.byte()
    text = "" if first % _NOTHING == 0 or not seeds else seeds[first % len(seeds)]
    draft = _Draft(text, taken, seeds, words)
    while taken:
        _OPERATIONS[taken.byte() % len(_OPERATIONS)](draft)
    return draft.text[:LONGEST]
