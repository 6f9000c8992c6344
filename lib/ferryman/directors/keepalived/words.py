"""What keepalived's files say of virtual servers, as values: for comparing them with a kernel.

Only what can be read for certain: a block with conditions, definitions or includes inside is left out, and so
is one that names no address and port of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ferryman.directors.keepalived.text import (
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
class Setting:
    """A word of a file, and its line."""

    word: str
    line: int


@dataclass(frozen=True, slots=True)
class Block:
    """What a ``virtual_server`` block says, as far as it can be compared with a kernel."""

    key: Key
    names_protocol: bool
    """Whether it says its protocol; without a word keepalived takes one of its own."""
    named: str
    """The words of its first line, as messages name it."""
    line: int
    method: Setting | None
    """What holds for each realserver that says none of its own."""
    methods: Mapping[tuple[Address, int], Setting | None] = field(default_factory=dict)
    """By realserver: its own method, or the block's."""
    sorry: frozenset[tuple[Address, int]] = frozenset()
    """Sorry servers: keepalived puts them into the table when too few realservers are left."""
    scheduler: Setting | None = None
    flags: tuple[str, ...] = ()
    persistence: Setting | None = None
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


def words_of(block: Block, target: Target) -> dict[str, Setting]:
    """The words of a block that say what a target changes, by what they are about."""
    match target:
        case SetForwarding():
            general = {"lvs_method": block.method} if block.method else {}
            own = {
                f"real_server {address} {port}": setting
                for (address, port), setting in block.methods.items()
                if setting is not None
            }
            return {**general, **own}
        case SetScheduler() if block.scheduler is not None:
            words = " ".join((block.scheduler.word, *block.flags))
            return {"lvs_sched": Setting(words, block.scheduler.line)}
    return {}


def word_for(target: Target) -> str:
    """What such a word is once the target is reached."""
    match target:
        case SetForwarding(forwarding):
            return METHODS[forwarding]
        case SetScheduler(scheduler, flags):
            return " ".join((scheduler, *in_order(scheduler, flags)))
    return ""


def _block(key: Key, statement: Statement) -> Block:
    general = _last(statement, _METHOD_WORDS)
    methods: dict[tuple[Address, int], Setting | None] = {}
    for real in statement.within("real_server"):
        if (place := place_of(real.texts, key[2])) is not None:
            methods[place] = _last(real, _METHOD_WORDS) or general
    scheduler = _last(statement, _SCHEDULER_WORDS)
    flags = (flag.texts[0] for flag in statement.within(*FLAG_WORDS))
    return Block(
        key,
        bool(list(statement.within("protocol"))),
        " ".join(statement.texts),
        statement.line,
        general,
        methods,
        frozenset(
            place
            for sorry in statement.within("sorry_server")
            if (place := place_of(sorry.texts, key[2])) is not None
        ),
        scheduler,
        in_order(scheduler.word, flags) if scheduler else (),
        _last(statement, "persistence_timeout"),
    )


def _last(block: Statement, names: str | tuple[str, ...], known: tuple[str, ...] = ()) -> Setting | None:
    """The last word that is given for one of these names: that is the one that counts."""
    setting = None
    for statement in block.within(*((names,) if isinstance(names, str) else names)):
        if len(statement.words) > 1 and (not known or statement.texts[1].upper() in known):
            setting = Setting(statement.texts[1], statement.line)
    return setting
