"""Check ``udp``: nothing makes a UDP service's packets small enough by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.model import Finding, Verdict
from ferryman.realservers.checks.mss_clamp import packet_limit_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferryman.model import Realserver, Service
    from ferryman.realservers.facts import Facts

CHECK = "udp"


def udp(service: Service, realserver: Realserver, _: Facts) -> Iterator[Finding]:
    """A UDP service's datagrams are small enough by what its programs do, for UDP has no MSS to clamp.

    Sources: RFC 8085, section 3.2; RFC 2003, section 5. What is larger than path_mtu less the outer header
    needs path MTU discovery, or is fragmented on the way. No probe is sent for UDP, so nothing proves it.
    """
    for virtual in service.virtual_services:
        if virtual.protocol == "udp":
            largest = packet_limit_for(virtual, realserver)
            seen = f"nothing keeps the datagrams that clients send to {virtual} small, and no probe asks"
            remedy = (
                f"see that clients send {largest} bytes at most: "
                f"tcpdump -ni any 'udp dst port {virtual.port}'"
            )
            wanted = f"inner packets of {largest} bytes at most"
            yield Finding(CHECK, realserver.host, Verdict.WARN, seen, wanted, remedy)
