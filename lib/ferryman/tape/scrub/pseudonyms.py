"""Pseudonyms of names: short words that were nowhere on the tape, in the order of the names they stand for.

What is sorted by name stays sorted, and a number at the end of a name stays: hosts that were called alike are
so still. The words are drawn by a key.
"""

from __future__ import annotations

import hashlib
import re
from itertools import count, groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

_CONSONANTS, _VOWELS = "bdfghjklmnprstvz", "aeiou"
_PATTERN = (_CONSONANTS, _VOWELS, _CONSONANTS, _VOWELS, _CONSONANTS, _VOWELS)
_PHRASE = "note-"


def name_pseudonyms(key: bytes, names: Collection[str], taken: str) -> dict[str, str]:
    """A pseudonym for each name; none is in the text ``taken``, whatever its case."""
    ordered = sorted(names)
    stems = [_stem(name) for name in ordered]
    runs = [stem for stem, _ in groupby(stems)]
    # Of names with one stem that are not one behind the other in order, each is a stem of its own.
    parts = [
        (stem, name[len(stem) :]) if runs.count(stem) == 1 else (name, "")
        for name, stem in zip(ordered, stems, strict=True)
    ]
    distinct = list(dict.fromkeys(stem for stem, _ in parts))
    words = dict(zip(distinct, sorted(_words(key, len(distinct), taken)), strict=True))
    return {name: words[stem] + number for name, (stem, number) in zip(ordered, parts, strict=True)}


def phrase_pseudonyms(key: bytes, phrases: Collection[str], taken: str) -> dict[str, str]:
    """A pseudonym for each of the texts that people wrote freely."""
    words = _words(key + b"phrases", len(phrases), taken)
    return {phrase: _PHRASE + word for phrase, word in zip(sorted(phrases), sorted(words), strict=True)}


def _stem(name: str) -> str:
    """The name without the number at its end; of a name that is only a number, the name."""
    return re.sub(r"[0-9]+\Z", "", name) or name


def _words(key: bytes, number: int, taken: str) -> list[str]:
    """So many different words that are not in the text."""
    lower = taken.casefold()
    found: dict[str, None] = {}
    stream = _stream(key)
    while len(found) < number:
        word = next(stream)
        if word not in lower:
            found[word] = None
    return list(found)


def _stream(key: bytes) -> Iterator[str]:
    for number in count():
        digest = hashlib.blake2b(str(number).encode(), key=key[:64], digest_size=len(_PATTERN)).digest()
        yield "".join(letters[byte % len(letters)] for letters, byte in zip(_PATTERN, digest, strict=True))
