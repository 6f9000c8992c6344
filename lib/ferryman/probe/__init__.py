"""Encapsulated SYNs to realservers, as a director in tunnel mode would send them, and what came back.

A SYN/ACK whose MSS fits proves everything at once: the tunnel device, rp_filter, the firewall, the VIP or its
DNAT, the clamp or the pods' MTU, and the route back. Scapy is loaded when the first probe is made.
"""

from ferryman.encapsulation import mss_limit
from ferryman.probe.aggregate import FROM_BEST_TO_WORST
from ferryman.probe.prober import Prober
from ferryman.probe.targets import (
    SpoofTarget,
    Target,
    patient,
    probe_targets,
    single_try,
    spoof_targets,
    with_own_source,
)
from ferryman.probe.transport import own_source, require_raw_sockets

__all__ = [
    "FROM_BEST_TO_WORST",
    "Prober",
    "SpoofTarget",
    "Target",
    "mss_limit",
    "own_source",
    "patient",
    "probe_targets",
    "require_raw_sockets",
    "single_try",
    "spoof_targets",
    "with_own_source",
]
