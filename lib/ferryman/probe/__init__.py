"""One encapsulated SYN to each realserver, as a director in tunnel mode would send it, and what came back.

A SYN/ACK whose MSS fits proves everything at once: the tunnel device, rp_filter, the firewall, the VIP or its
DNAT, the clamp or the pods' MTU, and the way back. Scapy is loaded when the first probe is made.
"""

from ferryman.probe.prober import Prober
from ferryman.probe.targets import Target, mss_limit, probe_targets
from ferryman.probe.wire import require_raw_sockets

__all__ = ["Prober", "Target", "mss_limit", "probe_targets", "require_raw_sockets"]
