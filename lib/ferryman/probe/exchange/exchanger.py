"""Whole exchanges with many realservers side by side: what the rest of Ferryman asks."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from ferryman.probe.exchange.targets import ExchangeLimits
from ferryman.probe.exchange.transport import RawExchangeTransport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ferryman.config import ProbeConfig
    from ferryman.probe.exchange.results import ExchangeResult
    from ferryman.probe.exchange.targets import ExchangeTarget
    from ferryman.probe.exchange.transport import ExchangeTransport


class Exchanger:
    """Connects to realservers through the tunnel as a director's client does, and says what came back."""

    def __init__(
        self,
        probe: ProbeConfig,
        limits: ExchangeLimits | None = None,
        *,
        transport: Callable[[Iterable[int]], ExchangeTransport] = RawExchangeTransport,
    ) -> None:
        self._probe = probe
        self._limits = limits or ExchangeLimits()
        self._transport = transport

    def exchange(
        self,
        targets: Sequence[ExchangeTarget],
        on_result: Callable[[ExchangeResult], None] = lambda _: None,
    ) -> list[ExchangeResult]:
        """Make all exchanges side by side; one result for each target, in their order.

        ``on_result`` gets each result as soon as it is known, once. It takes as long as the slowest of them,
        which is ``ExchangeLimits.deadline_s`` at most; 128 go side by side from each own address. What the
        realservers still hold open is reset behind it, also when ``on_result`` or a signal interrupts.

        Raises:
            RefusedError: This host cannot probe: it may not open raw sockets, or has no TCP port to spare.
        """
        if not targets:
            return []
        # TLS and the rest of it are loaded by whoever makes an exchange, and not by every command.
        from ferryman.probe.exchange.session import ExchangeSession  # noqa: PLC0415  # see above

        addresses = [(each.target.realserver_address, each.target.virtual_service.vip) for each in targets]
        transport = self._transport({address.version for pair in addresses for address in pair})
        with contextlib.closing(transport):
            return ExchangeSession(transport, self._probe, self._limits, targets, on_result).run()
