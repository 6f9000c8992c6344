"""Packets by template: all but three fields of an encapsulated SYN are the same for thousands of targets."""

from __future__ import annotations

import struct

from ferryman.encapsulation import IP_HEADER

DESTINATION = {4: 16, 6: 24}
"""The place of the destination in an IP header."""
ADDRESS = {4: 4, 6: 16}
"""Bytes of an address."""
CHECKSUM = {4: 10, 6: 6}
"""The place of the header's checksum; IPv6 has none, and what stands there is left as it is."""

ONES_COMPLEMENT = 0xFFFF
"""Internet checksums are sums modulo 65535, in which a number of any length is the sum of its 16-bit words.

So a field that was zero and becomes ``n`` takes ``n`` from the checksum, modulo 65535 (RFC 1624).
"""

SEGMENT = "HHI8sH"
"""Of a TCP header: source port, port, sequence number, acknowledgement to window, checksum."""


class Template:
    """An encapsulated TCP segment whose realserver, source port and sequence number are zero."""

    def __init__(self, packet: bytes) -> None:
        outer = packet[0] >> 4
        inner = packet[IP_HEADER[outer]] >> 4
        self._has_checksum = outer == 4  # noqa: PLR2004  # IPv4
        before = CHECKSUM[outer]
        between = DESTINATION[outer] - before - 2
        behind = IP_HEADER[outer] - DESTINATION[outer] - ADDRESS[outer] + IP_HEADER[inner]
        head = f"!{before}sH{between}s{ADDRESS[outer]}s{behind}s{SEGMENT}"
        layout = struct.Struct(f"{head}{len(packet) - struct.calcsize(head)}s")
        # In one go: a packet that is patched field by field takes twice as long.
        self._pack = layout.pack
        self._before, self._outer_checksum, self._between, _, self._behind, *segment = layout.unpack(packet)
        _, self._port, _, self._middle, self._checksum, self._rest = segment

    def filled(self, realserver: bytes, source_port: int, sequence: int) -> bytes:
        """The packet for one flow, its checksums right; the realserver's address as it is on the wire."""
        outer_checksum = self._outer_checksum
        if self._has_checksum:
            outer_checksum = (outer_checksum - int.from_bytes(realserver, "big")) % ONES_COMPLEMENT
        return self._pack(
            self._before,
            outer_checksum,
            self._between,
            realserver,
            self._behind,
            source_port,
            self._port,
            sequence,
            self._middle,
            (self._checksum - source_port - sequence) % ONES_COMPLEMENT,
            self._rest,
        )
