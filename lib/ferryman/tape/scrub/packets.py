"""Packets with pseudonyms in place of their addresses, in every IP header of them, and checksums that fit."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

from scapy.layers.inet import IP, ICMPerror, IPerror, TCPerror, UDPerror
from scapy.layers.inet6 import IPerror6, IPv6

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scapy.packet import Packet

    from ferryman.tape.scrub.addresses import Address, AddressMap

_IPV4 = 4
_HEADERS = (IP, IPv6, IPerror, IPerror6)
_QUOTED = (TCPerror, UDPerror, ICMPerror)
"""What an ICMP error quotes is cut off anywhere, so its checksum cannot be made; it is no address."""


def addresses_of(content: bytes) -> Iterator[Address]:
    """The addresses in the IP headers of a packet, also of the packets within it."""
    packet = _read(content)
    for layer in _layers(packet) if packet is not None else ():
        if isinstance(layer, _HEADERS):
            yield ip_address(layer.src)
            yield ip_address(layer.dst)


def readdressed(content: bytes, addresses: AddressMap) -> bytes:
    """The packet with the pseudonyms of its addresses; as long as it was.

    Of one that cannot be taken apart nothing stays but its version and its length.
    """
    packet = _read(content)
    if packet is None:
        return _emptied(content)
    for layer in _layers(packet):
        if isinstance(layer, _HEADERS):
            layer.src = str(addresses.address(ip_address(layer.src)))
            layer.dst = str(addresses.address(ip_address(layer.dst)))
        if isinstance(layer, _QUOTED):
            continue
        for checksum in ("chksum", "cksum"):
            if checksum in layer.fields:
                delattr(layer, checksum)
    try:
        made = bytes(packet)
    except Exception:  # noqa: BLE001  # scapy raises whatever its layers raise
        return _emptied(content)
    return made if len(made) == len(content) else _emptied(content)


def _emptied(content: bytes) -> bytes:
    return bytes(byte & 0xF0 for byte in content[:1]) + bytes(len(content[1:]))


def _read(content: bytes) -> Packet | None:
    """The packet; None where it is none that can be taken apart: a host may send us anything."""
    try:
        return IP(content) if content[:1] and content[0] >> 4 == _IPV4 else IPv6(content)
    except Exception:  # noqa: BLE001  # as above
        return None


def _layers(packet: Packet) -> Iterator[Packet]:
    number = 0
    while (layer := packet.getlayer(number)) is not None:
        yield layer
        number += 1
