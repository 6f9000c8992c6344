"""What the kernel keeps about a packet beside its bytes: its mark, and what connection tracking calls it.

Sources: nf_conntrack_core.c and nf_conntrack_proto_tcp.c (the table of TCP's states), xt_CT.c, nft_ct.c; all
of it measured, tests/lab/test_firewall_exchange.py. A SYN that is tracked and a SYN/ACK that is not make the
client's ACK invalid, whatever ``be_liberal`` says. The ACK of a SYN that was not tracked begins a new entry,
unless ``nf_conntrack_tcp_loose`` is 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ferryman.firewall.packet import Step

if TYPE_CHECKING:
    from collections.abc import Hashable

ALL_BITS = 0xFFFFFFFF
NEW, ESTABLISHED, INVALID, UNTRACKED = "new", "established", "invalid", "untracked"
Zones = tuple[int, int]
"""The zone in which each direction of a connection is looked up: the original one, and the replies."""
NO_ZONE: Zones = (0, 0)


@dataclass(slots=True)
class Connection:
    """What connection tracking knows of one connection, after the packets that it has met."""

    loose: bool = True
    """The setting nf_conntrack_tcp_loose."""
    entry: Zones | None = None
    """The zones of its entry; None as long as there is none."""
    replied: bool = False
    """Whether an answer has been seen to belong to it."""
    mark: int | None = 0
    """Its mark; None where that cannot be told."""
    told: bool = True
    """Whether it can be told what connection tracking has met so far."""
    states: dict[Step, str | None] = field(default_factory=dict)
    """What each packet was called, None where that cannot be told."""

    @property
    def halved(self) -> bool:
        """Whether one direction was seen and the other not, as far as it is known."""
        first, answer = self.states.get(Step.FIRST, NEW), self.states.get(Step.ANSWER, ESTABLISHED)
        return (first, answer) not in ((NEW, ESTABLISHED), (UNTRACKED, UNTRACKED))

    def meet(self, step: Step, state: PacketState) -> str | None:
        """Have it meet a packet; what it calls it, None where that cannot be told."""
        self.states[step] = found = self._met(step, state)
        return found

    def _met(self, step: Step, state: PacketState) -> str | None:
        if state.tracked is None or not self.told:
            self.told = False
            return None
        if not state.tracked:
            return UNTRACKED
        zones = state.zones or NO_ZONE
        if step is Step.ANSWER:
            return self._answered(zones)
        if self.entry is not None and self.entry[0] == zones[0]:
            return NEW if step is Step.FIRST else ESTABLISHED if self.replied else INVALID
        if step is Step.CONFIRMED and not self.loose:
            return INVALID
        self.entry, self.replied = zones, False
        return NEW

    def _answered(self, zones: Zones) -> str:
        """A SYN/ACK begins no entry."""
        if self.entry is None or self.entry[1] != zones[1]:
            return INVALID
        self.replied = True
        return ESTABLISHED


@dataclass(slots=True)
class PacketState:
    """What rules change about a packet on its way, and what connection tracking calls it."""

    mark: int | None = 0
    """The packet's mark; None when it cannot be told."""
    tracked: bool | None = True
    """Whether connection tracking sees it; None when it cannot be told."""
    zones: Zones | None = None
    """The zones that a rule gave it before connection tracking; None as long as none did."""
    connection_mark: int | None = 0
    """The mark of its connection; None when it cannot be told."""
    called: str | None = NEW
    """What connection tracking calls it once it has met it, if it is tracked."""

    @property
    def key(self) -> Hashable:
        """All of it, to be compared with another."""
        return self.mark, self.tracked, self.zones, self.connection_mark, self.called

    def copy(self) -> PacketState:
        """A copy that changes apart from this one."""
        return PacketState(self.mark, self.tracked, self.zones, self.connection_mark, self.called)

    def become(self, other: PacketState) -> None:
        """Take over all that another has."""
        self.mark, self.tracked, self.zones = other.mark, other.tracked, other.zones
        self.connection_mark, self.called = other.connection_mark, other.called

    def forget_changes(self, before: PacketState) -> None:
        """Make unknown whatever differs from ``before``: a rule that may have matched changed it."""
        self.mark = self.mark if self.mark == before.mark else None
        if self.connection_mark != before.connection_mark:
            self.connection_mark = None
        same = (self.tracked, self.zones) == (before.tracked, before.zones)
        self.tracked = self.tracked if same else None

    def set_mark(self, value: int, mask: int = ALL_BITS) -> None:
        """Change the mark as ``--set-xmark value/mask`` does: clear the mask's bits, then XOR the value."""
        if self.mark is not None or mask == ALL_BITS:
            self.mark = ((self.mark or 0) & ~mask & ALL_BITS) ^ value

    def untrack(self) -> None:
        """Keep connection tracking from it; what an earlier rule said of it stays."""
        if self.zones is None and self.tracked is not None:
            self.tracked = False

    def put_into(self, zones: Zones | None) -> None:
        """Give it zones, None for ones that are not known; what an earlier rule said of it stays."""
        if self.zones is None and self.tracked:
            self.zones = zones or NO_ZONE
            self.tracked = None if zones is None else True
