"""Encapsulated SYNs to realservers, as a director in tunnel mode would send them, and what came back.

A SYN/ACK whose MSS fits proves everything at once: the tunnel device, rp_filter, the firewall, the VIP or its
DNAT, the clamp or the pods' MTU, and the way back. Scapy is loaded when the first probe is made.
"""

from ferryman.probe.aggregate import FROM_BEST_TO_WORST
from ferryman.probe.prober import Prober
from ferryman.probe.targets import (
    SpoofTarget,
    Target,
    from_here,
    mss_limit,
    probe_targets,
    single_try,
    spoof_targets,
)
from ferryman.probe.transport import own_source, require_raw_sockets

__all__ = [
    "FROM_BEST_TO_WORST",
    "Prober",
    "SpoofTarget",
    "Target",
    "from_here",
    "mss_limit",
    "own_source",
    "probe_targets",
    "require_raw_sockets",
    "single_try",
    "spoof_targets",
]
