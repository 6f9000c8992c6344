"""When an unanswered segment is sent again: RFC 6298's estimator, with a floor and a ceiling."""

from __future__ import annotations

FLOOR_S, CEILING_S = 0.2, 1.0
"""The floor is Linux's own; the ceiling lets a deadline of ten seconds hold enough tries."""
GRANULARITY_S = 0.001
ALPHA, BETA, DEVIATIONS = 1 / 8, 1 / 4, 4


class RetransmissionTimer:
    """The time until a retransmission, from the round trips seen and the tries since the last answer."""

    def __init__(self, initial_s: float) -> None:
        self._estimate_s = initial_s
        self._smoothed_s: float | None = None
        self._deviation_s = 0.0
        self._doublings = 0

    @property
    def after_s(self) -> float:
        """Seconds from when a segment is sent until it is sent again."""
        return min(CEILING_S, max(FLOOR_S, self._estimate_s) * 2.0**self._doublings)

    def measured(self, round_trip_s: float) -> None:
        """Take the round trip of a segment that was sent once: of another nobody knows which was answered."""
        if self._smoothed_s is None:
            self._smoothed_s, self._deviation_s = round_trip_s, round_trip_s / 2
        else:
            away_s = abs(self._smoothed_s - round_trip_s)
            self._deviation_s += BETA * (away_s - self._deviation_s)
            self._smoothed_s += ALPHA * (round_trip_s - self._smoothed_s)
        self._estimate_s = self._smoothed_s + max(GRANULARITY_S, DEVIATIONS * self._deviation_s)

    def expired(self) -> None:
        """Wait twice as long the next time."""
        self._doublings = min(self._doublings + 1, 10)

    def progressed(self) -> None:
        """Wait as long as the estimate says again: something new was acknowledged."""
        self._doublings = 0
