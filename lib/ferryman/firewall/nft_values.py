"""What nftables' expressions come to for a packet, and whether that is among what a rule wants."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from ferryman.firewall.ipsets import within
from ferryman.firewall.packet import (
    all_of,
    any_of,
    from_ports,
    named_like,
    negation,
    number,
    port_number,
)
from ferryman.firewall.protocols import STANDARD, protocol_number
from ferryman.firewall.tracking import ESTABLISHED, INVALID, UNTRACKED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ferryman.firewall.packet import Packet
    from ferryman.firewall.protocols import Protocols
    from ferryman.firewall.rules import EvalContext
    from ferryman.model import Address

T = TypeVar("T")


Json = Any
"""What ``json.loads`` made of a part of nft's output."""


class Kind(Enum):
    """What sort of value an expression comes to; it says how the rule's own values are written."""

    ADDRESS = "address"
    PROTOCOL = "protocol"
    PORT = "port"
    CLIENT_PORT = "client port"
    DEVICE = "device"
    MARK = "mark"
    WORDS = "words"
    """Flags, of which several may be set; one that may be set or not has a ``?`` before it."""
    ROUTE = "route"
    """Whether there is a route, and the device that it leads to, None where that is not known."""
    OPAQUE = "opaque"
    """A value that cannot be known from here."""


@dataclass(frozen=True, slots=True)
class Value:
    """What an expression comes to; ``None`` when that is not known."""

    kind: Kind
    what: Any = None
    protocols: Protocols = field(default_factory=lambda: STANDARD, compare=False, repr=False)
    """What the host calls the IP protocols."""


class NotApplicableError(Exception):
    """The expression asks for a part that this packet does not have, so that the rule ends there."""


OPAQUE = Value(Kind.OPAQUE)


@dataclass(slots=True)
class Sets:
    """The elements of the named sets and maps of a table, and what was found out about large ones."""

    lists: dict[str, Sequence[Json]] = field(default_factory=dict)
    answers: dict[tuple[str, int, object], Any] = field(default_factory=dict)

    def get(self, name: str) -> Sequence[Json] | None:
        """The elements of a set; None for one that is not known."""
        return self.lists.get(name)

    def remembered(self, what: str, elements: object, value: object, find: Callable[[], T]) -> T:
        """What ``find`` finds out about a value and these elements, which live as long as the rules do."""
        asked = what, id(elements), value
        if asked not in self.answers:
            self.answers[asked] = find()
        found: T = self.answers[asked]
        return found


def value_of(expression: Json, context: EvalContext) -> Value | tuple[Value, ...]:  # noqa: PLR0911  # one line for each expression
    """The value that an expression has for the packet; one for each part of a concatenation.

    Raises:
        NotApplicableError: The packet has no such part.
    """
    match expression:
        case {"payload": {"protocol": str(protocol), "field": str(part)}}:
            return _payload(protocol, part, context)
        case {"payload": {"base": str(base), "offset": int(offset), "len": int(length)}}:
            return _raw(base, offset, length, context)
        case {"meta": {"key": str(key)}}:
            return _meta(key, context)
        case {"ct": {"key": str(key)}}:
            return _tracking(key, context)
        case {"fib": {"result": str(result), "flags": flags}}:
            return _route(result, [flags] if isinstance(flags, str) else flags, context)
        case {"concat": list(parts)}:
            return tuple(_simple(value_of(part, context)) for part in parts)
        case {"&": [{"payload": {"protocol": "ip", "field": "frag-off"}}, 0x1FFF]}:
            _payload("ip", "frag-off", context)
            return Value(Kind.MARK, 0)
        case {"&": [inner, mask]}:
            return _masked(_simple(value_of(inner, context)), mask)
    return OPAQUE


def _simple(value: Value | tuple[Value, ...]) -> Value:
    return value if isinstance(value, Value) else OPAQUE


def _payload(protocol: str, part: str, context: EvalContext) -> Value:
    packet = context.packet
    version = packet.address.version
    if (protocol, version) in (("ip", 6), ("ip6", 4)):
        raise NotApplicableError
    match protocol, part:
        case (("ip" | "ip6"), "saddr"):
            return Value(Kind.ADDRESS, packet.source)
        case (("ip" | "ip6"), "daddr"):
            return Value(Kind.ADDRESS, None if packet.somewhere else packet.address)
        case ("ip", "protocol") | ("ip6", "nexthdr"):
            return Value(Kind.PROTOCOL, packet.number, context.protocols)
        case (("ip" | "ip6" | "ether" | "vlan" | "arp"), _):
            return OPAQUE
        case "th", ("dport" | "sport") if not packet.has_ports:
            return OPAQUE
    return _transport(protocol, part, packet)


def _transport(protocol: str, part: str, packet: Packet) -> Value:
    if protocol not in ("th", packet.protocol):
        raise NotApplicableError
    match part:
        case "dport":
            return Value(Kind.CLIENT_PORT, 0) if packet.goes_out else Value(Kind.PORT, packet.port)
        case "sport":
            return Value(Kind.PORT, packet.source_port) if packet.goes_out else Value(Kind.CLIENT_PORT, 0)
        case "flags":
            return Value(Kind.WORDS, frozenset(flag.lower() for flag in packet.step.value))
    return OPAQUE


def _raw(base: str, offset: int, length: int, context: EvalContext) -> Value:
    """A part of a packet by its place in bits, such as ``@th,16,16``; addresses are numbers there."""
    packet = context.packet
    match base, packet.address.version, offset, length:
        case ("nh", 4, 72, 8) | ("nh", 6, 48, 8):
            return Value(Kind.PROTOCOL, packet.number, context.protocols)
        case "th", _, 0, 16 if packet.has_ports:
            return _transport("th", "sport", packet)
        case "th", _, 16, 16 if packet.has_ports:
            return _transport("th", "dport", packet)
    return OPAQUE


def _meta(key: str, context: EvalContext) -> Value:  # noqa: PLR0911  # one line for each key
    packet = context.packet
    match key:
        case "l4proto":
            return Value(Kind.PROTOCOL, packet.number, context.protocols)
        case "nfproto":
            return _words("ipv4" if packet.address.version == 4 else "ipv6")  # noqa: PLR2004  # IPv4
        case "protocol":
            return _words("ip" if packet.address.version == 4 else "ip6")  # noqa: PLR2004  # IPv4
        case "iif" | "iifname":
            return Value(Kind.DEVICE, context.device)
        case "oif" | "oifname":
            return Value(Kind.DEVICE, context.way_out)
        case "mark":
            return Value(Kind.MARK, context.state.mark)
        case "pkttype" if not packet.goes_out:
            return _words("host", "unicast")
    return OPAQUE


def _words(*words: str) -> Value:
    return Value(Kind.WORDS, frozenset(words))


def _tracking(key: str, context: EvalContext) -> Value:
    called = context.called
    match key:
        case "state" if called is not None:
            return _words(called)
        case "status" if called not in (None, UNTRACKED, INVALID):
            later: tuple[str, ...] = () if context.packet.has_ports else ("?confirmed",)
            if called == ESTABLISHED:
                later = ("seen-reply", "confirmed", "?assured")
            return _words(*later, *(("dnat",) if context.packet.rewritten else ()))
        case "direction" if called not in (None, UNTRACKED, INVALID):
            return _words("reply" if context.packet.goes_out else "original")
    return OPAQUE


def _route(result: str, flags: Sequence[str], context: EvalContext) -> Value:
    """Source: nft_fib: with ``iif`` the route back must be by the device that the packet came in by.

    An address is ``local`` then only if that very device has it (inet_addr_type of net/ipv4/fib_frontend.c).
    """
    packet = context.packet
    if result == "type" and "daddr" in flags and "oif" not in flags:
        local = packet.is_local(context.device if "iif" in flags else None)
        return OPAQUE if local is None else _words("local" if local else "unicast")
    if result == "type" and packet.address.version == 4 and not packet.goes_out:  # noqa: PLR2004  # IPv4
        return _words("unicast")
    if result in ("oif", "oifname", "check") and "saddr" in flags and not packet.goes_out:
        exists = not (packet.unwrapped and "iif" in flags)
        return Value(Kind.ROUTE, (exists, context.device if exists and "iif" in flags else None))
    return OPAQUE


def _is_set(value: Value, flag: str | int) -> bool | None:
    return None if f"?{flag}" in value.what else flag in value.what


def _leads(value: Value, wanted: str | int) -> bool | None:
    """Whether there is a route (``exists``, ``missing``, device 0), or one by this device."""
    exists, device = value.what
    if isinstance(wanted, bool):
        return bool(exists is wanted)
    if str(wanted) in ("", "0"):
        return not exists
    if not exists:
        return False
    return None if isinstance(wanted, int) else named_like(wanted, device, "*")


def _masked(value: Value, mask: Json) -> Value:
    if value.what is None:
        return value
    if value.kind is Kind.MARK and isinstance(mask, int):
        return Value(Kind.MARK, value.what & mask)
    if value.kind is Kind.WORDS:
        flags = frozenset(_flags(mask))
        unsure = any(f"?{flag}" in value.what for flag in flags)
        return OPAQUE if unsure else Value(Kind.WORDS, value.what & flags)
    return OPAQUE


def _flags(mask: Json) -> set[str]:
    """The flags in a mask: nft 1.0.6 lists them, 1.1.3 joins them by ``|``, 0.9.8 by twos."""
    match mask:
        case str():
            return {mask}
        case {"|": list(parts)} | list(parts):
            return set().union(*(_flags(part) for part in parts))
    raise ValueError(f"no flags: {mask}")


def compares(operator: str, value: Value | tuple[Value, ...], right: Json, sets: Sets) -> bool | None:
    """Whether the packet's value stands to the rule's as the operator says."""
    match operator:
        case "==" if isinstance(value, Value) and value.kind is Kind.WORDS and isinstance(right, list):
            return bool(value.what == set(right))
        case "==" | "in":
            return among(value, right, sets)
        case "!=" | "!":
            return negation(among(value, right, sets))
        case "<" | ">" | "<=" | ">=":
            return _ordered(operator, value, right)
    return None


def _ordered(operator: str, value: Value | tuple[Value, ...], right: Json) -> bool | None:
    if not isinstance(value, Value) or not isinstance(right, int):
        return None
    low, high = {"<": (0, right - 1), "<=": (0, right), ">": (right + 1, 1 << 32), ">=": (right, 1 << 32)}[
        operator
    ]
    return _in_range(value, low, high)


def among(value: Value | tuple[Value, ...], wanted: Json, sets: Sets) -> bool | None:  # noqa: PLR0911  # one for each form
    """Whether a value is the address, in the prefix, one of the set, … wanted; None: it cannot be said."""
    match wanted:
        case str(name) if name.startswith("@"):
            named = sets.get(name[1:])
            return None if named is None else _among_all(value, named, sets)
        case {"set": list(elements)}:
            return _among_all(value, elements, sets)
        case {"set": element}:
            return among(value, element, sets)
        case {"elem": {"val": element}}:
            return among(value, element, sets)
        case "*":
            return True
    if isinstance(value, tuple):
        parts = wanted.get("concat") if isinstance(wanted, dict) else None
        if not isinstance(parts, list) or len(parts) != len(value):
            return None
        return all_of(among(own, part, sets) for own, part in zip(value, parts, strict=True))
    return _is(value, wanted)


def _among_all(value: Value | tuple[Value, ...], elements: Sequence[Json], sets: Sets) -> bool | None:
    """Whether a value is among these; a set that is in a set (nft has none) is not looked into."""
    return sets.remembered(
        "set", elements, value, lambda: any_of(_element(value, each, sets) for each in elements)
    )


def _element(value: Value | tuple[Value, ...], element: Json, sets: Sets) -> bool | None:
    inner = (isinstance(element, dict) and "set" in element) or (
        isinstance(element, str) and element[:1] == "@"
    )
    return None if inner else among(value, element, sets)


def _is(value: Value, wanted: Json) -> bool | None:  # noqa: PLR0911  # one line for each form
    match wanted:
        case {"prefix": {"addr": address, "len": length}} if value.kind is Kind.ADDRESS:
            return within(f"{address}/{length}", value.what)
        case {"range": [first, last]} if value.kind is Kind.ADDRESS:
            return within(f"{first}-{last}", value.what)
        case {"range": [first, last]}:
            return _in_range(value, _read(value, first), _read(value, last))
        case {"|": _} if value.kind is Kind.WORDS:
            return bool(value.what == _flags(wanted))
        case list() if value.kind is Kind.WORDS:
            return any_of(_is_set(value, word) for word in wanted)
        case str() | int():
            return _SINGLE[value.kind](value, wanted)
    return None


def _in_range(value: Value, first: int | None, last: int | None) -> bool | None:
    if first is None or last is None:
        return None
    if value.kind is Kind.CLIENT_PORT:
        return from_ports(first, last)
    if value.what is None or value.kind not in (Kind.PORT, Kind.PROTOCOL, Kind.MARK):
        return None
    return bool(first <= value.what <= last)


def _read(value: Value, text: str | int) -> int | None:
    """A rule's number; None when it cannot be read."""
    if isinstance(text, int):
        return text
    match value.kind:
        case Kind.PORT | Kind.CLIENT_PORT:
            return port_number(text)
        case Kind.PROTOCOL:
            return protocol_number(text, value.protocols)
    try:
        return number(text)
    except ValueError:
        return None


def _same_number(value: Value, wanted: str | int) -> bool | None:
    read = _read(value, wanted)
    return None if read is None or value.what is None else bool(read == value.what)


def _same_address(value: Value, wanted: str | int) -> bool | None:
    address: Address | None = value.what
    try:
        return None if address is None else _address(wanted) == address
    except ValueError:
        return None


@lru_cache(maxsize=1 << 16)
def _address(text: str | int) -> Address:
    return ipaddress.ip_address(text)


def _client_port(value: Value, wanted: str | int) -> bool | None:
    port = _read(value, wanted)
    return None if port is None else from_ports(port, port)


_SINGLE: Mapping[Kind, Callable[[Value, str | int], bool | None]] = {
    Kind.ADDRESS: _same_address,
    Kind.PROTOCOL: _same_number,
    Kind.PORT: _same_number,
    Kind.CLIENT_PORT: _client_port,
    Kind.MARK: _same_number,
    Kind.DEVICE: lambda value, wanted: named_like(str(wanted), value.what, "*"),
    Kind.WORDS: _is_set,
    Kind.ROUTE: _leads,
    Kind.OPAQUE: lambda _, __: None,
}
