"""Routes that a host was asked for, the rules that lead to its tables, and the settings that steer both.

The kernel answers, for its tables are too many to be judged here. A route is JSON. That there is none is told
by an error, in one of many words and languages, which do not matter: whatever the kernel itself answers to a
question that ip(8) understood, and that is no route, says that there is none.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from ferryman.realservers.facts.batch import RULES, SEPARATOR, batch_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ferryman.model import Address
    from ferryman.realservers.facts.batch import Batch

QUESTION = re.compile(r"route get fibmatch (\S+) from (\S+)")
BY_THE_KERNEL = re.compile(r"^(RTNETLINK \w+|Error: ipv[46]|Error: FIB)\b[^:\n]*:[ \t]*(.*)$", re.MULTILINE)
"""How ip(8) begins what the kernel answered; what it has against the question itself begins otherwise."""
NO_WAY = ("blackhole", "unreachable", "prohibit", "throw")
"""Types of a route that lead nowhere; ip -6 shows one where ip -4 has an error."""
SWITCH = re.compile(
    r"/proc/sys/net/ipv4/(?:conf/(?P<device>[^/]+)/)?"
    r"(?P<key>src_valid_mark|accept_local|tcp_l3mdev_accept|udp_l3mdev_accept|tcp_fwmark_accept)"
)
BY_PACKET = frozenset({"ipproto", "sport", "sport_start", "dport", "dport_start", "tos", "dsfield", "dscp"})
"""What of a rule depends on more of a packet than its addresses."""


@dataclass(frozen=True, slots=True)
class Lookup:
    """A route that is asked for: from an address of the host to another one."""

    to: Address
    of: Address

    @property
    def words(self) -> str:
        """The question in ip(8)'s words; ``fibmatch`` shows all next hops, not the one that is taken."""
        return f"route get fibmatch {self.to} from {self.of}"


@dataclass(frozen=True, slots=True)
class Route:
    """A route that there is."""

    prefix: str
    devices: tuple[str, ...]
    """Those of all its next hops."""
    kind: str = "unicast"

    def __str__(self) -> str:
        return f"{self.prefix} by {' and '.join(self.devices) or 'no device'}"


@dataclass(frozen=True, slots=True)
class NoRoute:
    """There is none, in the host's own words."""

    said: str

    def __str__(self) -> str:
        return self.said


@dataclass(frozen=True, slots=True)
class Routing:
    """What was asked, and what decides about it; empty where nothing was asked."""

    found: Mapping[Lookup, Route | NoRoute] = field(default_factory=dict)
    """By question; one that could not be asked is not among them."""
    rules: Mapping[int, tuple[Mapping[str, Any], ...]] = field(default_factory=dict)
    """Those of ``ip rule``, by IP version."""
    switches: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Settings by key and device, which is empty where the setting is none of a device."""
    read: bool = False
    """Whether the host was asked at all: recordings of an earlier version have nothing of it."""

    def set_for(self, key: str, device: str = "") -> bool:
        """Whether a setting is on, of all devices or of this one; one that was not read is off."""
        return any(self.switches.get((key, name), 0) for name in {device, "all" if device else ""})

    def depends_on_more(self, version: int, *, marked: bool) -> str | None:
        """The rule by which a packet may be routed otherwise than its addresses tell; None: there is none.

        ``marked`` says whether a packet's mark counts.
        """
        for rule in self.rules.get(version, ()):
            keys = set(rule)
            if keys & BY_PACKET or (marked and "fwmark" in keys):
                return f"ip rule {rule.get('priority', '?')}"
        return None


def says_no_route(complaint: str) -> bool:
    """Whether ip(8) complains of what the kernel answered: that there is no route, however that is spelt."""
    return BY_THE_KERNEL.search(complaint) is not None


def routing_of(sections: Mapping[str, str]) -> Routing:
    """What the answers of ip(8) and the files say; a garbled line says nothing.

    Earlier versions of the script put routes and settings into sections of their own.
    """
    found: dict[Lookup, Route | NoRoute] = {}
    rules: dict[int, tuple[Mapping[str, Any], ...]] = {}
    for version, names in ((4, ("ip", "routes4")), (6, ("ip6", "routes6"))):
        for name in names:
            if name in sections and RULES in (batch := batch_of(name, sections[name])).questions:
                rules[version], answers = _answers(batch)
                found |= answers
    files = sections.get("routing", sections.get("files"))
    asked = "routing" in sections or SEPARATOR in sections.get("ip", "")
    if files is None or not asked:
        return Routing(found, rules)
    return Routing(found, rules, dict(_switches(files)), read=True)


def _answers(batch: Batch) -> tuple[tuple[Mapping[str, Any], ...], Mapping[Lookup, Route | NoRoute]]:
    """The rules, and the answer for each route; nothing, where one cannot be told from the next."""
    if not batch.whole:
        return (), {}
    parsed: dict[str, str | list[dict[str, Any]]] = dict(batch.failures)
    for question, line in batch.answers.items():
        if question == RULES or QUESTION.fullmatch(question):
            if (entries := _parsed(line)) is None:
                return (), {}
            parsed[question] = entries
    rules = parsed.pop(RULES, ())
    found = {
        Lookup(ip_address(match[1]), ip_address(match[2])): answer
        for question, said in parsed.items()
        if (match := QUESTION.fullmatch(question)) and (answer := _answer(said)) is not None
    }
    return tuple(rules) if isinstance(rules, list) else (), found


def _parsed(line: str) -> list[dict[str, Any]] | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else None


def _answer(said: str | list[dict[str, Any]]) -> Route | NoRoute | None:
    """The route, or that there is none; None where the question was not understood."""
    if isinstance(said, str):
        kernel = BY_THE_KERNEL.findall(said)
        return NoRoute(kernel[-1][1].strip()) if kernel else None
    if not said:
        return None
    route = said[0]
    kind = str(route.get("type", "unicast"))
    if kind in NO_WAY or _is_error(route.get("error")):
        return NoRoute(f"a route of type {kind}")
    hops = route.get("nexthops")
    parts = [route, *(hops if isinstance(hops, list) else ())]
    devices = (part.get("dev") for part in parts if isinstance(part, dict))
    return Route(
        str(route.get("dst", "?")),
        tuple(dict.fromkeys(name for name in devices if isinstance(name, str))),
        kind,
    )


def _is_error(value: object) -> bool:
    return isinstance(value, int) and value != 0


def _switches(text: str) -> Iterator[tuple[tuple[str, str], int]]:
    for line in text.split("\n"):
        path, _, value = line.partition(":")
        match = SWITCH.fullmatch(path)
        if match is not None and re.fullmatch(r"-?\d{1,10}", value.strip()):
            yield (match["key"], match["device"] or ""), int(value)
