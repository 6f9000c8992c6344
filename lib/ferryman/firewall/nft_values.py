"""What nftables' expressions come to for a packet, and whether that is among what a rule wants."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from ferryman.firewall.evaluate import CONNTRACK, EvalContext
from ferryman.firewall.ipsets import within
from ferryman.firewall.packet import (
    all_of,
    any_of,
    from_ports,
    named_like,
    negation,
    number,
    port_number,
    protocol_number,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from ferryman.firewall.packet import Packet
    from ferryman.model import Address


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
    """Flags, of which several may be set."""
    TRUTH = "truth"
    OPAQUE = "opaque"
    """A value that cannot be known from here."""


@dataclass(frozen=True, slots=True)
class Value:
    """What an expression comes to; ``None`` when that is not known."""

    kind: Kind
    what: Any = None


class NotApplicableError(Exception):
    """The expression asks for a part that this packet does not have, so that the rule ends there."""


OPAQUE = Value(Kind.OPAQUE)
Sets = Mapping[str, Sequence[Json]]
"""The elements of the named sets and maps of a table."""


def value_of(expression: Json, context: EvalContext) -> Value | tuple[Value, ...]:  # noqa: PLR0911  # one line for each expression
    """The value that an expression has for the packet; one for each part of a concatenation.

    Raises:
        NotApplicableError: The packet has no such part.
    """
    match expression:
        case {"payload": {"protocol": str(protocol), "field": str(part)}}:
            return _payload(protocol, part, context.packet)
        case {"meta": {"key": str(key)}}:
            return _meta(key, context)
        case {"ct": {"key": str(key)}}:
            return _tracking(key, context)
        case {"fib": {"result": str(result), "flags": flags}}:
            return _route(result, [flags] if isinstance(flags, str) else flags, context.packet)
        case {"concat": list(parts)}:
            return tuple(_simple(value_of(part, context)) for part in parts)
        case {"&": [inner, mask]}:
            return _masked(_simple(value_of(inner, context)), mask)
    return OPAQUE


def _simple(value: Value | tuple[Value, ...]) -> Value:
    return value if isinstance(value, Value) else OPAQUE


def _payload(protocol: str, part: str, packet: Packet) -> Value:
    version = packet.address.version
    if (protocol, version) in (("ip", 6), ("ip6", 4)):
        raise NotApplicableError
    match protocol, part:
        case (("ip" | "ip6"), "saddr"):
            return Value(Kind.ADDRESS, packet.source)
        case (("ip" | "ip6"), "daddr"):
            return Value(Kind.ADDRESS, None if packet.somewhere else packet.address)
        case ("ip", "protocol") | ("ip6", "nexthdr"):
            return Value(Kind.PROTOCOL, packet.number)
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
            return Value(Kind.PORT, packet.port)
        case "sport":
            return Value(Kind.CLIENT_PORT, 0)
        case "flags":
            return Value(Kind.WORDS, {"syn"})
    return OPAQUE


def _meta(key: str, context: EvalContext) -> Value:  # noqa: PLR0911  # one line for each key
    packet = context.packet
    match key:
        case "l4proto":
            return Value(Kind.PROTOCOL, packet.number)
        case "nfproto":
            return Value(Kind.WORDS, {"ipv4" if packet.address.version == 4 else "ipv6"})  # noqa: PLR2004  # IPv4
        case "protocol":
            return Value(Kind.WORDS, {"ip" if packet.address.version == 4 else "ip6"})  # noqa: PLR2004  # IPv4
        case "iif" | "iifname":
            return Value(Kind.DEVICE, packet.device)
        case "mark":
            return Value(Kind.MARK, context.state.mark)
        case "pkttype":
            return Value(Kind.WORDS, {"host", "unicast"})
    return OPAQUE


def _tracking(key: str, context: EvalContext) -> Value:
    tracked = context.state.tracked
    match key:
        case "state" if tracked is not None:
            seen = "new" if context.priority > CONNTRACK else "invalid"
            return Value(Kind.WORDS, {seen if tracked else "untracked"})
        case "status" if tracked:
            return Value(Kind.WORDS, {"dnat"} if context.packet.rewritten else set())
        case "direction" if tracked:
            return Value(Kind.WORDS, {"original"})
    return OPAQUE


def _route(result: str, flags: Sequence[str], packet: Packet) -> Value:
    """Source: nft_fib: with ``iif`` the route back must be by the device that the packet came in by."""
    if result == "type" and "daddr" in flags:
        return Value(Kind.WORDS, {"local" if packet.local else "unicast"})
    if result in ("oif", "oifname") and "saddr" in flags:
        return Value(Kind.TRUTH, not (packet.unwrapped and "iif" in flags))
    return OPAQUE


def _masked(value: Value, mask: Json) -> Value:
    if value.what is None:
        return value
    if value.kind is Kind.MARK and isinstance(mask, int):
        return Value(Kind.MARK, value.what & mask)
    if value.kind is Kind.WORDS:
        return Value(Kind.WORDS, value.what & _flags(mask))
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
            elements = sets.get(name[1:])
            return None if elements is None else any_of(among(value, element, sets) for element in elements)
        case {"set": list(elements)}:
            return any_of(among(value, element, sets) for element in elements)
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


def _is(value: Value, wanted: Json) -> bool | None:  # noqa: PLR0911  # one line for each form
    match wanted:
        case {"prefix": {"addr": address, "len": length}} if value.kind is Kind.ADDRESS:
            return within(f"{address}/{length}", value.what)
        case {"range": [first, last]} if value.kind is Kind.ADDRESS:
            return within(f"{first}-{last}", value.what)
        case {"range": [first, last]}:
            return _in_range(value, _read(value.kind, first), _read(value.kind, last))
        case {"|": _} if value.kind is Kind.WORDS:
            return bool(value.what == _flags(wanted))
        case list() if value.kind is Kind.WORDS:
            return bool(value.what & set(wanted))
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


def _read(kind: Kind, text: str | int) -> int | None:
    """A rule's number; None when it cannot be read."""
    if isinstance(text, int):
        return text
    match kind:
        case Kind.PORT | Kind.CLIENT_PORT:
            return port_number(text)
        case Kind.PROTOCOL:
            return protocol_number(text)
    try:
        return number(text)
    except ValueError:
        return None


def _same_number(value: Value, wanted: str | int) -> bool | None:
    read = _read(value.kind, wanted)
    return None if read is None or value.what is None else bool(read == value.what)


def _same_address(value: Value, wanted: str | int) -> bool | None:
    address: Address | None = value.what
    try:
        return None if address is None else ipaddress.ip_address(wanted) == address
    except ValueError:
        return None


def _client_port(_: Value, wanted: str | int) -> bool | None:
    port = _read(Kind.PORT, wanted)
    return None if port is None else from_ports(port, port)


_SINGLE: Mapping[Kind, Callable[[Value, str | int], bool | None]] = {
    Kind.ADDRESS: _same_address,
    Kind.PROTOCOL: _same_number,
    Kind.PORT: _same_number,
    Kind.CLIENT_PORT: _client_port,
    Kind.MARK: _same_number,
    Kind.DEVICE: lambda value, wanted: named_like(str(wanted), value.what, "*"),
    Kind.WORDS: lambda value, wanted: wanted in value.what,
    Kind.TRUTH: lambda value, wanted: value.what is bool(wanted) if isinstance(wanted, int) else None,
    Kind.OPAQUE: lambda _, __: None,
}
