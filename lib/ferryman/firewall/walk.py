"""A packet's way through one base chain and the chains that it jumps to.

A chain is followed once for each state that the packet has at its beginning: what it does to the packet and
which ends it has depend on nothing else. So chains that jump twice to the next one, and that to the next,
cost no more than their rules. How deep they jump does not matter either, for the way is no recursion.
"""

from __future__ import annotations

from collections.abc import Generator, Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ferryman.firewall.rules import Action, Effect, End, EvalContext

if TYPE_CHECKING:
    from ferryman.firewall.packet import Packet
    from ferryman.firewall.protocols import Protocols
    from ferryman.firewall.rules import Chain, Rule, Table
    from ferryman.firewall.tracking import PacketState

Through = Generator["Through", bool, bool]
"""A chain being followed: it yields the chains it jumps to, gets whether the packet comes out of them, and
returns that of itself."""
FURTHER = 4
"""How often each rule may be evaluated for one packet, on the average: rules that change the packet's mark
may lead it through a chain again and again."""
AT_LEAST = 10_000
"""Evaluations that are made in any case."""
TOO_MANY = "too many ways through its chains to follow"


@dataclass(slots=True)
class Work:
    """The evaluations of rules that are left for a packet; without an end there would be rules to stop us."""

    left: int

    @classmethod
    def on(cls, rules: int) -> Work:
        """The work that is done on so many rules."""
        return cls(FURTHER * rules + AT_LEAST)


@dataclass(slots=True)
class Walk:
    """The way of a packet through one base chain."""

    table: Table
    base: Chain
    packet: Packet
    state: PacketState
    protocols: Protocols
    work: Work
    found: list[End] = field(default_factory=list)
    known: dict[tuple[str, Hashable], tuple[bool, PacketState]] = field(default_factory=dict)
    """Whether the packet comes out of a chain, and its state then, by the chain and its state before."""
    above: set[str] = field(default_factory=set)
    """The chains that it is in."""

    def ends(self) -> list[End]:
        """All ends that its way may have."""
        if self._followed():
            effect = Effect.ACCEPT if self.base.accepts else Effect.DROP
            self._end(Action(effect), self.base.name, f"policy {effect.value}")
        return list({(end.effect, end.chain, end.text, end.to): end for end in self.found}.values())

    def _followed(self) -> bool:
        """Whether the packet comes out of the base chain; the chains that it is in are kept in a list."""
        way: list[Through] = [self._through(self.base.name)]
        comes_out: bool | None = None
        while way:
            try:
                way.append(next(way[-1]) if comes_out is None else way[-1].send(comes_out))
                comes_out = None
            except StopIteration as done:
                way.pop()
                comes_out = bool(done.value)
        return bool(comes_out)

    def _through(self, name: str) -> Through:
        """Whether the packet may come out of the chain again, at its end or before."""
        if name not in self.table.chains or name in self.above:
            return True
        place = name, self.state.key
        if place in self.known:
            comes_out, after = self.known[place]
            self.state.become(after)
            return comes_out
        self.above.add(name)
        comes_out = yield from self._rules(name)
        self.above.remove(name)
        self.known[place] = comes_out, self.state.copy()
        return comes_out

    def _rules(self, name: str) -> Generator[Through, bool, bool]:
        out: PacketState | None = None
        for rule in self.table.chains[name].rules:
            if self.work.left <= 0:
                self._end(Action(Effect.OPAQUE), name, TOO_MANY)
                break
            self.work.left -= 1
            on, left = yield from self._rule(rule, name)
            if left:
                out = self._either(out)
            if not on:
                self.state.become(out or self.state)
                return out is not None
        if out is not None:
            self.state.forget_changes(out)
        return True

    def _either(self, other: PacketState | None) -> PacketState:
        """The packet's state now or this other one."""
        now = self.state.copy()
        if other is not None:
            now.forget_changes(other)
        return now

    def _rule(self, rule: Rule, chain: str) -> Generator[Through, bool, tuple[bool, bool]]:
        """Whether the packet may go on to the next rule, and whether it may leave the chain."""
        left = False
        context = EvalContext(self.packet, self.state, self.base.priority, self.base.hook, self.protocols)
        for choice in rule.steps(context):
            if len(choice) == 1:
                on, leaves = yield from self._act(choice[0], rule, chain)
                left = left or leaves
                if not on:
                    return False, left
                continue
            before = self.state.copy()
            after: PacketState | None = None
            on = False
            for action in choice:
                self.state.become(before)
                goes_on, leaves = yield from self._act(action, rule, chain)
                if goes_on or leaves:
                    after = self._either(after)
                on, left = on or goes_on, left or leaves
            self.state.become(after or before)
            if not on:
                return False, left
        return True, left

    def _act(self, action: Action, rule: Rule, chain: str) -> Generator[Through, bool, tuple[bool, bool]]:
        match action.effect:
            case Effect.JUMP:
                return (yield self._through(action.chain)), False
            case Effect.GOTO:
                return False, (yield self._through(action.chain))
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
