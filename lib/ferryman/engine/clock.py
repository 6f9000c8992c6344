"""The time, behind an interface so that a test can set it."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Where the engine reads the time; nothing else in it does."""

    def now(self) -> datetime:
        """The time of day, in UTC."""

    def monotonic(self) -> float:
        """Seconds that never go backwards, for durations."""


class SystemClock:
    """The clocks of the machine that this runs on."""

    def now(self) -> datetime:
        """The time of day, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that never go backwards; a suspended machine's sleep counts, as it does for leases."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)


def stamp(moment: datetime) -> str:
    """A moment as events and journal write it: RFC 3339 in UTC, to the millisecond.

    >>> stamp(datetime(2026, 11, 22, 22, 19, 43, tzinfo=UTC))
    '2026-11-22T22:19:43.000Z'
    """
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
