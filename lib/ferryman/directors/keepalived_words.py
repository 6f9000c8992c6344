"""What keepalived's files say of virtual servers, as values: for comparing them with a kernel.

Only what can be read for certain: a block with conditions, definitions or includes inside is left out, and so
is one that names no address and port of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ferryman.directors.keepalived_text import (
    METHODS,
    Statement,
    TextError,
    check_plain,
    names,
    place_of,
)
from ferryman.directors.schedulers import FLAG_WORDS, in_order
from ferryman.directors.target import SetForwarding, SetScheduler

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ferryman.directors.target import Target
    from ferryman.model import Address, Protocol

Key = tuple["Protocol", "Address", int]
_METHOD_WORDS = ("lvs_method", "lb_kind")
_SCHEDULER_WORDS = ("lvs_sched", "lb_algo")


@dataclass(frozen=True, slots=True)
class Said:
    """A word of a file, and its line."""

    word: str
    line: int


@dataclass(frozen=True, slots=True)
class Block:
    """One ``virtual_server`` block."""

    key: Key
    names_protocol: bool
    """Whether it says its protocol; without a word keepalived takes one of its own."""
    named: str
    """Its first line."""
    line: int
    method: Said | None
    """What holds for each realserver that says none of its own."""
    methods: Mapping[tuple[Address, int], Said | None] = field(default_factory=dict)
    """By realserver: its own method, or the block's."""
    sorry: frozenset[tuple[Address, int]] = frozenset()
    """Sorry servers: keepalived puts them into the table when too few realservers are left."""
    scheduler: Said | None = None
    flags: tuple[str, ...] = ()
    persistence: Said | None = None
    """Seconds, where the block gives them."""


def blocks_in(statements: Iterable[Statement]) -> Iterator[Block]:
    """The blocks that can be read for certain, and count on every director."""
    for statement in statements:
        key = names(statement)
        if key is None or statement.texts[0].startswith("@"):
            continue
        try:
            check_plain(statement)
        except TextError:
            continue
        if _last(statement, "protocol", ("TCP", "UDP")) is not None or not list(statement.within("protocol")):
            yield _block(key, statement)


def words_of(block: Block, target: Target) -> dict[str, Said]:
    """The words of a block that say what a target changes, by what they are about."""
    match target:
        case SetForwarding():
            general = {"lvs_method": block.method} if block.method else {}
            each = {
                f"real_server {address} {port}": said
                for (address, port), said in block.methods.items()
                if said is not None
            }
            return {**general, **each}
        case SetScheduler() if block.scheduler is not None:
            words = " ".join((block.scheduler.word, *block.flags))
            return {"lvs_sched": Said(words, block.scheduler.line)}
    return {}


def word_for(target: Target) -> str:
    """What such a word is once the target is reached."""
    match target:
        case SetForwarding(forwarding):
            return METHODS[forwarding]
        case SetScheduler(scheduler, flags):
            return " ".join((scheduler, *in_order(scheduler, flags)))
    return ""


def _block(key: Key, one: Statement) -> Block:
    general = _last(one, _METHOD_WORDS)
    methods: dict[tuple[Address, int], Said | None] = {}
    for real in one.within("real_server"):
        if (place := place_of(real.texts, key[2])) is not None:
            methods[place] = _last(real, _METHOD_WORDS) or general
    scheduler = _last(one, _SCHEDULER_WORDS)
    flags = (each.texts[0] for each in one.within(*FLAG_WORDS))
    return Block(
        key,
        bool(list(one.within("protocol"))),
        " ".join(one.texts),
        one.line,
        general,
        methods,
        frozenset(
            place
            for each in one.within("sorry_server")
            if (place := place_of(each.texts, key[2])) is not None
        ),
        scheduler,
        in_order(scheduler.word, flags) if scheduler else (),
        _last(one, "persistence_timeout"),
    )


def _last(block: Statement, names: str | tuple[str, ...], known: tuple[str, ...] = ()) -> Said | None:
    """The last word that is given for one of these names: that is the one that counts."""
    said = None
    for one in block.within(*((names,) if isinstance(names, str) else names)):
        if len(one.words) > 1 and (not known or one.texts[1].upper() in known):
            said = Said(one.texts[1], one.line)
    return said
