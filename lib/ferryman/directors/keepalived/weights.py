"""Weights that keepalived itself changes while it runs: nobody's interference, and not waited for.

A ``MISC_CHECK`` with ``misc_dynamic`` sets the weight from its script's exit status, a ``FILE_CHECK`` adds
what it reads in a file, and with ``enable_snmp_checker`` an SNMP manager sets any of them (all of them call
``update_svr_wgt`` of keepalived's check/ipwrapper.c). Such a weight is told as the one that the file gives:
so what was read once compares with what is read later.

A weight of 0 under ``inhibit_on_failure`` is a health check that failed, whether the weight moves or not: it
stays what it is. A script can ask for 0 as well; without ``inhibit_on_failure`` that is a weight like
another.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ferryman.directors.keepalived.text import (
    TextError,
    names,
    parse,
    place_of,
    unconditional,
    weights_in,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ferryman.directors.keepalived.files import Reached
    from ferryman.directors.keepalived.text import Statement
    from ferryman.ipvs.table import Destination, Key, Table, VirtualServer
    from ferryman.model import Address, Protocol

Place = tuple["Protocol", "Address", int, "Address", int]
"""A realserver of a virtual server: protocol, VIP and port, its own address and port."""
_NO = ("false", "off", "no")


def set_by_snmp(reached: Reached) -> bool:
    """Whether an SNMP manager can set weights: keepalived itself does it then, for any realserver."""
    return any(
        unconditional(setting)[:1] == ("enable_snmp_checker",)
        for file in reached.values()
        for block in file.statements
        if unconditional(block)[:1] == ("global_defs",)
        for setting in block.body or ()
    )


@dataclass(frozen=True, slots=True)
class Weights:
    """What a service's files say of weights."""

    written: dict[Place, int]
    moving: frozenset[Place]
    inhibited: frozenset[Place]
    """Where a health check that fails makes the weight 0."""
    every: bool = False
    """Whether all of them may move."""

    @classmethod
    def of(cls, texts: Iterable[str], *, every: bool = False) -> Weights:
        """What these texts say; one that cannot be read says nothing."""
        written: dict[Place, int] = {}
        moving: set[Place] = set()
        inhibited: set[Place] = set()
        for text in texts:
            written |= weights_in(text)
            for place, real, block in _realservers(text):
                if any(map(_moves, real.body or ())):
                    moving.add(place)
                if _is_inhibited(real, block):
                    inhibited.add(place)
        return cls(written, frozenset(moving), frozenset(inhibited), every)

    def settled(self, table: Table) -> Table:
        """The table with each weight that moves by itself as its file has it."""
        return tuple(
            replace(
                server,
                destinations=tuple(self._settled(server, destination) for destination in server.destinations),
            )
            for server in table
        )

    def moving_in(self, table: Table) -> Iterator[tuple[Key, str]]:
        """The destinations of a table whose weights move."""
        for server in table:
            for destination in server.destinations:
                if self.every or (*server.key, destination.address, destination.port) in self.moving:
                    yield server.key, destination.key

    def _settled(self, server: VirtualServer, destination: Destination) -> Destination:
        place = (*server.key, destination.address, destination.port)
        has_failed = destination.weight == 0 and place in self.inhibited
        if has_failed or not (self.every or place in self.moving):
            return destination
        return replace(destination, weight=self.written.get(place, 1))


def _realservers(text: str) -> Iterable[tuple[Place, Statement, Statement]]:
    try:
        statements = parse(text)
    except TextError:
        return
    for block in statements:
        if (named := names(block)) is not None:
            for real in block.within("real_server"):
                if (own := place_of(real.texts, named[2])) is not None:
                    yield (*named, *own), real, block


def _moves(check: Statement) -> bool:
    """Whether a health check changes the weight of its realserver."""
    match check.texts[0]:
        case "MISC_CHECK":
            return any(True for _ in check.within("misc_dynamic"))
        case "FILE_CHECK":
            weights = [given.texts[1:2] for given in check.within("weight")]
            return weights[-1:] != [("0",)]
    return False


def _is_inhibited(real: Statement, block: Statement) -> bool:
    """What a realserver says itself counts before what its virtual server says."""
    for holder in (real, block):
        said = [setting.texts[1:2] for setting in holder.within("inhibit_on_failure")]
        if said:
            return not (said[-1] and said[-1][0] in _NO)
    return False
