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

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ferryman.model import Address

QUESTION = re.compile(r"route get fibmatch (\S+) from (\S+)")
BY_THE_KERNEL = re.compile(r"^(RTNETLINK \w+|Error: ipv[46]|Error: FIB)\b[^:\n]*:[ \t]*(.*)$", re.MULTILINE)
"""How ip(8) begins what the kernel answered; what it has against the question itself begins otherwise."""
FAILED = re.compile(r"^Command failed \S*?:(\d{1,6})$", re.MULTILINE)
NO_WAY = ("blackhole", "unreachable", "prohibit", "throw")
"""Types of a route that lead nowhere; ip -6 shows one where ip -4 has an error."""
SWITCH = re.compile(r"/proc/sys/net/ipv4/(?:conf/(?P<device>[^/]+)/)?(?P<key>\w+)")
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
    """What the sections ``routes4``, ``routes6`` and ``routing`` say; a garbled line says nothing."""
    found: dict[Lookup, Route | NoRoute] = {}
    rules: dict[int, tuple[Mapping[str, Any], ...]] = {}
    for version in (4, 6):
        section = sections.get(f"routes{version}")
        if section is not None:
            first, answers = _answers(section)
            found |= answers
            rules[version] = first
    routing = sections.get("routing")
    if routing is None:
        return Routing(found, rules)
    return Routing(found, rules, dict(_switches(routing)), read=True)


def _answers(text: str) -> tuple[tuple[Mapping[str, Any], ...], Mapping[Lookup, Route | NoRoute]]:
    """The rules, and each question's answer.

    An answer is a line of JSON, and one that failed is told by its number; where the two do not add up, an
    answer cannot be told from the next, and there is none.
    """
    asked, _, rest = text.partition("\nanswers\n")
    questions = [Lookup(ip_address(to), ip_address(of)) for to, of in QUESTION.findall(asked)]
    failed = _failures(rest)
    lines = [line for line in rest.split("\n") if line.startswith("[")]
    total = len(questions) + 1
    if len(lines) + len(failed) != total or not failed.keys() <= set(range(1, total + 1)):
        return (), {}
    parsed = [each for line in lines if (each := _parsed(line)) is not None]
    if len(parsed) != len(lines):
        return (), {}
    answers = iter(parsed)
    in_order = [failed[place] if place in failed else next(answers) for place in range(1, total + 1)]
    rules, *routes = in_order
    found = {
        question: answer
        for question, said in zip(questions, routes, strict=True)
        if (answer := _answer(said)) is not None
    }
    return tuple(rules) if isinstance(rules, list) else (), found


def _failures(text: str) -> dict[int, str]:
    """What was said of each question that failed, by its place."""
    found: dict[int, str] = {}
    start = 0
    for failure in FAILED.finditer(text):
        found[int(failure[1])] = text[start : failure.start()].strip()
        start = failure.end()
    return found


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
