"""The lines of a tape's file, taken from bytes that may come from anybody, within limits.

Whatever a file holds, reading it ends soon, in bounded memory, with lines or with one ``FormError``.
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from typing import TYPE_CHECKING, Any

from ferryman.tape.form import FormError, shown

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator

MAX_BYTES = 256 << 20
"""Of a tape, decompressed."""
MAX_LINE_BYTES = 16 << 20
MAX_LINES = 1_000_000
MAX_MEMBERS = 400_000
"""Of gzip; a run of two days writes two a second."""
MAX_PARTS = 8_000_000
"""Brackets and commas, all lines together: what the values take in memory goes with them."""
MAX_DEPTH = 64
"""Of brackets within brackets."""
_CHUNK = 1 << 18
_GZIP, _GZIP_WINDOW = b"\x1f\x8b", 31


class NotATapeError(FormError):
    """The file is something else."""


class TapeLines:
    """The lines of a file, without the last one of a whole tape, which has the digest of the others.

    ``whole`` says, after the last line, whether the digest was there. A line that was cut off is left out.
    """

    def __init__(self, file: io.BufferedReader) -> None:
        self.whole = False
        self._file = file
        self._budget = MAX_PARTS

    def __iter__(self) -> Iterator[bytes]:
        digest = hashlib.sha256()
        for number, (line, ended) in enumerate(self._lines(), start=1):
            if self.whole:
                raise FormError(
                    f"line {number}: comes after the last line of the tape, the one with its digest"
                )
            if number > MAX_LINES:
                raise FormError(f"line {number}: a tape has at most {MAX_LINES:,} lines")
            if (last := _last_line(line)) is not None:
                self.whole = True
                _fits(last, number - 1, digest.hexdigest())
            elif ended:
                digest.update(line)
                self._spend(line, number)
                yield line

    def _lines(self) -> Iterator[tuple[bytes, bool]]:
        """Each line with its line feed, and whether it has that."""
        rest: list[bytes] = []
        length = 0
        for chunk in self._bounded():
            *ended, tail = chunk.split(b"\n")
            for part in ended:
                yield b"".join([*rest, part, b"\n"]), True
                rest, length = [], 0
            rest.append(tail)
            length += len(tail)
            if length > MAX_LINE_BYTES:
                raise FormError(f"a line is longer than {MAX_LINE_BYTES >> 20} MiB")
        if length:
            yield b"".join(rest), False

    def _bounded(self) -> Iterator[bytes]:
        start = self._file.read(len(_GZIP))
        self._file.seek(0)
        size = 0
        for chunk in self._decompressed() if start == _GZIP else self._plain():
            size += len(chunk)
            if size > MAX_BYTES:
                raise FormError(f"holds more than {MAX_BYTES >> 20} MiB, which no tape does")
            yield chunk

    def _plain(self) -> Iterator[bytes]:
        first = self._file.read(1)
        if first not in (b"{", b""):
            raise NotATapeError("no tape: it begins neither as gzip nor as a line of JSON")
        self._file.seek(0)
        while chunk := self._file.read(_CHUNK):
            yield chunk

    def _decompressed(self) -> Iterator[bytes]:
        """What the members hold, up to where the file ends, which may be within one."""
        members, packed = 0, b""
        while packed := packed or self._file.read(_CHUNK):
            members += 1
            if members > MAX_MEMBERS:
                raise FormError(f"has more than {MAX_MEMBERS:,} members of gzip, which no tape does")
            if members > 1 and not packed.strip(b"\0"):
                # What a file system leaves where a machine lost its power.
                packed = b""
                continue
            unpack = zlib.decompressobj(wbits=_GZIP_WINDOW)
            while not unpack.eof and (packed := packed or self._file.read(_CHUNK)):
                try:
                    chunk = unpack.decompress(packed, _CHUNK)
                except zlib.error as error:
                    raise FormError(f"damaged: {shown(str(error))}") from error
                packed = unpack.unconsumed_tail
                if chunk:
                    yield chunk
            packed = unpack.unused_data

    def _spend(self, line: bytes, number: int) -> None:
        skeleton = _STRINGS.sub(b"", line).translate(None, _NO_SKELETON)
        self._budget -= len(skeleton)
        if self._budget < 0:
            raise FormError(f"line {number}: more than {MAX_PARTS:,} values, which no tape has")
        if _is_deep(skeleton.replace(b",", b"")):
            raise FormError(f"line {number}: nested more than {MAX_DEPTH} deep, which no tape is")


_STRINGS = re.compile(rb'"(?:[^"\\]++|\\.)*+"')
_NO_SKELETON = bytes(set(range(256)) - set(b"[]{},"))
_DIGEST = re.compile(rb'\{"lines":(\d{1,9}),"sha256":"([0-9a-f]{64})"\}\n?')


def _is_deep(brackets: bytes) -> bool:
    """Whether more brackets than a tape has are within each other, or do not fit each other."""
    for _ in range(MAX_DEPTH):
        shorter = brackets.replace(b"[]", b"").replace(b"{}", b"")
        if len(shorter) == len(brackets):
            break
        brackets = shorter
    return len(brackets) > MAX_DEPTH


def _last_line(line: bytes) -> tuple[int, str] | None:
    found = _DIGEST.fullmatch(line)
    return (int(found[1]), found[2].decode()) if found else None


def _fits(last: tuple[int, str], lines: int, digest: str) -> None:
    if last != (lines, digest):
        raise FormError(
            f"edited or damaged: the digest in its last line does not fit its {lines} lines. If it was "
            "edited on purpose, take out the last line: then it is read as the tape of a run that was killed"
        )


def value_of(line: bytes) -> object:
    """The value of a line of JSON.

    Raises:
        FormError: It is none, has a key twice, a number that is not finite, or text that no UTF-8 can have.
    """
    try:
        text = line.decode("utf-8")
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_no_number, parse_float=_finite)
        if _SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeError as error:
        raise FormError("is no UTF-8, or has half of a surrogate pair") from error
    except json.JSONDecodeError as error:
        raise FormError(f"no JSON: {error.msg}, at character {error.pos + 1}") from error
    except RecursionError as error:
        raise FormError(f"nested more than {MAX_DEPTH} deep, which no tape is") from error
    except FormError:
        raise
    except ValueError as error:
        raise FormError(f"no JSON: {shown(str(error))}") from error
    return value


_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise FormError(f"{shown(twice)}: the key is there twice")
    return found


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise FormError(f"{shown(text)}: no number that can be used")
    return number


def _no_number(text: str) -> float:
    raise FormError(f"{text}: no number of JSON")
