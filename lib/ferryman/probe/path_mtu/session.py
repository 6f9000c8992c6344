"""Searches on many paths side by side: what is sent, when it is sent again, and what is given up."""

from __future__ import annotations

import math
import secrets
from collections import deque
from typing import TYPE_CHECKING

from ferryman.probe.path_mtu.answers import Error, Reply, read
from ferryman.probe.path_mtu.packets import NONCE_BYTES, PROTOCOLS, outgoing
from ferryman.probe.path_mtu.patience import ALONE_S, AT_ONCE, USUAL_S
from ferryman.probe.path_mtu.results import PathMtuResult, PathMtuVerdict
from ferryman.probe.path_mtu.search import Came, Heard, search

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ferryman.model import Address
    from ferryman.probe.path_mtu.packets import Outgoing
    from ferryman.probe.path_mtu.results import PathMtuTarget
    from ferryman.probe.path_mtu.search import Ask, Found
    from ferryman.probe.path_mtu.transport import PathMtuTransport

PORTS = 16
"""Ports of ours that are used one after the other: a server may remember a SYN for a while."""

Sent = tuple["Measurement", int]
"""Whose packet it was, and its size."""


class Measurement:
    """One target's search, with its packets and its timer."""

    def __init__(self, target: PathMtuTarget, source: Address, mtus: tuple[int, int]) -> None:
        self.target, self.source = target, source
        self.interface_mtu, self.route_mtu = mtus
        self.found: Found | None = None
        self.sent, self.answer = 0, ""
        self.errors: list[str] = []
        """What ICMP errors that say nothing of sizes, and our own kernel, say."""
        self.tries = 0
        self.due = -math.inf
        self._search = search(target.address.version, self.interface_mtu)
        self.ask: Ask | None = next(self._search)

    @property
    def waits_s(self) -> Sequence[float]:
        """Seconds that each try of the present size waits."""
        return ALONE_S if self.ask is not None and self.ask.alone else USUAL_S

    def hear(self, heard: Heard) -> None:
        """Take what came of a size; the next one is due at once."""
        if self.ask is None:
            return
        try:
            self.ask = self._search.send(heard)
        except StopIteration as end:
            self.found, self.ask = end.value, None
        self.tries, self.due = 0, -math.inf

    def result(self) -> PathMtuResult:
        """What it gave."""
        assert self.found is not None, "the search is over"
        errors = tuple(dict.fromkeys(self.errors))
        return PathMtuResult(
            self.target, self.found.verdict, self.found.mtu, self.found.told, self.interface_mtu,
            self.route_mtu, self.answer, self.sent, (*self.found.remarks, *errors),
        )  # fmt: skip


class PathMtuSession:
    """All searches of one call, over one transport."""

    def __init__(self, transport: PathMtuTransport, targets: Sequence[PathMtuTarget]) -> None:
        self._transport = transport
        self._targets = targets
        self._by_quote: dict[tuple[Address, Address, int, bytes], Sent] = {}
        self._by_reply: dict[tuple[Address, int, bytes], Sent] = {}
        self._ports: dict[Address, deque[int]] = {}
        self._unreached: dict[int, PathMtuResult] = {}

    def run(self) -> list[PathMtuResult]:
        """Measure all paths; one result for each target, in their order."""
        measurements = {
            index: made
            for index, target in enumerate(self._targets)
            if (made := self._begun(index, target)) is not None
        }
        for source in {each.source for each in measurements.values()}:
            self._ports[source] = deque(self._transport.reserve(source, PORTS))
        self._transport.listen(sorted({port for ports in self._ports.values() for port in ports}), PORTS)
        waiting, under_way = deque(measurements.values()), list[Measurement]()
        while waiting or under_way:
            while waiting and len(under_way) < AT_ONCE:
                under_way.append(waiting.popleft())
            self._turn(under_way)
            under_way = [each for each in under_way if each.ask is not None]
        return [
            self._unreached[index] if index in self._unreached else measurements[index].result()
            for index in range(len(self._targets))
        ]

    def _begun(self, index: int, target: PathMtuTarget) -> Measurement | None:
        """The target's search; None, with a result, where this host has no way there."""
        address = str(target.address)
        try:
            source, mtus = self._transport.source_towards(address), self._transport.mtus_towards(address)
        except OSError as error:
            remark = f"this host has no way there: {error.strerror or error}"
            result = PathMtuResult(target, PathMtuVerdict.UNANSWERED, None, remarks=(remark,))
            self._unreached[index] = result
            return None
        return Measurement(target, source, mtus)

    def _turn(self, under_way: list[Measurement]) -> None:
        """Send what is due, and take what comes until the next packet is."""
        now = self._transport.monotonic()
        awake = [each for each in under_way if each.ask is not None and not each.ask.alone]
        # Those that ask alone have their turn when nobody else asks, one after the other.
        awake = awake or under_way[:1]
        for each in awake:
            if each.due <= now:
                self._send_or_give_up(each, now)
        wakes_at = min((each.due for each in awake if each.ask is not None), default=now)
        for packet, _ in self._transport.receive(max(0.0, wakes_at - now)):
            self._take(packet)

    def _send_or_give_up(self, each: Measurement, now: float) -> None:
        assert each.ask is not None, "it is under way"
        if each.tries == len(each.waits_s):
            each.hear(Heard(each.ask.size, Came.SILENT))
            return
        each.due = now + each.waits_s[each.tries]
        each.tries += 1
        port = self._ports[each.source][0]
        self._ports[each.source].rotate(-1)
        made = outgoing(each.source, each.target, each.ask.size, port, secrets.token_bytes(NONCE_BYTES))
        self._enter(each, each.ask.size, made)
        try:
            self._transport.send(made.packet, str(each.target.address))
            each.sent += 1
        except OSError as error:
            each.errors.append(f"a packet was not sent: {error.strerror or error}")

    def _enter(self, each: Measurement, size: int, made: Outgoing) -> None:
        target = each.target
        protocol = PROTOCOLS[target.protocol][target.address.version]
        self._by_quote[each.source, target.address, protocol, made.quote] = each, size
        for identity in made.replies:
            self._by_reply[target.address, protocol, identity] = each, size

    def _take(self, packet: bytes) -> None:
        answer = read(packet)
        if isinstance(answer, Reply):
            sent = self._by_reply.get((answer.source, answer.protocol, answer.identity))
            if sent is not None:
                self._answered(sent, answer.what)
        elif isinstance(answer, Error):
            key = answer.source, answer.destination, answer.protocol, answer.quote
            sent = self._by_quote.get(key)
            if sent is not None:
                self._refused(sent, answer)

    def _answered(self, sent: Sent, what: str) -> None:
        each, size = sent
        each.answer = each.answer or what
        each.hear(Heard(size, Came.ANSWERED))

    def _refused(self, sent: Sent, error: Error) -> None:
        each, size = sent
        if error.is_too_big:
            each.hear(Heard(size, Came.TOO_BIG, error.reporter, error.mtu))
        elif error.is_from_the_host:
            self._answered(sent, str(error))
        else:
            each.errors.append(str(error))
