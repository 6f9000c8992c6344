"""Path MTU and its discovery: the largest packet that gets to a host, and whether routers tell what fits.

Packets of exact sizes that may not be fragmented, as echo requests, SYNs with data and UDP; and what comes of
DNS answers that are larger than the path takes in one piece.
"""

from ferryman.probe.path_mtu.prober import ask_dns, measure_paths
from ferryman.probe.path_mtu.results import (
    DnsQuestion,
    DnsResult,
    DnsVerdict,
    PathMtuResult,
    PathMtuTarget,
    PathMtuVerdict,
    TooBigTold,
)

__all__ = [
    "DnsQuestion",
    "DnsResult",
    "DnsVerdict",
    "PathMtuResult",
    "PathMtuTarget",
    "PathMtuVerdict",
    "TooBigTold",
    "ask_dns",
    "measure_paths",
]
