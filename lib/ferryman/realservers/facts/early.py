"""What tc(8) does to packets before netfilter sees them: its filters, from ``tc -s filter show``."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MOST = 2000
"""How many filters are looked at; a host that shows more has them for another purpose than to be read."""
Way = Literal["ingress", "egress"]

PLACE = re.compile(r"^device (?P<device>\S+) (?P<way>ingress|egress)$", re.MULTILINE)
FILTER = re.compile(
    r"^filter (?:parent \S+ )?protocol (?P<protocol>\S+) pref (?P<pref>\d+) (?P<kind>\w+)"
    r"(?: chain (?P<chain>\d+))?(?P<rest>.*)$"
)
ACTION = re.compile(r"^\s*action order \d+:\s*(?P<kind>\w+)\s*(?P<rest>.*)$")
POLICE = re.compile(r"^ ?police \S+ .*?\baction (?P<control>\S+)")
COUNTED = re.compile(r"^\s*Sent \d+ bytes (\d+) pkts? \(dropped (\d+)")
ELSEWHERE = re.compile(r"\b(stolen|trap|queued)\b")
"""What takes a packet away without dropping it."""
HITS = re.compile(r"\(rule hit .*\)")
RANDOM = re.compile(r"^\s*random type (?!none)\w+ (?P<control>.*)$")


@dataclass(frozen=True, slots=True)
class Action:
    """What is done to a packet that a filter matches."""

    kind: str
    """``gact``, ``mirred``, ``police`` and so on."""
    control: str
    """The rest of its words: ``action drop``, ``(Egress Redirect to device lo) stolen``."""
    random: bool = False
    """Whether chance decides too."""


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter of a device's traffic, with everything that was shown of it."""

    device: str
    way: Way
    protocol: str
    """The Ethernet type it is for: ``ip``, ``ipv6``, ``802.1Q``, ``all``."""
    pref: int
    chain: int
    kind: str
    """``u32``, ``flower``, ``bpf`` and so on."""
    head: str
    """What stands on its first line, after the chain: its handle, and a bpf program's name."""
    keys: tuple[str, ...] = ()
    """What it looks at, a line each."""
    actions: tuple[Action, ...] = ()
    dropped: int = 0
    """How many packets its actions have dropped, or taken elsewhere."""
    either_way: bool = False
    """Whether it may be the other way's: of clsact, tc shows u32's of one preference for both."""

    def __str__(self) -> str:
        return f"tc filter dev {self.device} {self.way} pref {self.pref} {self.kind}"


def filters_of(text: str) -> tuple[Filter, ...]:
    """Every filter of every device and way, in the order in which packets meet them."""
    found = tuple(islice(_filters(text), MOST))
    ways: dict[tuple[str, str], set[Way]] = {}
    for each in found:
        ways.setdefault((each.device, each.head), set()).add(each.way)
    both = {key for key, seen in ways.items() if len(seen) > 1}
    return tuple(
        replace(each, either_way=True) if each.kind == "u32" and (each.device, each.head) in both else each
        for each in found
    )


def dropped_by(filters: tuple[Filter, ...]) -> Mapping[str, int]:
    """How many packets each has dropped, by its name; those of one preference together."""
    counted: dict[str, int] = {}
    for found in filters:
        counted[str(found)] = counted.get(str(found), 0) + found.dropped
    return counted


def _filters(text: str) -> Iterator[Filter]:
    places = list(PLACE.finditer(text))
    ends = [place.start() for place in places[1:]] + [len(text)]
    for place, end in zip(places, ends, strict=False):
        way: Way = "ingress" if place["way"] == "ingress" else "egress"
        yield from _of_place(place["device"], way, text[place.end() : end])


def _of_place(device: str, way: Way, text: str) -> Iterator[Filter]:
    """A filter's first line tells only that its kind is there; those that follow have a handle."""
    lines: list[str] = []
    for line in [*text.split("\n"), "filter "]:
        if line.startswith("filter ") and lines:
            if (found := _filter(device, way, lines)) is not None:
                yield found
            lines = []
        if line.startswith("filter ") or lines:
            lines.append(line)


def _filter(device: str, way: Way, lines: list[str]) -> Filter | None:
    head = FILTER.match(lines[0])
    if head is None or not re.search(r"\b(handle|fh)\b", head["rest"]) or "ht divisor" in head["rest"]:
        return None
    keys: list[str] = []
    actions: list[Action] = []
    dropped = 0
    for line in lines[1:]:
        if (action := ACTION.match(line)) is not None:
            actions.append(Action(action["kind"], action["rest"].strip()))
        elif (police := POLICE.match(line)) is not None:
            actions.append(Action("police", f"action {police['control']}"))
        elif (chance := RANDOM.match(line)) is not None and actions:
            last = actions[-1]
            actions[-1] = Action(last.kind, f"{last.control} or {chance['control']}", random=True)
        elif (count := COUNTED.match(line)) is not None:
            away = actions and ELSEWHERE.search(actions[-1].control)
            dropped += int(count[1] if away else count[2])
        elif not actions and line.strip():
            keys.append(line.strip())
    return Filter(
        device,
        way,
        head["protocol"],
        int(head["pref"]),
        int(head["chain"] or 0),
        head["kind"],
        HITS.sub("", head["rest"]).strip(),
        tuple(keys),
        tuple(actions),
        dropped,
    )
