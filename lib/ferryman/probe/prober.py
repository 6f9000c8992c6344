"""The prober: what the rest of Ferryman asks to find out whether realservers take encapsulated traffic."""

from __future__ import annotations

import contextlib
import gc
from typing import TYPE_CHECKING

from ferryman.probe.transport import RawTransport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ferryman.config import ProbeConfig
    from ferryman.model import ProbeResult
    from ferryman.probe.targets import Target
    from ferryman.probe.transport import Transport


class Prober:
    """Sends encapsulated SYNs as a director would, and says what came back."""

    def __init__(
        self, probe: ProbeConfig, *, transport: Callable[[Iterable[int]], Transport] = RawTransport
    ) -> None:
        self._probe = probe
        self._transport = transport

    def probe(
        self, targets: Sequence[Target], on_result: Callable[[ProbeResult], None] = lambda _: None
    ) -> list[ProbeResult]:
        """Ask all targets at once, each with several source ports; one result for each, in their order.

        A result's verdict is the worst that any of its flows met; of accepted ones it has the largest MSS.

        ``on_result`` gets each result as soon as it is known, once. What is seen after that, such as a second
        answer, is added to the details of the results returned. What the SYNs left half open at the
        realservers is closed behind them, also when ``on_result`` or a signal interrupts.

        Raises:
            RefusedError: This host cannot probe: it may not open raw sockets, or has no TCP port to spare.
        """
        if not targets:
            return []
        # Scapy takes most of a second to load: whoever never probes never waits for it.
        from ferryman.probe.session import ProbeSession  # noqa: PLC0415  # see above

        transport = self._transport(_versions(targets))
        with contextlib.closing(transport), _without_collections():
            return ProbeSession(transport, self._probe, targets, on_result).run()


@contextlib.contextmanager
def _without_collections() -> Iterator[None]:
    """Nothing that a probe makes is garbage before it is over, and looking for some takes a tenth of it."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


def _versions(targets: Sequence[Target]) -> set[int]:
    """IP versions of what is sent and of what comes back."""
    outer = {target.realserver_address.version for target in targets}
    return outer | {target.virtual_service.vip.version for target in targets}
