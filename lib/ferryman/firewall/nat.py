"""Which rule rewrites the destination of a packet: the chains of nat followed as the kernel does.

A packet that came out of the tunnel passes PREROUTING like any other. kube-proxy and Calico write their
rules as chains that jump on; a match that cannot be judged from here (marks, probabilities, sets) is taken
to hold, because the question is whether any rule may rewrite it. The probe has the last word.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ferryman.firewall import Effect, Packet, PacketState, Ruleset

__all__ = ["NatTable", "Packet"]


@dataclass(frozen=True, slots=True)
class NatTable:
    """The rules that may rewrite a packet's destination, as far as they could be read."""

    rules: Ruleset = field(default_factory=Ruleset)

    @property
    def unread(self) -> tuple[str, ...]:
        """Why parts of it could not be read."""
        return self.rules.unread

    def dnat_rule(self, packet: Packet) -> str | None:
        """The rule that gives the packet another destination; None when there is none to be seen."""
        chains = self.rules.ends("prerouting", packet, PacketState(None), "nat")
        return next((end.text for ends in chains for end in ends if end.effect is Effect.DNAT), None)
