"""All rules of a host, evaluated for a packet in the order in which the kernel does.

A rule whose match cannot be judged from here may hold or not, so a packet may have several ends. They are all
collected: it is let in for sure when none of them is a drop.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING

from ferryman.firewall.packet import Step
from ferryman.firewall.protocols import STANDARD
from ferryman.firewall.rules import CONNTRACK, TRACKING_HOOKS, Effect, End, EvalContext
from ferryman.firewall.tracking import ESTABLISHED, NEW, Connection, PacketState
from ferryman.firewall.walk import Walk, Work

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ferryman.firewall.packet import Packet
    from ferryman.firewall.protocols import Protocols
    from ferryman.firewall.rules import Chain, Choice, Hook, Rule, Table

FOLLOWED = 4
"""Destinations of one packet that are followed further; the pods of a service are alike to the rules."""


class PacketVerdict(Enum):
    """What becomes of a packet; ``UNKNOWN`` where the rules alone do not tell."""

    ACCEPT = "let in"
    UNKNOWN = "uncertain"
    DROP = "dropped"

    @property
    def severity(self) -> int:
        """How bad it is: the larger, the worse."""
        return list(PacketVerdict).index(self)


@dataclass(frozen=True, slots=True)
class Traversal:
    """The verdict on a packet, and the rule that decides it."""

    verdict: PacketVerdict
    by: End | None
    mark: int | None
    """The mark that the packet has at the end."""
    step: Step = Step.FIRST
    halved: bool = False
    """Whether connection tracking sees one direction of its connection and not the other."""


@dataclass(slots=True)
class _Flow:
    """A flow that is being followed: what is known of it after its packets so far."""

    connection: Connection
    work: Work
    routed: Sequence[Packet] = ()
    """Its first packet as it is sent on, once for each of its destinations."""


@dataclass(frozen=True, slots=True)
class Ruleset:
    """All that is known of a host's rules."""

    tables: tuple[Table, ...] = ()
    unread: tuple[str, ...] = ()
    """Why parts of it could not be read."""
    protocols: Protocols = field(default_factory=lambda: STANDARD, compare=False)
    """What the host calls the IP protocols."""
    tcp_loose: bool = True
    """Its setting nf_conntrack_tcp_loose."""

    def traverse(self, packet: Packet, mark: int | None = 0) -> Traversal:
        """Evaluate all rules from the device to a socket, or to a pod when a rule sends the packet there."""
        return self._comes_in(packet, mark, self._flow())

    def exchange(self, packet: Packet, mark: int | None = 0) -> Traversal:
        """Evaluate the handshake that a TCP packet begins: itself, the answer, and the client's ACK.

        A SYN is no connection: rules may let it in and drop what follows. The answer counts only where it is
        dropped for sure, for it leaves in the same way without a tunnel.
        """
        flow = self._flow()
        first = self._comes_in(packet, mark, flow)
        if packet.protocol != "tcp" or first.verdict is not PacketVerdict.ACCEPT:
            return first
        answer = self._goes_out(packet, flow)
        if answer.verdict is PacketVerdict.DROP:
            return answer
        confirmed = self._comes_in(replace(packet, step=Step.CONFIRMED), mark, flow)
        return first if confirmed.verdict is PacketVerdict.ACCEPT else confirmed

    def _flow(self) -> _Flow:
        return _Flow(Connection(self.tcp_loose), self._work())

    def _work(self) -> Work:
        return Work.on(sum(len(chain.rules) for table in self.tables for chain in table.chains.values()))

    def _comes_in(self, packet: Packet, mark: int | None, flow: _Flow) -> Traversal:
        state = PacketState(mark, connection_mark=flow.connection.mark)
        met = self._ends("ingress", packet, state, flow) + self._ends("prerouting", packet, state, flow)
        if packet.step is Step.FIRST or state.called != ESTABLISHED:
            taken = [end for ends in met for end in ends if end.effect is Effect.DNAT]
            routed = list(dict.fromkeys(_redirected(packet, end) for end in taken))[:FOLLOWED] or [packet]
        else:
            routed = [replace(sent, step=packet.step) for sent in flow.routed]
        if packet.step is Step.FIRST:
            flow.routed = routed
        traversals = [self._routed(sent, state.copy(), met, flow) for sent in routed]
        worst = max(traversals, key=lambda traversal: traversal.verdict.severity)
        if any(traversal.verdict is not worst.verdict for traversal in traversals):
            return replace(worst, verdict=PacketVerdict.UNKNOWN)
        return worst

    def _routed(self, packet: Packet, state: PacketState, met: list[list[End]], flow: _Flow) -> Traversal:
        hook: Hook = "forward" if packet.rewritten and not packet.local else "input"
        ends = met + self._ends(hook, packet, state, flow)
        if state.connection_mark != flow.connection.mark:
            flow.connection.mark = None
        return _traversal(ends, state, packet.step, flow.connection)

    def _goes_out(self, packet: Packet, flow: _Flow) -> Traversal:
        """Evaluate all rules for the answer to a packet, from a socket here or from a pod."""
        (sent, *_), state = flow.routed, PacketState(connection_mark=flow.connection.mark)
        forwarded = sent.rewritten and not sent.local
        answer = replace(
            packet,
            address=packet.source or packet.address,
            port=None,
            device=None if forwarded else "",
            local=False,
            source=None if sent.somewhere else sent.address,
            source_port=sent.port,
            somewhere=packet.source is None,
            unwrapped=False,
            step=Step.ANSWER,
        )
        hooks: tuple[Hook, ...] = ("prerouting", "forward") if forwarded else ("output",)
        met = [ends for hook in (*hooks, "postrouting") for ends in self._ends(hook, answer, state, flow)]
        return _traversal(met, state, Step.ANSWER, flow.connection)

    def ends(
        self, hook: Hook, packet: Packet, state: PacketState, kind: str | None = None
    ) -> list[list[End]]:
        """The possible ends in each base chain of a hook, in the order in which the packet meets them."""
        return self._ends(hook, packet, state, _Flow(Connection(self.tcp_loose), self._work()), kind)

    def _ends(
        self, hook: Hook, packet: Packet, state: PacketState, flow: _Flow, kind: str | None = None
    ) -> list[list[End]]:
        met = [(table, base) for table, base in self._bases(hook, packet) if kind in (None, base.kind)]
        met.sort(key=lambda place: place[1].priority)
        untracked = hook in TRACKING_HOOKS
        found: list[list[End]] = []
        for table, base in met:
            if untracked and base.priority > CONNTRACK:
                state.called, untracked = flow.connection.meet(packet.step, state), False
            if base.kind == "nat" and not _may_be_translated(state):
                continue
            walk = Walk(table, base, packet, state, self.protocols, flow.work)
            found.append(walk.ends() + _may_be_skipped(table, base))
        if untracked:
            state.called = flow.connection.meet(packet.step, state)
        return found

    def _bases(self, hook: Hook, packet: Packet) -> Iterator[tuple[Table, Chain]]:
        for table in self.tables:
            if packet.address.version in table.versions:
                for chain in table.chains.values():
                    if chain.hook == hook and (not chain.devices or packet.device in chain.devices):
                        yield table, chain

    def choices(
        self, rule: Rule, packet: Packet, hook: str | None = None, mark: int | None = None
    ) -> Iterator[Choice]:
        """What a rule may do to a packet that meets it, whatever was done to that before.

        With ``mark``, to a packet of that mark.
        """
        yield from rule.steps(EvalContext(packet, PacketState(mark, None), 0, hook, self.protocols))


def _may_be_translated(state: PacketState) -> bool:
    """Chains of nat see the first packet of a connection alone, and none that is not tracked."""
    return state.tracked is not False and state.called in (NEW, None)


def _may_be_skipped(table: Table, base: Chain) -> list[End]:
    """A chain of a device that nft does not name (1.0.6 in JSON) may never meet the packet."""
    if base.hook == "ingress" and not base.devices:
        return [End(Effect.ACCEPT, table, base, base.name, "bound to another device")]
    return []


def _redirected(packet: Packet, end: End) -> Packet:
    """The packet with the destination that a rule gave it."""
    if end.to is None or end.to_this_host:
        return replace(packet, somewhere=True, port=None, local=end.to_this_host, holder=None, rewritten=True)
    address, port = end.to
    return replace(
        packet, address=address, port=port or packet.port, local=False, holder=None, rewritten=True
    )


def _traversal(
    chains: Iterable[list[End]], state: PacketState, step: Step, connection: Connection
) -> Traversal:
    doubt: End | None = None
    for ends in chains:
        bad = [end for end in ends if end.effect in (Effect.DROP, Effect.OPAQUE)]
        if bad and all(end.effect is Effect.DROP for end in ends):
            return Traversal(PacketVerdict.DROP, bad[0], state.mark, step, connection.halved)
        doubt = doubt or (bad[0] if bad else None)
    verdict = PacketVerdict.UNKNOWN if doubt else PacketVerdict.ACCEPT
    return Traversal(verdict, doubt, state.mark, step, connection.halved)
