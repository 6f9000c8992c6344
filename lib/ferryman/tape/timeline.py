"""A tape's entries with when they happened, and the step that was under way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferryman.tape.file import Entry, Tape


@dataclass(frozen=True, slots=True)
class Moment:
    """An entry in its place."""

    seconds: float
    """Since the run began."""
    step: int | None
    """From 0, as events have it; None before the first."""
    title: str
    """Of the step; empty before the first."""
    phase: str
    """Of the step, such as ``check``; empty before the first."""
    entry: Entry


def timeline(tape: Tape) -> Iterator[Moment]:
    """Each entry of the tape, in order."""
    seconds = 0.0
    step, title, phase = None, "", ""
    for entry in tape.entries:
        seconds += entry.after_s
        data = entry.data
        if entry.kind == "event" and data["event"] == "step-started":
            number = data.get("step")
            step = number if isinstance(number, int) else None
            title, phase = str(data.get("title", "")), str(data.get("phase", ""))
        yield Moment(seconds, step, title, phase, entry)
