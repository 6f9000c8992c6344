"""keepalived's configuration as text with places: a service's blocks, and an edit of their method.

The grammar is that of keepalived 2.2 (keepalived.conf(5)): words, one statement a line, ``{`` and ``}``
around the body of the statement before them, comments from ``#`` or ``!`` to the end of the line, ``"quoted
words"``. Of it all, only the words of ``lvs_method`` are ever changed; everything else stays byte for byte.

An ``include`` takes the whole rest of its line, which is why it is a token of its own. What keepalived makes
of ``@id`` (only on some directors), ``$NAME`` (another text in its place) and ``~SEQ`` (again and again) is
not imitated: where it may matter to a block that is to be edited, the block is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import TYPE_CHECKING

from ferryman.model import Address, Forwarding, Protocol
from ferryman.numerals import numeral

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ferryman.model import VirtualService

METHODS = {Forwarding.DIRECT: "DR", Forwarding.TUNNEL: "TUN"}

_TOKEN = re.compile(
    r"""(?P<include>^[ \t]*(?:@\S+[ \t]+)?include[rmwba]?[ \t]+[^\s#!][^#!\n]*)"""
    r"""|(?P<skip>[ \t\r]+|[#!][^\n]*)|(?P<end>\n)"""
    r"""|(?P<word>"[^"\n]*"?|(?:\$\{[^{}\n]*\}|\\[#!]|[^\s{}"#!])+)|(?P<brace>[{}])""",
    re.MULTILINE | re.ASCII,
)
"""ASCII, for a no-break space is no blank to keepalived."""
_COMMENT_SIGNS = ("//", "/*", "*/", ";", "--", "<!--")
"""What others comment with; to keepalived it is a word like another (decomment of its lib/parser.c)."""
_INCLUDES = ("include", "includer", "includem", "includew", "includeb", "includea")
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
        """The text of each of its words, without their places."""
        return tuple(word.text for word in self.words)

    def within(self, *names: str) -> Iterator[Statement]:
        """The statements of its body that begin with one of these words."""
        return (statement for statement in self.body or () if statement.texts[0] in names)


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
            case "include", line:
                texts = line.split(None, 2 if line.lstrip().startswith("@") else 1)
                reading.words += [Word(text.strip(), token.start(), token.end()) for text in texts]
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
            raise TextError(
                f"line {head.line}: {' '.join(head.texts)}: its brace is never closed{no_comment(head)}"
            )
        return tuple(self._bodies[0])


def includes(statements: Iterable[Statement]) -> Iterator[Statement]:
    """Every include line, also those inside of blocks: keepalived reads them wherever they stand."""
    for statement in statements:
        if (*unconditional(statement), "")[0] in _INCLUDES:
            yield statement
        yield from includes(statement.body or ())


def unconditional(statement: Statement) -> tuple[str, ...]:
    """Its words without the ``@id`` that says on which directors they count."""
    return statement.texts[1:] if statement.texts[0].startswith("@") else statement.texts


def blocks_of(statements: Iterable[Statement], virtual: VirtualService) -> list[Statement]:
    """All ``virtual_server`` blocks of a virtual service, conditional ones too."""
    return [
        statement
        for statement in statements
        if names(statement) == (virtual.protocol, virtual.vip, virtual.port)
    ]


def unnamed(statements: Iterable[Statement]) -> Iterator[Statement]:
    """The statements that may hold a virtual server without saying its address and port."""
    for statement in statements:
        first = (*unconditional(statement), "")[0]
        expanded = first.startswith(("$", "~")) and "=" not in first
        if expanded or (first == "virtual_server" and names(statement) is None):
            yield statement


def block_of(statements: Iterable[Statement], virtual: VirtualService) -> Statement:
    """The one ``virtual_server`` block of a virtual service.

    Raises:
        TextError: There is none, or more than one, or not on every director that has this text.
    """
    statements = tuple(statements)
    found = blocks_of(statements, virtual)
    if len(found) != 1:
        raise TextError(
            f"{len(found) or 'no'} virtual_server {virtual.vip} {virtual.port} ({virtual.protocol}) in it,"
            f" wanted one{_hint(statements, virtual)}"
        )
    if found[0].texts[0].startswith("@"):
        raise TextError(
            f"line {found[0].line}: {' '.join(found[0].texts)}: conditional blocks are not edited"
        )
    return found[0]


def _hint(statements: Iterable[Statement], virtual: VirtualService) -> str:
    """That the block is there, only not for this protocol: without a word about it keepalived takes UDP."""
    for statement in statements:
        named = names(statement)
        if named and named[1:] == (virtual.vip, virtual.port) and not list(statement.within("protocol")):
            line = statement.line
            return f"; that of line {line} has no protocol, which is UDP to keepalived: write one into it"
    return "".join(f"; {line}" for line in portless_for(statements, virtual))


def portless_for(statements: Iterable[Statement], virtual: VirtualService) -> Iterator[str]:
    """The ``virtual_server ADDRESS`` blocks, without a port, that take this virtual service's traffic."""
    for statement in statements:
        match unconditional(statement):
            case ("virtual_server", address, *port) if statement.body is not None and port in ([], ["0"]):
                if _is_address(address, virtual.vip) and _protocol(statement) == virtual.protocol:
                    yield (
                        f"line {statement.line}: {' '.join(statement.texts)} has no port and takes the"
                        f" traffic of every port of its address, {virtual.port} too: it is not edited"
                    )


def _is_address(text: str, address: Address) -> bool:
    try:
        return ip_address(text) == address
    except ValueError:
        return False


def with_method(text: str, virtuals: Iterable[VirtualService], forwarding: Forwarding) -> str:
    """The text with another method in these virtual services' blocks; twice is the same as once.

    Raises:
        TextError: A block is missing, or its method cannot be edited safely.
    """
    statements = parse(text)
    places = [word for virtual in virtuals for word in _methods_in(block_of(statements, virtual))]
    for start, end in sorted(places, reverse=True):
        text = f"{text[:start]}{METHODS[forwarding]}{text[end:]}"
    return text


def weights_in(text: str) -> dict[tuple[Protocol, Address, int, Address, int], int]:
    """The weight of each realserver, by protocol, VIP and port, its own address and port.

    What is written in another way than ``real_server ADDRESS PORT`` is left out; so is all of a torn text.
    """
    try:
        statements = parse(text)
    except TextError:
        return {}
    return {
        (*named, *place): _weight(real, block)
        for block in statements
        if (named := names(block))
        for real in block.within("real_server")
        if (place := place_of(real.texts, named[2]))
    }


def _weight(real: Statement, block: Statement) -> int:
    """A realserver's own weight, else its virtual server's, else 1."""
    for holder in (real, block):
        given = [statement.texts[1] for statement in holder.within("weight") if len(statement.words) > 1]
        if given and (weight := numeral(given[-1])) is not None:
            return weight
    return 1


def place_of(texts: tuple[str, ...], port: int) -> tuple[Address, int] | None:
    """Address and port of a ``real_server`` or ``sorry_server``, which may leave the block's port out."""
    try:
        _, address, *rest = texts  # keepalived takes two words of them, and leaves out what follows
        return ip_address(address), int(rest[0] if rest else port)
    except ValueError:
        return None


def names(statement: Statement) -> tuple[Protocol, Address, int] | None:
    """(protocol, VIP, port) of a ``virtual_server ADDRESS PORT`` block; None for anything else."""
    match unconditional(statement):
        case ("virtual_server", address, word, *_) if statement.body is not None:
            port = numeral(word)
            try:
                return None if port is None else (_protocol(statement), ip_address(address), port)
            except ValueError:
                return None
    return None


def _protocol(block: Statement) -> Protocol:
    named = [statement.texts[1].upper() for statement in block.within("protocol") if len(statement.words) > 1]
    return "tcp" if named[-1:] == ["TCP"] else "udp"


def check_plain(block: Statement) -> None:
    """Raise a TextError where a block does not say by itself, and on every director, how it forwards."""
    for statement in _all_within(block):
        if statement.texts[0].startswith(("@", "$", "~")) or statement.texts[0] in _INCLUDES:
            raise TextError(
                f"line {statement.line}: {' '.join(statement.texts)}: a block with conditions, definitions"
                " or includes inside is not edited"
            )
        if statement.body is not None and statement.texts[0].startswith(_COMMENT_SIGNS):
            raise TextError(f"line {statement.line}: {' '.join(statement.texts)}{no_comment(statement)}")


def no_comment(statement: Statement) -> str:
    """A hint, where a statement has a word that begins a comment elsewhere, and none in keepalived."""
    for word in statement.texts:
        for sign in _COMMENT_SIGNS:
            if word.startswith(sign) or (sign == ";" and word.endswith(sign)):
                return f": {sign} is not a comment in keepalived: use # or !"
    return ""


def check_sorry(block: Statement) -> None:
    """Raise a TextError where the sorry server would get another method along with the realservers.

    Nobody asked whether it can take tunnelled packets, and keepalived does not tell the kernel of the new
    method of a sorry server that it has already (clear_diff_s_srv of ipwrapper.c looks at its address alone).
    """
    reals = {real.texts[1:] for real in block.within("real_server")}
    for sorry in block.within("sorry_server"):
        where = f"line {sorry.line}: {' '.join(sorry.texts)}"
        if sorry.texts[1:] in reals:
            raise TextError(f"{where} is a real_server of the same block too: keepalived confuses the two")
        if not list(block.within("sorry_server_lvs_method")):
            raise TextError(
                f"{where} would change its method with the realservers:"
                " say its own with sorry_server_lvs_method in the block"
            )


def _all_within(block: Statement) -> Iterator[Statement]:
    for statement in block.body or ():
        yield statement
        yield from _all_within(statement)


def _methods_in(block: Statement) -> Iterator[tuple[int, int]]:
    """The places of the words to replace; every realserver must be covered by one of them."""
    check_plain(block)
    inside = [statement for real in block.within("real_server") for statement in real.within(*_METHOD_WORDS)]
    general = list(block.within(*_METHOD_WORDS))
    if general:
        check_sorry(block)
    bare = [real for real in block.within("real_server") if not list(real.within(*_METHOD_WORDS))]
    if bare and not general:
        raise TextError(
            f"line {bare[0].line}: {' '.join(bare[0].texts)} has no lvs_method, nor its virtual_server:"
            " keepalived masquerades then (NAT)"
        )
    for statement in (*general, *inside):
        method, *rest = statement.texts[1:] or ("",)
        if tuple(rest) not in ((), ("type", "ipip")) or method not in METHODS.values():
            raise TextError(
                f"line {statement.line}: {' '.join(statement.texts)}: expected DR or TUN,"
                f" and nothing after it{no_comment(statement)}"
            )
        yield statement.words[1].start, statement.words[-1].end
