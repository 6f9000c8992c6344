"""Chains of rules, and the way of a packet through them as the kernel goes it.

A rule whose match cannot be judged from here may hold or not, so a packet may have several ends. They are all
collected: it is let in for sure when none of them is a drop.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING, Literal, Protocol

from ferryman.firewall.packet import Notes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from ferryman.firewall.packet import Packet
    from ferryman.model import Address

Hook = Literal["ingress", "prerouting", "input", "forward"]
CONNTRACK = -200
"""The priority at which connection tracking looks at a packet; chains before it see none of it."""


Destination = tuple["Address", int | None]
"""An address and a port; without one the port stays."""
FOLLOWED = 4
"""Destinations of one packet that are followed further; the pods of a service are alike to the rules."""


class Does(Enum):
    """What a rule may do to a packet."""

    NOTHING = "nothing"
    ACCEPT = "accept"
    DROP = "drop"
    TAKE = "take"
    """Give it another destination."""
    HIDE = "hide"
    """Hand it to something that cannot be looked into: it may come back, or not."""
    JUMP = "jump"
    GOTO = "goto"
    RETURN = "return"
    NOTE = "note"
    """Change what is noted about it."""


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that a rule may do."""

    does: Does
    chain: str = ""
    note: Callable[[Notes], None] | None = None
    here: bool = False
    """Whether what takes it is this host itself."""
    to: Destination | None = None
    """Where what takes it sends it, as far as one rule says so."""


NOTHING = Action(Does.NOTHING)
Choice = tuple[Action, ...]
"""What may happen, of which one does."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A packet at a place on its way."""

    packet: Packet
    notes: Notes
    priority: int


class Rule(Protocol):
    """One rule."""

    @property
    def text(self) -> str:
        """As the tool writes it."""

    def steps(self, moment: Moment) -> Iterator[Choice]:
        """What it does to the packet, one after the other; nothing when it does not match."""


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain; one with a hook is where packets come in."""

    name: str
    rules: Sequence[Rule] = ()
    hook: str | None = None
    kind: str = "filter"
    priority: int = 0
    accepts: bool = True
    """Its policy."""
    devices: tuple[str, ...] = ()
    """What a chain of the hook ``ingress`` is bound to; none where nft does not say."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table; chains of one table alone can jump to each other."""

    tool: str
    """The command that shows it and changes it: ``nft``, ``iptables-legacy``, …"""
    family: str
    name: str
    versions: frozenset[int]
    """The IP versions of the packets it sees."""
    chains: Mapping[str, Chain] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.tool} {f'{self.family} ' if self.tool == 'nft' else ''}{self.name}"


@dataclass(frozen=True, slots=True)
class End:
    """One possible end of a packet's way through a base chain."""

    does: Does
    table: Table
    base: Chain
    chain: str
    text: str
    """The rule, or the policy."""
    here: bool = False
    to: Destination | None = None

    def __str__(self) -> str:
        return f"{self.table} {self.chain}: {self.text}"


class Fate(Enum):
    """What becomes of a packet."""

    IN = "let in"
    DOUBT = "uncertain"
    OUT = "dropped"


@dataclass(frozen=True, slots=True)
class Passage:
    """What becomes of a packet, and the rule that decides it."""

    fate: Fate
    by: End | None
    mark: int | None
    """The mark that it leaves with."""


@dataclass(frozen=True, slots=True)
class Ruleset:
    """All that is known of a host's rules."""

    tables: tuple[Table, ...] = ()
    unread: tuple[str, ...] = ()
    """Why parts of it could not be read."""

    def passage(self, packet: Packet, mark: int | None = 0) -> Passage:
        """The way of a packet from the device to a socket, or on to a pod when a rule takes it."""
        notes = Notes(mark)
        met = self.ends("ingress", packet, notes) + self.ends("prerouting", packet, notes)
        taken = [end for ends in met for end in ends if end.does is Does.TAKE]
        routed = list(dict.fromkeys(_sent(packet, end) for end in taken))[:FOLLOWED] or [packet]
        passages = [self._routed(one, notes.copy(), met) for one in routed]
        worst = max(passages, key=lambda one: list(Fate).index(one.fate))
        if any(passage.fate is not worst.fate for passage in passages):
            return replace(worst, fate=Fate.DOUBT)
        return worst

    def _routed(self, packet: Packet, notes: Notes, met: list[list[End]]) -> Passage:
        hook: Hook = "forward" if packet.rewritten and not packet.local else "input"
        return _passage(met + self.ends(hook, packet, notes), notes.mark)

    def ends(self, hook: Hook, packet: Packet, notes: Notes, kind: str | None = None) -> list[list[End]]:
        """The possible ends in each base chain of a hook, in the order in which the packet meets them."""
        met = [one for one in self._bases(hook, packet) if kind in (None, one[1].kind)]
        met.sort(key=lambda one: one[1].priority)
        return [_Walk(table, base, packet, notes).ends() + _passed_by(table, base) for table, base in met]

    def _bases(self, hook: Hook, packet: Packet) -> Iterator[tuple[Table, Chain]]:
        for table in self.tables:
            if packet.address.version in table.versions:
                for chain in table.chains.values():
                    if chain.hook == hook and (not chain.devices or packet.device in chain.devices):
                        yield table, chain


def _passed_by(table: Table, base: Chain) -> list[End]:
    """A chain of a device that nft does not name (1.0.6 in JSON) may never meet the packet."""
    if base.hook == "ingress" and not base.devices:
        return [End(Does.ACCEPT, table, base, base.name, "bound to another device")]
    return []


def _sent(packet: Packet, end: End) -> Packet:
    """The packet with the destination that a rule gave it."""
    if end.to is None or end.here:
        return replace(packet, somewhere=True, port=None, local=end.here, rewritten=True)
    address, port = end.to
    return replace(packet, address=address, port=port or packet.port, local=False, rewritten=True)


def _passage(chains: Iterable[list[End]], mark: int | None) -> Passage:
    doubt: End | None = None
    for ends in chains:
        bad = [end for end in ends if end.does in (Does.DROP, Does.HIDE)]
        if bad and all(end.does is Does.DROP for end in ends):
            return Passage(Fate.OUT, bad[0], mark)
        doubt = doubt or (bad[0] if bad else None)
    return Passage(Fate.DOUBT if doubt else Fate.IN, doubt, mark)


@dataclass(slots=True)
class _Walk:
    """A packet's way through one base chain."""

    table: Table
    base: Chain
    packet: Packet
    notes: Notes
    found: list[End] = field(default_factory=list)

    def ends(self) -> list[End]:
        if self._through(self.base.name, frozenset()):
            does = Does.ACCEPT if self.base.accepts else Does.DROP
            self._end(Action(does), self.base.name, f"policy {does.value}")
        return self.found

    def _through(self, name: str, above: frozenset[str]) -> bool:
        """Whether the packet may come out of the chain again, at its end or before."""
        if name not in self.table.chains or name in above:
            return True
        leaves = False
        for rule in self.table.chains[name].rules:
            on, left = self._rule(rule, name, above | {name})
            leaves = leaves or left
            if not on:
                return leaves
        return True

    def _rule(self, rule: Rule, chain: str, above: frozenset[str]) -> tuple[bool, bool]:
        """Whether the packet may go on to the next rule, and whether it may leave the chain."""
        left = False
        for choice in rule.steps(Moment(self.packet, self.notes, self.base.priority)):
            before = self.notes.copy()
            ways = [self._act(action, rule, chain, above) for action in choice]
            if len(choice) > 1:
                self.notes.doubt(before)
            left = left or any(leaves for _, leaves in ways)
            if not any(on for on, _ in ways):
                return False, left
        return True, left

    def _act(self, action: Action, rule: Rule, chain: str, above: frozenset[str]) -> tuple[bool, bool]:
        match action.does:
            case Does.JUMP:
                return self._through(action.chain, above), False
            case Does.GOTO:
                return False, self._through(action.chain, above)
            case Does.RETURN:
                return False, True
            case Does.NOTE:
                if action.note is not None:
                    action.note(self.notes)
                return True, False
            case Does.NOTHING:
                return True, False
        self._end(action, chain, rule.text)
        return action.does is Does.HIDE, False

    def _end(self, action: Action, chain: str, text: str) -> None:
        self.found.append(End(action.does, self.table, self.base, chain, text, action.here, action.to))
