"""The prober's way to the network, with somebody who hears every packet that goes and comes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

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
            self._heard(sent=False, content=bytes(content))
        return arrivals
