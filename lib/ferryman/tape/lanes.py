"""What the run and its watch asked, each in its order, and what came from outside meanwhile."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ferryman.tape.keys import RUN, WATCH, CallKey

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ferryman.tape.file import Entry, Tape

Outside = deque[tuple[int, "Entry"]]
"""Signals and alarms, with their places."""


@dataclass(slots=True)
class Call:
    """A recorded call."""

    place: int
    canonical: str
    key: CallKey
    data: dict[str, Any]
    used: bool = False

    def is_read_of(self, host: str) -> bool:
        """Whether it only reads, and of this host."""
        return self.key.host == host and not self.key.writes


@dataclass(slots=True)
class Lane:
    """What one of the two threads asked, in its order."""

    calls: list[Call] = field(default_factory=list)
    by_key: dict[str, deque[Call]] = field(default_factory=lambda: defaultdict(deque))
    writes: deque[Call] = field(default_factory=deque)
    waits: deque[tuple[int, Entry]] = field(default_factory=deque)
    turns: deque[int] = field(default_factory=deque)
    """The places at which what was done next was seen by the other thread."""
    last: dict[str, tuple[Call, int]] = field(default_factory=dict)
    """The latest answer by key, and how many writes to its host there had been then."""

    def next_turn(self) -> int | None:
        """The place of the next turn; None where it is behind a write that is still to be done."""
        first = next((each.place for each in self.writes if not each.used), None)
        if not self.turns or (first is not None and first < self.turns[0]):
            return None
        return self.turns.popleft()

    def is_after_a_write(self, call: Call) -> bool:
        """Whether the recorded run read this after it had changed the host, which is still to be done."""
        if call.key.writes:
            return False
        first = next((each for each in self.writes if not each.used and each.key.host == call.key.host), None)
        return first is not None and first.place < call.place

    def pass_over_reads(self, host: str, place: int) -> None:
        """Pass over what the recorded run read of a host before this write, and this run did not.

        What was read before a change answers nothing that is asked after it.
        """
        for waiting in self.by_key.values():
            while waiting and waiting[0].place < place and waiting[0].is_read_of(host):
                waiting.popleft()


def lanes_of(tape: Tape) -> tuple[Mapping[str, Lane], Outside]:
    """A tape's lanes by name, and what came from outside."""
    lanes, outside = {RUN: Lane(), WATCH: Lane()}, Outside()
    for place, entry in enumerate(tape.entries):
        data, lane = entry.data, lanes[entry.data.get("lane", RUN)]
        match entry.kind:
            case "call":
                key = CallKey(
                    data["port"], data["host"], data["verb"], data["arguments"], bool(data["writes"])
                )
                call = Call(place, key.canonical, key, data)
                lane.calls.append(call)
                lane.by_key[call.canonical].append(call)
                if key.writes:
                    lane.writes.append(call)
            case "wait" | "time-up":
                lane.waits.append((place, entry))
            case "turn":
                lane.turns.append(place)
            case "signal" | "alarm":
                outside.append((place, entry))
    return lanes, outside
