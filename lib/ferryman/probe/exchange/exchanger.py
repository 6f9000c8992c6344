"""Whole exchanges with many realservers side by side: what the rest of Ferryman asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.probe.exchange.targets import ExchangeLimits

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ferryman.config import ProbeConfig
    from ferryman.probe.exchange.results import ExchangeResult
    from ferryman.probe.exchange.targets import ExchangeTarget


class Exchanger:
    """Connects to realservers through the tunnel as a director's client would, asks, and says what came back."""

    def __init__(self, probe: ProbeConfig, limits: ExchangeLimits | None = None) -> None:
        self._probe = probe
        self._limits = limits or ExchangeLimits()

    def exchange(
        self,
        targets: Sequence[ExchangeTarget],
        on_result: Callable[[ExchangeResult], None] = lambda _: None,
    ) -> list[ExchangeResult]:
        """Make all exchanges side by side; one result for each target, in their order.

        ``on_result`` gets each result as soon as it is known, once. It takes as long as the slowest of them,
        ``ExchangeLimits.deadline_s`` at most for each of two connections, and what the realservers still hold
        open is reset behind it, also when ``on_result`` or a signal interrupts.

        Raises:
            RefusedError: This host cannot probe: it may not open raw sockets, or has no TCP port to spare.
        """
        raise NotImplementedError
