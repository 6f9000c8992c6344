"""keepalived's configuration as text with places: a service's blocks, and an edit of their method.

The grammar is that of keepalived 2.2 (keepalived.conf(5)): words, one statement a line, ``{`` and ``}``
around the body of the statement before them, comments from ``#`` or ``!`` to the end of the line, ``"quoted
words"``. Of it all, only the words of ``lvs_method`` are ever changed; everything else stays byte for byte.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import TYPE_CHECKING

from ferryman.model import Address, Forwarding, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ferryman.model import VirtualService

METHODS = {Forwarding.DIRECT: "DR", Forwarding.TUNNEL: "TUN"}

_TOKEN = re.compile(
    r"""(?P<skip>[ \t\r]+|[#!][^\n]*)|(?P<end>\n)|(?P<brace>[{}])|(?P<word>"[^"\n]*"?|[^\s{}"#!]+)"""
)
_METHOD_WORDS = ("lvs_method", "lb_kind")


class TextError(Exception):
    """The text is not one that can be edited; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word and its place in the text."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Statement:
    """A line's words, and the statements between the braces after it, if there are any."""

    words: tuple[Word, ...]
    line: int
    body: tuple[Statement, ...] | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        """Its words."""
        return tuple(word.text for word in self.words)

    def within(self, *names: str) -> Iterator[Statement]:
        """The statements of its body that begin with one of these words."""
        return (one for one in self.body or () if one.texts[0] in names)


def parse(text: str) -> tuple[Statement, ...]:
    """The statements of a configuration.

    Raises:
        TextError: A brace has no partner.
    """
    reading = _Reading()
    for token in _TOKEN.finditer(text):
        match token.lastgroup, token[0]:
            case "word", word:
                reading.words.append(Word(word, token.start(), token.end()))
            case "end", _:
                reading.finish()
                reading.line += 1
            case "brace", "{":
                reading.open()
            case "brace", _:
                reading.close()
    return reading.done()


class _Reading:
    """What a parse has seen so far: the statements of each open block, innermost last."""

    def __init__(self) -> None:
        self.line = 1
        self.words: list[Word] = []
        self._bodies: list[list[Statement]] = [[]]
        self._heads: list[Statement] = []

    def finish(self) -> None:
        if self.words:
            self._bodies[-1].append(Statement(tuple(self.words), self.line))
            self.words = []

    def open(self) -> None:
        self.finish()
        if not self._bodies[-1]:
            raise TextError(f"line {self.line}: a brace opens before any word")
        self._heads.append(self._bodies[-1].pop())
        self._bodies.append([])

    def close(self) -> None:
        self.finish()
        if not self._heads:
            raise TextError(f"line {self.line}: a brace closes that was never opened")
        body = tuple(self._bodies.pop())
        self._bodies[-1].append(replace(self._heads.pop(), body=body))

    def done(self) -> tuple[Statement, ...]:
        self.finish()
        if self._heads:
            head = self._heads[-1]
            raise TextError(f"line {head.line}: {' '.join(head.texts)}: its brace is never closed")
        return tuple(self._bodies[0])


def block_of(statements: Iterable[Statement], virtual: VirtualService) -> Statement:
    """The one ``virtual_server`` block of a virtual service.

    Raises:
        TextError: There is none, or more than one.
    """
    found = [one for one in statements if _names(one) == (virtual.protocol, virtual.vip, virtual.port)]
    if len(found) != 1:
        raise TextError(
            f"{len(found) or 'no'} virtual_server {virtual.vip} {virtual.port} ({virtual.protocol}) in it,"
            " wanted one"
        )
    return found[0]


def with_method(text: str, virtuals: Iterable[VirtualService], forwarding: Forwarding) -> str:
    """The text with another method in these virtual services' blocks; twice is the same as once.

    Raises:
        TextError: A block is missing, or its method cannot be edited safely.
    """
    statements = parse(text)
    places = [word for one in virtuals for word in _methods_in(block_of(statements, one))]
    for start, end in sorted(places, reverse=True):
        text = f"{text[:start]}{METHODS[forwarding]}{text[end:]}"
    return text


def _names(one: Statement) -> tuple[Protocol, Address, int] | None:
    """(protocol, VIP, port) of a ``virtual_server ADDRESS PORT`` block; None for anything else."""
    match one.texts:
        case ("virtual_server", address, port) if one.body is not None and port.isdecimal():
            try:
                return _protocol(one), ip_address(address), int(port)
            except ValueError:
                return None
    return None


def _protocol(block: Statement) -> Protocol:
    named = [one.texts[1] for one in block.within("protocol") if len(one.words) > 1]
    return "udp" if named[-1:] == ["UDP"] else "tcp"


def _methods_in(block: Statement) -> Iterator[tuple[int, int]]:
    """The places of the words to replace; every realserver must be covered by one of them."""
    inside = [one for real in block.within("real_server") for one in real.within(*_METHOD_WORDS)]
    general = list(block.within(*_METHOD_WORDS))
    bare = [real for real in block.within("real_server") if not list(real.within(*_METHOD_WORDS))]
    if bare and not general:
        raise TextError(
            f"line {bare[0].line}: {' '.join(bare[0].texts)} has no lvs_method, nor its virtual_server"
        )
    for one in (*general, *inside):
        method, *rest = one.texts[1:] or ("",)
        if tuple(rest) not in ((), ("type", "ipip")) or method not in METHODS.values():
            raise TextError(
                f"line {one.line}: {' '.join(one.texts)}: expected DR or TUN, and nothing after it"
            )
        yield one.words[1].start, one.words[-1].end
