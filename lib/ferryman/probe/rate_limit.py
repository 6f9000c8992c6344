"""A token bucket: packets leave no faster than the configured rate."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

BATCH = 64
"""Packets that may leave at once at most; between two batches what has arrived is read."""

BATCH_S = 0.005
"""A batch is what the rate gives in this time, so that a low rate is an even one."""

ROUNDING = 1e-6
"""Packets; without it a wait for the last billionth of one would be too short to be a wait."""


class RateLimiter:
    """Says how many packets may leave now; ``monotonic`` is a clock in seconds that never goes back."""

    def __init__(self, rate: int, monotonic: Callable[[], float]) -> None:
        self._rate, self._monotonic = rate, monotonic
        self._depth = min(BATCH, max(1, int(rate * BATCH_S)))
        self._tokens = float(self._depth)
        self._filled = monotonic()

    def granted(self) -> int:
        """Packets that may leave now, a batch at most; whoever sends says so with ``spend``."""
        now = self._monotonic()
        self._tokens = min(self._depth, self._tokens + (now - self._filled) * self._rate)
        self._filled = now
        return int(self._tokens + ROUNDING)

    def spend(self, packets: int) -> None:
        """Take tokens for the packets that have been sent."""
        self._tokens -= packets

    @property
    def wait_s(self) -> float:
        """Seconds until the next packet may leave."""
        return max(0.0, (1 - self._tokens) / self._rate)
