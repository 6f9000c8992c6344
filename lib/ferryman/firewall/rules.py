"""Rules, chains and tables as values, whichever tool they were read from, and what a rule may do."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Literal, Protocol

from ferryman.firewall.protocols import STANDARD
from ferryman.firewall.tracking import INVALID, UNTRACKED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ferryman.firewall.packet import Packet
    from ferryman.firewall.protocols import Protocols
    from ferryman.firewall.tracking import PacketState
    from ferryman.model import Address

Hook = Literal["ingress", "prerouting", "input", "forward", "output", "postrouting"]
CONNTRACK = -200
"""The priority at which connection tracking looks at a packet; chains before it see none of it."""
TRACKING_HOOKS = ("prerouting", "output")
"""The hooks at which it does."""


Destination = tuple["Address", int | None]
"""An address and a port; without one the port stays."""


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
    mss: int | None = None
    """The MSS in bytes that it lowers a SYN's own to; such a rule does nothing else."""


NOTHING = Action(Effect.NOTHING)
Choice = tuple[Action, ...]
"""The alternatives of a statement, of which exactly one takes effect."""


@dataclass(frozen=True, slots=True)
class EvalContext:
    """What a rule is evaluated for: a packet, its state, and the chain that it is in."""

    packet: Packet
    state: PacketState
    priority: int
    hook: str | None = None
    protocols: Protocols = field(default_factory=lambda: STANDARD)

    @property
    def called(self) -> str | None:
        """What connection tracking calls the packet here; None where that cannot be told."""
        if self.state.tracked is None:
            return None
        if not self.state.tracked:
            return UNTRACKED
        before = self.hook == "ingress" or (self.hook in TRACKING_HOOKS and self.priority <= CONNTRACK)
        return INVALID if before else self.state.called

    @property
    def device(self) -> str | None:
        """The device that the packet came in by, as the chain's hook knows it."""
        return "" if self.hook in ("output", "postrouting") else self.packet.device

    @property
    def way_out(self) -> str | None:
        """The device that it leaves by: none before it was routed, and none that is known afterwards."""
        return "" if self.hook in ("ingress", "prerouting", "input") else None


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
