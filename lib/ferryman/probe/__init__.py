"""Encapsulated SYNs to realservers, as a director in tunnel mode would send them, and what came back.

A SYN/ACK whose MSS fits proves everything at once: the tunnel device, rp_filter, the firewall, the VIP or its
DNAT, the clamp or the pods' MTU, and the way back. Scapy is loaded when the first probe is made.
"""

from ferryman.probe.prober import Prober
from ferryman.probe.tally import FROM_BEST_TO_WORST
from ferryman.probe.targets import (
    StrangerTarget,
    Target,
    brief,
    from_here,
    mss_limit,
    probe_targets,
    stranger_targets,
)
from ferryman.probe.wire import own_source, require_raw_sockets

__all__ = [
    "FROM_BEST_TO_WORST",
    "Prober",
    "StrangerTarget",
    "Target",
    "brief",
    "from_here",
    "mss_limit",
    "own_source",
    "probe_targets",
    "require_raw_sockets",
    "stranger_targets",
]
