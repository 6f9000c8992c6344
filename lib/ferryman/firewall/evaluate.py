"""Chains of rules, evaluated for a packet in the order in which the kernel does.

A rule whose match cannot be judged from here may hold or not, so a packet may have several ends. They are all
collected: it is let in for sure when none of them is a drop.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING, Literal, Protocol

from ferryman.firewall.packet import PacketState

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


class Effect(Enum):
    """The effect that a rule may have on a packet."""

    NOTHING = "nothing"
    ACCEPT = "accept"
    DROP = "drop"
    DNAT = "dnat"
    """Give it another destination."""
    OPAQUE = "opaque"
    """Hand it to something that cannot be evaluated: it may come back, or not."""
    JUMP = "jump"
    GOTO = "goto"
    RETURN = "return"
    CHANGE_STATE = "change-state"
    """Change what the kernel keeps about it beside its bytes: its mark, or whether it is tracked."""


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that a rule may do."""

    effect: Effect
    chain: str = ""
    change: Callable[[PacketState], None] | None = None
    to_this_host: bool = False
    """Whether the new destination is this host itself."""
    to: Destination | None = None
    """The new destination, as far as one rule says so."""


NOTHING = Action(Effect.NOTHING)
Choice = tuple[Action, ...]
"""The alternatives of a statement, of which exactly one takes effect."""


@dataclass(frozen=True, slots=True)
class EvalContext:
    """What a rule is evaluated for: a packet, its state, and the priority of the chain that it is in."""

    packet: Packet
    state: PacketState
    priority: int


class Rule(Protocol):
    """One rule of a chain, of iptables or of nftables."""

    @property
    def text(self) -> str:
        """The rule as the tool that shows it writes it."""

    def steps(self, context: EvalContext) -> Iterator[Choice]:
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
    """Whether its policy lets a packet through that reaches its end."""
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

    effect: Effect
    table: Table
    base: Chain
    chain: str
    text: str
    """The text of the rule that ends the way, or the policy."""
    to_this_host: bool = False
    to: Destination | None = None

    def __str__(self) -> str:
        return f"{self.table} {self.chain}: {self.text}"


class PacketVerdict(Enum):
    """What becomes of a packet; ``UNKNOWN`` where the rules alone do not tell."""

    ACCEPT = "let in"
    UNKNOWN = "uncertain"
    DROP = "dropped"


@dataclass(frozen=True, slots=True)
class Traversal:
    """The verdict on a packet, and the rule that decides it."""

    verdict: PacketVerdict
    by: End | None
    mark: int | None
    """The mark that the packet has at the end."""


@dataclass(frozen=True, slots=True)
class Ruleset:
    """All that is known of a host's rules."""

    tables: tuple[Table, ...] = ()
    unread: tuple[str, ...] = ()
    """Why parts of it could not be read."""

    def traverse(self, packet: Packet, mark: int | None = 0) -> Traversal:
        """Evaluate all rules from the device to a socket, or to a pod when a rule sends the packet there."""
        state = PacketState(mark)
        met = self.ends("ingress", packet, state) + self.ends("prerouting", packet, state)
        taken = [end for ends in met for end in ends if end.effect is Effect.DNAT]
        routed = list(dict.fromkeys(_redirected(packet, end) for end in taken))[:FOLLOWED] or [packet]
        traversals = [self._routed(sent, state.copy(), met) for sent in routed]
        worst = max(traversals, key=lambda traversal: list(PacketVerdict).index(traversal.verdict))
        if any(traversal.verdict is not worst.verdict for traversal in traversals):
            return replace(worst, verdict=PacketVerdict.UNKNOWN)
        return worst

    def _routed(self, packet: Packet, state: PacketState, met: list[list[End]]) -> Traversal:
        hook: Hook = "forward" if packet.rewritten and not packet.local else "input"
        return _traversal(met + self.ends(hook, packet, state), state.mark)

    def ends(
        self, hook: Hook, packet: Packet, state: PacketState, kind: str | None = None
    ) -> list[list[End]]:
        """The possible ends in each base chain of a hook, in the order in which the packet meets them."""
        met = [(table, base) for table, base in self._bases(hook, packet) if kind in (None, base.kind)]
        met.sort(key=lambda place: place[1].priority)
        return [
            _ChainTraversal(table, base, packet, state).ends() + _may_be_skipped(table, base)
            for table, base in met
        ]

    def _bases(self, hook: Hook, packet: Packet) -> Iterator[tuple[Table, Chain]]:
        for table in self.tables:
            if packet.address.version in table.versions:
                for chain in table.chains.values():
                    if chain.hook == hook and (not chain.devices or packet.device in chain.devices):
                        yield table, chain


def _may_be_skipped(table: Table, base: Chain) -> list[End]:
    """A chain of a device that nft does not name (1.0.6 in JSON) may never meet the packet."""
    if base.hook == "ingress" and not base.devices:
        return [End(Effect.ACCEPT, table, base, base.name, "bound to another device")]
    return []


def _redirected(packet: Packet, end: End) -> Packet:
    """The packet with the destination that a rule gave it."""
    if end.to is None or end.to_this_host:
        return replace(packet, somewhere=True, port=None, local=end.to_this_host, rewritten=True)
    address, port = end.to
    return replace(packet, address=address, port=port or packet.port, local=False, rewritten=True)


def _traversal(chains: Iterable[list[End]], mark: int | None) -> Traversal:
    doubt: End | None = None
    for ends in chains:
        bad = [end for end in ends if end.effect in (Effect.DROP, Effect.OPAQUE)]
        if bad and all(end.effect is Effect.DROP for end in ends):
            return Traversal(PacketVerdict.DROP, bad[0], mark)
        doubt = doubt or (bad[0] if bad else None)
    return Traversal(PacketVerdict.UNKNOWN if doubt else PacketVerdict.ACCEPT, doubt, mark)


@dataclass(slots=True)
class _ChainTraversal:
    """The evaluation of one base chain for a packet."""

    table: Table
    base: Chain
    packet: Packet
    state: PacketState
    found: list[End] = field(default_factory=list)

    def ends(self) -> list[End]:
        if self._through(self.base.name, frozenset()):
            effect = Effect.ACCEPT if self.base.accepts else Effect.DROP
            self._end(Action(effect), self.base.name, f"policy {effect.value}")
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
        for choice in rule.steps(EvalContext(self.packet, self.state, self.base.priority)):
            before = self.state.copy()
            results = [self._act(action, rule, chain, above) for action in choice]
            if len(choice) > 1:
                self.state.forget_changes(before)
            left = left or any(leaves for _, leaves in results)
            if not any(on for on, _ in results):
                return False, left
        return True, left

    def _act(self, action: Action, rule: Rule, chain: str, above: frozenset[str]) -> tuple[bool, bool]:
        match action.effect:
            case Effect.JUMP:
                return self._through(action.chain, above), False
            case Effect.GOTO:
                return False, self._through(action.chain, above)
            case Effect.RETURN:
                return False, True
            case Effect.CHANGE_STATE:
                if action.change is not None:
                    action.change(self.state)
                return True, False
            case Effect.NOTHING:
                return True, False
        self._end(action, chain, rule.text)
        return action.effect is Effect.OPAQUE, False

    def _end(self, action: Action, chain: str, text: str) -> None:
        self.found.append(
            End(action.effect, self.table, self.base, chain, text, action.to_this_host, action.to)
        )
