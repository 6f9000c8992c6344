"""Encapsulated SYNs to realservers, as a director in tunnel mode would send them, and what came back.

A SYN/ACK whose MSS fits proves everything at once: the tunnel device, rp_filter, the firewall, the VIP or its
DNAT, the clamp or the pods' MTU, and the way back. Scapy is loaded when the first probe is made.
"""

from ferryman.probe.prober import Prober
from ferryman.probe.targets import (
    StrangerTarget,
    Target,
    brief,
    mss_limit,
    probe_targets,
    stranger_targets,
)
from ferryman.probe.wire import own_source, require_raw_sockets

__all__ = [
    "Prober",
    "StrangerTarget",
    "Target",
    "brief",
    "mss_limit",
    "own_source",
    "probe_targets",
    "require_raw_sockets",
    "stranger_targets",
]
