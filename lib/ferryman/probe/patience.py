"""How long answers are waited for: by the round trips that the same probe sees, as TCP does it (RFC 6298).

The hosts of a network answer within the same millisecond or so: whoever has not done so long after will not.
What was configured is the ceiling, and what is waited where nobody has answered yet. The short wait holds for
as long as it proves right: see ``Patience.late``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ferryman.config import ProbeConfig

LEAST_WAIT_S = 0.05
"""Seconds that the first try waits at least: longer than a queue, an ARP request or a busy host takes."""

LEAST_SILENCE_S = 0.375
"""Seconds until a target is called silent at least, all tries together: a quarter more than the longest
round trip on Earth by cable, for some realservers may be far away and the others near."""

GAIN, VARIANCE_GAIN, DEVIATIONS = 1 / 8, 1 / 4, 4
"""Alpha, beta and K of RFC 6298."""


class Patience:
    """The waits of one probe: as configured, and short ones once answers have come if it may adapt."""

    def __init__(self, probe: ProbeConfig) -> None:
        self._probe = probe
        self.adapts = probe.patience == "measured"
        """Whether it goes by round trips at all."""
        self.round_trip_s = 0.0
        """The smoothed round trip in seconds (SRTT); nothing while there was none."""
        self._variance_s = self._fastest_s = 0.0
        self.has_measured = False
        """Whether there is a round trip to go by."""
        self.late = 0
        """How many answers came only after their SYN had been sent again: packets are lost here, or some
        realservers are slower than most, and a short wait would call them silent."""

    @property
    def is_short(self) -> bool:
        """Whether what is waited is less than what was configured."""
        return self.adapts and self.has_measured and not self.late

    @property
    def usual_s(self) -> float:
        """Seconds within which an answer is to be expected; endless while there was none."""
        return self.round_trip_s + DEVIATIONS * self._variance_s if self.has_measured else float("inf")

    def is_usual(self, after_s: float) -> bool:
        """Whether an answer so long after a SYN may be to that one, for others took as long."""
        return self._fastest_s <= after_s <= self.usual_s

    def answered(self, after_s: float, *, tries: int) -> None:
        """Take the round trip of one answer, and how often its SYN had been sent.

        Which of several SYNs an answer is for nobody knows, so that it is none to go by (Karn's rule).
        """
        if tries > 1:
            self.late += 1
        elif not self.has_measured:
            self.has_measured = True
            self.round_trip_s, self._variance_s, self._fastest_s = after_s, after_s / 2, after_s
        else:
            error = after_s - self.round_trip_s
            self.round_trip_s += GAIN * error
            self._variance_s += VARIANCE_GAIN * (abs(error) - self._variance_s)
            self._fastest_s = min(self._fastest_s, after_s)

    def wait_s(self, number: int) -> float:
        """Seconds that a try waits for its answers; the first is number 0."""
        configured = self._probe.wait_s(number)
        if not self.adapts or not self.has_measured:
            return configured
        return min(configured, max(LEAST_WAIT_S, self.usual_s) * self._probe.backoff**number)

    @property
    def give_up_after_s(self) -> float:
        """Seconds until a target that never answers is given up."""
        if not self.is_short:
            return self._probe.give_up_after_s
        waits_s = sum(self.wait_s(number) for number in range(self._probe.tries))
        return min(self._probe.give_up_after_s, max(LEAST_SILENCE_S, waits_s))
