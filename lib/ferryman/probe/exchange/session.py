"""Many exchanges side by side, in one loop over one pair of sockets for each IP version."""

from __future__ import annotations

import os
from collections import Counter, deque
from typing import TYPE_CHECKING

from ferryman.probe.classify import Flow, IcmpError
from ferryman.probe.dissect import Unreadable
from ferryman.probe.exchange.exchange import Exchange
from ferryman.probe.exchange.results import ExchangeResult, ExchangeVerdict, Stage
from ferryman.probe.exchange.segments import read
from ferryman.probe.exchange.tls import prepare
from ferryman.probe.targets import outer_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ferryman.config import ProbeConfig
    from ferryman.model import Address
    from ferryman.probe.exchange.attempt import Attempt
    from ferryman.probe.exchange.segments import Segment
    from ferryman.probe.exchange.targets import ExchangeLimits, ExchangeTarget
    from ferryman.probe.exchange.transport import ExchangeTransport, Frame

AT_ONCE = 128
"""Exchanges from each own address that are under way: each has two ports, and each port takes a file."""
PACKETS_EACH = 12
"""Packets that an exchange sends, about: by this many a start counts for the configured rate."""
ANSWERS_EACH = 12
"""Packets of an exchange that may arrive at once: a window, and what ends it."""
IDLE_S = 0.05
"""The longest wait without a look at what may begin."""
LINGER_S = 0.1
"""Seconds that are listened on behind the last exchange when one was reset.

What is under way then finds our ports still held, so that the kernel does not answer it.
"""


class ExchangeSession:
    """All exchanges of one call: which wait, which are under way, and what each has given."""

    def __init__(
        self,
        transport: ExchangeTransport,
        probe: ProbeConfig,
        limits: ExchangeLimits,
        targets: Sequence[ExchangeTarget],
        on_result: Callable[[ExchangeResult], None],
    ) -> None:
        self._transport, self._probe, self._limits = transport, probe, limits
        self._targets, self._on_result = targets, on_result
        self._results: dict[int, ExchangeResult] = {}
        self._waiting: deque[int] = deque()
        self._running: dict[int, Exchange] = {}
        self._sources: dict[int, Address] = {}
        self._mtus: dict[int, int] = {}
        self._ports: dict[Address, deque[int]] = {}
        self._under_way: Counter[Address] = Counter()
        self._by_flow: dict[Flow, tuple[int, Attempt]] = {}
        """The latest connection of each flow, those that are over as well."""
        self._unreadable: Counter[str] = Counter()
        self._next_start = 0.0
        self._looked_at = 0.0
        """When everything that had arrived was read: what is late by then was not answered."""

    def run(self) -> list[ExchangeResult]:
        """Make all exchanges; returns their results, in the order of the targets."""
        self._plan()
        is_reset = False
        try:
            while self._waiting or self._running:
                self._start()
                self._receive(self._wait_s())
                self._advance()
        finally:
            now = self._transport.monotonic()
            for exchange in self._running.values():
                exchange.end(now)
            is_reset = any(attempt.is_aborted for _, attempt in self._by_flow.values())
            self._flush()
        if is_reset:
            self._linger()
        return [self._results[index] for index in range(len(self._targets))]

    def _plan(self) -> None:
        """Find the way to each target, reserve the ports, and begin to listen."""
        for index, target in enumerate(self._targets):
            realserver, vip = target.target.realserver_address, target.target.virtual_service.vip
            towards = realserver if realserver.version == vip.version else vip
            try:
                self._sources[index] = self._transport.source_towards(str(towards))
                self._mtus[index] = self._transport.mtu_towards(str(realserver))
            except OSError as problem:
                self._decide(index, _unsent(target, problem))
                continue
            self._waiting.append(index)
        asked = Counter(self._sources[index] for index in self._waiting)
        for source, count in asked.items():
            self._ports[source] = deque(self._transport.reserve(source, 2 * min(AT_ONCE, count)))
        ports = {port for each in self._ports.values() for port in each}
        self._transport.listen(ports, ANSWERS_EACH * len(ports))
        if any(target.request.tls for target in self._targets):
            prepare()
        self._next_start = self._looked_at = self._transport.monotonic()

    def _start(self) -> None:
        """Begin what there is a port for, no faster than the configured rate allows."""
        while self._waiting and (now := self._transport.monotonic()) >= self._next_start:
            if self._under_way[self._sources[self._waiting[0]]] == AT_ONCE:
                break
            index = self._waiting.popleft()
            self._under_way[self._sources[index]] += 1
            self._next_start = max(self._next_start, now - IDLE_S) + PACKETS_EACH / self._probe.rate
            target = self._targets[index].target
            outer = outer_source(target, self._probe)
            exchange = Exchange(
                self._targets[index], outer, self._mtus[index], self._limits, self._probe.timeout
            )
            self._running[index] = exchange
            self._connect(index, exchange, now)

    def _connect(self, index: int, exchange: Exchange, now: float) -> None:
        source, virtual = self._sources[index], self._targets[index].target.virtual_service
        flow = Flow(source, self._ports[source].popleft(), virtual.vip, virtual.port)
        attempt = exchange.connect(flow, now)
        self._by_flow[flow] = (index, attempt)
        self._send(attempt)

    def _wait_s(self) -> float:
        now = self._transport.monotonic()
        wakes_at = min((exchange.wakes_at for exchange in self._running.values()), default=now + IDLE_S)
        if self._waiting and self._under_way[self._sources[self._waiting[0]]] < AT_ONCE:
            wakes_at = min(wakes_at, self._next_start)
        return max(0.0, wakes_at - now)

    def _receive(self, within_s: float) -> None:
        """Take what has arrived, and answer it once all of it was looked at."""
        frames = self._transport.frames(within_s)
        now, now_ns = self._transport.monotonic(), self._transport.now_ns()
        self._looked_at = now
        touched: dict[int, Attempt] = {}
        for frame in frames:
            attempt = self._take(frame, now, now - max(0, now_ns - frame.at_ns) / 1e9)
            if attempt is not None:
                touched[id(attempt)] = attempt
        for attempt in touched.values():
            self._send(attempt)

    def _take(self, frame: Frame, now: float, arrived_at: float) -> Attempt | None:
        """Give a packet to the connection that it is about, if it is about one."""
        arrived = read(frame)
        if isinstance(arrived, Unreadable):
            self._unreadable[arrived.why] += 1
            return None
        if arrived is None or arrived.flow is None:
            return None
        _, attempt = self._by_flow.get(arrived.flow, (None, None))
        if attempt is None:
            return None
        if isinstance(arrived, IcmpError):
            attempt.reported(arrived, now)
        else:
            attempt.arrive(arrived.segment, arrived_at, now)
        return attempt

    def _advance(self) -> None:
        """Do what is due by the time, and report what is over."""
        now = self._looked_at
        for index, exchange in list(self._running.items()):
            if not exchange.is_over and exchange.wakes_at <= now:
                exchange.tick(now)
                self._send_all(exchange.attempts)
                if exchange.wants_second(now):
                    self._connect(index, exchange, now)
            if exchange.is_over:
                exchange.end(now)
                self._send_all(exchange.attempts)
                del self._running[index]
                self._under_way[self._sources[index]] -= 1
                for attempt in exchange.attempts:
                    self._ports[attempt.flow.source].append(attempt.flow.source_port)
                self._decide(index, exchange.result())

    def _decide(self, index: int, result: ExchangeResult) -> None:
        self._results[index] = result
        self._on_result(result)

    def _send_all(self, attempts: Iterable[Attempt]) -> None:
        for attempt in attempts:
            self._send(attempt)

    def _send(self, attempt: Attempt) -> None:
        """Send what a connection has to say; what cannot be sent it is told."""
        destination = str(attempt.realserver)
        failed: list[tuple[Segment, OSError]] = []
        for segment, packet in attempt.packets():
            try:
                self._transport.send(packet, destination)
            except OSError as error:
                failed.append((segment, error))
        for segment, problem in failed:
            now = self._transport.monotonic()
            attempt.not_sent(segment, problem, self._mtu_now(destination), now)
        if failed:
            self._send(attempt)  # what was cut to fit; each time it is less

    def _mtu_now(self, destination: str) -> int:
        try:
            return self._transport.mtu_towards(destination)
        except OSError:
            return 0

    def _flush(self) -> None:
        self._send_all(attempt for _, attempt in self._by_flow.values())

    def _linger(self) -> None:
        end = self._transport.monotonic() + LINGER_S
        while (left := end - self._transport.monotonic()) > 0:
            self._receive(left)


def _unsent(target: ExchangeTarget, problem: OSError) -> ExchangeResult:
    words = os.strerror(problem.errno or 0)
    detail = f"nothing was sent to {target.target.realserver_address}: {words}"
    return ExchangeResult(target, ExchangeVerdict.NO_CONNECTION, detail, Stage.CONNECT, sent=False)
