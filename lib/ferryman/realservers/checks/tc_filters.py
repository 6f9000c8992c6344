"""Which filters of tc(8) a packet meets, and what they make of it; what cannot be told is said to be so."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ferryman.model import Address
    from ferryman.realservers.facts.early import Filter, Way

IPV4_BYTES, IPV6_BYTES = 20, 40
DEEPEST = 8
"""How many ``goto chain`` are followed."""
U32_MATCH = re.compile(r"^match ([0-9a-f]{8})/([0-9a-f]{8}) at (-?\d{1,6}|nexthdr\+\d{1,6})\b")
"""Four bytes, from that place of the IP header on."""
FLOWER_ADDRESS = re.compile(r"^(src|dst)_ip (\S+)$")
FLOWER_PROTOCOL = re.compile(r"^ip_proto (\S+)$")
FLOWER_NUMBERS = {"icmp": 1, "ipip": 4, "tcp": 6, "udp": 17, "icmpv6": 58, "sctp": 132}
GOTO = re.compile(r"goto chain (\d{1,10})\b")
TAKES_AWAY = re.compile(r"\b(drop|shot|stolen|trap|queued)\b|Redirect")
"""What ends a packet's way to the IP stack."""
LETS_PASS = re.compile(r"action (pass|ok|reclassify)\b")


class Fate(Enum):
    """What a filter makes of a packet."""

    DROPS = "drops it"
    MAY_DROP = "may drop it"
    UNKNOWABLE = "does what its program says"


@dataclass(frozen=True, slots=True)
class IpPacket:
    """What is known of a packet: its addresses and protocols; None where several are possible."""

    source: Address | None
    destination: Address | None
    protocol: int
    ports: tuple[int | None, int | None] = (None, None)
    known: Mapping[int, int] = field(init=False, repr=False, compare=False)
    """Bytes of it, by their place from the IP header on."""

    def __post_init__(self) -> None:
        """Write down the bytes that are sure."""
        object.__setattr__(self, "known", dict(self._bytes()))

    @property
    def version(self) -> int:
        """The version of IP."""
        return next((end.version for end in (self.source, self.destination) if end is not None), 4)

    def _bytes(self) -> Iterator[tuple[int, int]]:
        if self.version == 4:  # noqa: PLR2004  # IPv4
            yield from ((0, 0x45), (9, self.protocol))
            places, after = (12, 16), IPV4_BYTES
        else:
            places, after = (8, 24), IPV6_BYTES  # the next header may be of an option, which names the limit
        for place, end in zip(places, (self.source, self.destination), strict=True):
            if end is not None:
                yield from enumerate(end.packed, place)
        for place, port in zip((after, after + 2), self.ports, strict=True):
            if port is not None:
                yield from enumerate(port.to_bytes(2, "big"), place)


@dataclass(frozen=True, slots=True)
class Met:
    """A filter that a packet meets, and what it makes of it."""

    filter: Filter
    fate: Fate


def met_by(packet: IpPacket, filters: Iterable[Filter], device: str, way: Way) -> list[Met]:
    """The filters of a device that drop a packet, or may, up to the first that surely ends its way there."""
    chains: dict[int, list[Filter]] = {}
    for found in filters:
        if (found.device, found.way) == (device, way):
            chains.setdefault(found.chain, []).append(found)
    return list(_walk(packet, chains, (0,), set(), sure=True))


def _walk(
    packet: IpPacket,
    chains: Mapping[int, Sequence[Filter]],
    way: tuple[int, ...],
    seen: set[tuple[int, bool]],
    *,
    sure: bool,
) -> Iterator[Met]:
    """Through the last chain of the way there, and on; through none of them twice, for that tells no more."""
    chain = way[-1]
    if (chain, sure) in seen:
        return
    seen.add((chain, sure))
    for found in chains.get(chain, ()):
        matched = _matches(packet, found)
        if matched is False:
            continue
        certain = sure and matched is True
        to = next(
            (GOTO.search(action.control) for action in found.actions if GOTO.search(action.control)), None
        )
        if to is not None and len(way) <= DEEPEST:
            yield from _walk(packet, chains, (*way, int(to[1])), seen, sure=certain)
        elif (fate := _fate(found, matched, sure=sure)) is not None:
            yield Met(found, fate)
        if certain and _ends(found):
            return


def _ends(found: Filter) -> bool:
    """Whether what a filter matches meets no other one."""
    return found.kind != "bpf" and not any("continue" in action.control for action in found.actions)


def _fate(found: Filter, matched: bool | None, *, sure: bool) -> Fate | None:  # three values
    if found.kind == "bpf" or (matched is None and found.kind not in ("u32", "flower")):
        drops = any(TAKES_AWAY.search(action.control) for action in found.actions)
        return Fate.UNKNOWABLE if drops or not found.actions else None
    for action in found.actions:
        if action.kind == "police":
            return Fate.UNKNOWABLE  # it drops what comes too fast
        if TAKES_AWAY.search(action.control):
            certain = sure and matched is True and not action.random and not found.either_way
            return Fate.DROPS if certain else Fate.MAY_DROP
        if LETS_PASS.search(action.control) and not action.random:
            return None
    return None


def _matches(packet: IpPacket, found: Filter) -> bool | None:
    """Whether a filter is for the packet; None where that cannot be told."""
    wanted = "ip" if packet.version == 4 else "ipv6"  # noqa: PLR2004  # IPv4
    if found.protocol not in ("all", wanted):
        return None if found.protocol.startswith("802.1") else False
    if "skip_sw" in found.head or "skip_sw" in found.keys:
        return None
    if found.kind == "matchall":
        return True
    if found.kind == "u32":
        return _all(_u32(packet, key) for key in found.keys)
    if found.kind == "flower":
        return _flower(packet, found.keys)
    return None


def _all(parts: Iterable[bool | None]) -> bool | None:
    answers = list(parts)
    if False in answers:
        return False
    return None if None in answers or not answers else True


def _u32(packet: IpPacket, key: str) -> bool | None:
    match = U32_MATCH.match(key)
    if match is None:
        return None
    value, mask = bytes.fromhex(match[1]), bytes.fromhex(match[2])
    if not any(mask):
        return True
    if "nexthdr" in match[3]:
        start = (IPV4_BYTES if packet.version == 4 else IPV6_BYTES) + int(match[3].partition("+")[2])  # noqa: PLR2004
    else:
        start = int(match[3])
    return _all(
        None if place not in packet.known else packet.known[place] & bits == wanted
        for place, (wanted, bits) in enumerate(zip(value, mask, strict=True), start)
        if bits
    )


def _flower(packet: IpPacket, keys: Sequence[str]) -> bool | None:
    """It never surely is: some kernels look at what is inside an encapsulated packet, others do not."""
    for key in keys:
        address, protocol = FLOWER_ADDRESS.match(key), FLOWER_PROTOCOL.match(key)
        if address is not None:
            own = packet.source if address[1] == "src" else packet.destination
            if (
                own is not None
                and not _within(own, address[2])
                and packet.protocol != _ENCAPSULATED[packet.version]
            ):
                return False
        elif protocol is not None and packet.protocol not in _ENCAPSULATED.values():
            number = FLOWER_NUMBERS.get(protocol[1]) or _number(protocol[1])
            if number is not None and number != packet.protocol:
                return False
        elif protocol is not None:
            number = FLOWER_NUMBERS.get(protocol[1]) or _number(protocol[1])
            if number not in (None, packet.protocol, FLOWER_NUMBERS["tcp"]):
                return False
    return None


_ENCAPSULATED = {4: 4, 6: 41}


def _within(address: Address, network: str) -> bool:
    try:
        found = ip_network(network, strict=False)
    except ValueError:
        return True
    return ip_address(address) in found


def _number(text: str) -> int | None:
    return int(text, 16) if re.fullmatch(r"(0x)?[0-9a-f]{1,2}", text) else None
