"""The prober's way to the network, with somebody who hears every packet that goes and comes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ferryman.encapsulation import ICMPV6, IPV6_HEADER
from ferryman.probe.transport import RawTransport

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ferryman.model import Address
    from ferryman.probe.sockets import Arrival


class HearPacket(Protocol):
    """Gets each packet, from its outer IP header on."""

    def __call__(self, *, sent: bool, content: bytes) -> None:
        """Take a packet that was sent, or that was received."""


class HeardTransport:
    """Raw sockets of this host, heard; see ``Transport``."""

    def __init__(self, versions: Iterable[int], heard: HearPacket) -> None:
        self._inner = RawTransport(versions)
        self._heard = heard
        self.source_towards = self._inner.source_towards
        self.lost = self._inner.lost
        self.monotonic = self._inner.monotonic
        self.now_ns = self._inner.now_ns
        self.close = self._inner.close

    def reserve(self, source: Address, count: int) -> list[int]:
        """Reserve ports; nothing is heard of it."""
        return self._inner.reserve(source, count)

    def listen(self, ports: Iterable[int], answers: int) -> None:
        """Begin to receive."""
        self._inner.listen(ports, answers)

    def send(self, packet: bytes | bytearray, destination: str) -> None:
        """Send it, and tell of it once it went."""
        self._inner.send(packet, destination)
        self._heard(sent=True, content=bytes(packet))

    def receive(self, within_s: float) -> Sequence[Arrival]:
        """What has arrived, and tell of it."""
        arrivals = self._inner.receive(within_s)
        for content, _ in arrivals:
            if not _is_neighbour_discovery(content):
                self._heard(sent=False, content=bytes(content))
        return arrivals


def _is_neighbour_discovery(packet: bytes) -> bool:
    """Whether it only asks or says who has an address on a link (RFC 4861: ICMPv6 types 133 to 137)."""
    return (
        packet[0] >> 4 == IPV6
        and packet[_NEXT_HEADER] == ICMPV6
        and len(packet) > IPV6_HEADER
        and packet[IPV6_HEADER] in range(133, 138)
    )


IPV6, _NEXT_HEADER = 6, 6
"""The version, and where in an IPv6 header the number of what follows stands (RFC 8200)."""
