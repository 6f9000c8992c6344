"""Packets by template: all but three fields of an encapsulated SYN are the same for thousands of targets."""

from __future__ import annotations

import struct

from ferryman.encapsulation import IP_HEADER

DESTINATION = {4: slice(16, 20), 6: slice(24, 40)}
"""The place of the destination in an IP header."""
IPV4_CHECKSUM = 10

ONES_COMPLEMENT = 0xFFFF
"""Internet checksums are sums modulo 65535, in which a number of any length is the sum of its 16-bit words.

So a field that was zero and becomes ``n`` takes ``n`` from the checksum, modulo 65535 (RFC 1624).
"""

_word = struct.Struct("!H")
_tcp = struct.Struct("!HHI8sH")
"""Source port, port, sequence number, acknowledgement to window, checksum."""


class Template:
    """An encapsulated TCP segment whose realserver, source port and sequence number are zero."""

    def __init__(self, packet: bytes) -> None:
        self._packet = packet
        outer = packet[0] >> 4
        inner = packet[IP_HEADER[outer]] >> 4
        self._destination = DESTINATION[outer]
        self._outer_checksum = _word.unpack_from(packet, IPV4_CHECKSUM)[0] if outer == 4 else None  # noqa: PLR2004  # IPv4
        self._tcp_at = IP_HEADER[outer] + IP_HEADER[inner]
        _, self._port, _, self._middle, self._checksum = _tcp.unpack_from(packet, self._tcp_at)

    def filled(self, realserver: bytes, source_port: int, sequence: int) -> bytearray:
        """The packet for one flow, its checksums right; the realserver's address as it is on the wire."""
        packet = bytearray(self._packet)
        packet[self._destination] = realserver
        if self._outer_checksum is not None:
            checksum = (self._outer_checksum - int.from_bytes(realserver, "big")) % ONES_COMPLEMENT
            _word.pack_into(packet, IPV4_CHECKSUM, checksum)
        checksum = (self._checksum - source_port - sequence) % ONES_COMPLEMENT
        _tcp.pack_into(packet, self._tcp_at, source_port, self._port, sequence, self._middle, checksum)
        return packet
