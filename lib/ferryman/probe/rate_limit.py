"""A token bucket: SYNs leave no faster than the configured rate."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

BATCH = 64
"""SYNs that leave at once at most; between two batches what has arrived is read."""

BURST_S = 0.005
"""The bucket holds what the rate gives in this time: whoever was kept from sending that long makes up for it,
and a low rate is an even one."""

ROUNDING = 1e-6
"""SYNs; without it a wait for the last billionth of one would be too short to be a wait."""


class RateLimiter:
    """Says how many SYNs may leave now; ``monotonic`` is a clock in seconds that never goes back."""

    def __init__(self, rate: int, monotonic: Callable[[], float]) -> None:
        self._rate, self._monotonic = rate, monotonic
        self._depth = max(1, int(rate * BURST_S))
        self._worth_waking = min(BATCH, self._depth)
        self._tokens = float(self._depth)
        self._filled = monotonic()

    def granted(self) -> int:
        """SYNs that may leave now, a batch at most; whoever sends says so with ``spend``."""
        now = self._monotonic()
        self._tokens = min(self._depth, self._tokens + (now - self._filled) * self._rate)
        self._filled = now
        return min(BATCH, int(self._tokens + ROUNDING))

    def spend(self, syns: int) -> None:
        """Take tokens for the SYNs that have been sent."""
        self._tokens -= syns

    def wait_s(self, wanted: int) -> float:
        """Seconds until so many may leave, or a batch: to wake for each would cost more than to send it."""
        return max(0.0, (min(wanted, self._worth_waking) - self._tokens) / self._rate)
