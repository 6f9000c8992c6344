"""One probe: all targets asked at once, answers judged as they come, unanswered SYNs sent again."""

from __future__ import annotations

import errno
import os
import socket
from collections import Counter, deque
from typing import TYPE_CHECKING

from ferryman.model import ProbeResult, ProbeVerdict
from ferryman.probe.aggregate import TargetResult
from ferryman.probe.classify import Judgement, Syn, SynIndex, classify
from ferryman.probe.dissect import Unreadable, dissect
from ferryman.probe.fast_path import fast_judgement
from ferryman.probe.flows import FlowAllocator, outer_source, pool_size, samples_of, sequence_numbers
from ferryman.probe.rate_limit import RateLimiter
from ferryman.probe.sockets import FAMILY
from ferryman.retry import retry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ferryman.config import ProbeConfig
    from ferryman.model import Address
    from ferryman.probe.packets import PacketPair
    from ferryman.probe.targets import Target
    from ferryman.probe.transport import Transport

NETWORK_BYTES = {4: 1, 6: 8}
"""The end of an address that its neighbours differ in. One of them is asked for: whichever own address the
answers of a network go to, it is ours; and what has no route is told when it is sent to."""
QUEUE_FULL = (errno.ENOBUFS, errno.EAGAIN)
QUEUE_TRIES = 40
QUEUE_PAUSE_S = 0.005
"""Between two tries to get a packet into a full interface queue: 0.2 s in all."""

PARTS = 8
"""Parts of a try's wait. After each, the silent flows of targets of which others answered are asked again.

Such a target is alive, so it either loses packets, and then an answer comes soon, or has a bad pod. Three
tries would not tell: with SYNs and answers lost at 30 % each, half of the flows go without at each try.
"""

NOT_SENT = {
    errno.EPERM: "this host's own firewall forbids it",
    errno.EACCES: "this host's own routing forbids it",
    errno.ENOBUFS: "the interface's queue stayed full",
    errno.EAGAIN: "the interface's queue stayed full",
    errno.ENETDOWN: "the interface is down",
    errno.ENETUNREACH: "this host has no route to it",
    errno.EHOSTUNREACH: "this host has no route to it",
}


class ProbeSession:
    """The SYNs of one probe: what is out, what has been answered, what is still to be closed."""

    def __init__(
        self,
        transport: Transport,
        probe: ProbeConfig,
        targets: Sequence[Target],
        on_result: Callable[[ProbeResult], None],
    ) -> None:
        self._transport, self._probe, self._targets = transport, probe, targets
        self._on_result = on_result
        self._limiter = RateLimiter(probe.rate, transport.monotonic)
        self._results: dict[int, ProbeResult] = {}
        self._remarked: set[int] = set()
        self._unreadable: Counter[str] = Counter()
        """Packets that were no answers, for they were not whole, by what was wrong with them."""
        self._aggregates: dict[int, TargetResult] = {}
        self._packets: dict[int, PacketPair] = {}
        self._destinations: dict[int, str] = {}
        self._packed: dict[int, bytes] = {}
        self._syns: list[Syn] = []
        self._index = SynIndex(())
        self._departed_ns = 0
        self._asking: deque[Syn] = deque()
        self._closing: deque[Syn] = deque()

    def run(self) -> list[ProbeResult]:
        """Send, receive and close everything; returns one result for each target, in their order."""
        self._plan()
        try:
            for number in range(self._probe.tries):
                self._try(self._probe.wait_s(number))
            self._give_up()
        finally:
            self._close_behind()
        return [self._final(index) for index in range(len(self._targets))]

    def _plan(self) -> None:
        """Choose flows, reserve their ports, make their templates, and begin to listen."""
        probe = self._probe
        sources = self._inner_sources()
        size = pool_size(len(sources), probe.samples)
        pools = {source: self._transport.reserve(source, size) for source in set(sources.values())}
        lanes, numbers = FlowAllocator(pools), sequence_numbers(len(sources) * probe.samples)
        for position, (index, source) in enumerate(sources.items()):
            target = self._targets[index]
            realserver, outer = target.realserver_address, outer_source(target, probe)
            lane = lanes.lane(source, target.virtual_service, outer)
            self._packets[index] = lane.packets
            self._aggregates[index] = TargetResult(target, outer, probe.samples)
            for flow in samples_of(lane, position, probe.samples):
                self._syns.append(Syn(index, flow, next(numbers), realserver, outer, target.mss_limit))
        self._index = SynIndex(self._syns)
        self._transport.listen({port for pool in pools.values() for port in pool}, len(self._syns))

    def _inner_sources(self) -> dict[int, Address]:
        """The own address that each target's answers come back to; those without a route are decided."""
        known: dict[bytes, Address] = {}
        found: dict[int, Address] = {}
        for index, target in enumerate(self._targets):
            outer, vip = target.realserver_address, target.virtual_service.vip
            packed = self._packed[index] = outer.packed
            # str() takes ten times as long
            self._destinations[index] = socket.inet_ntop(FAMILY[outer.version], packed)
            same = outer.version == vip.version
            network = (packed if same else vip.packed)[: -NETWORK_BYTES[vip.version]]
            source = known.get(network)
            if source is None:
                try:
                    source = self._transport.source_towards(self._destinations[index] if same else str(vip))
                except OSError as problem:
                    self._decide_unsent(index, problem)
                    continue
                known[network] = source
            found[index] = source
        return found

    def _decide_unsent(self, index: int, problem: OSError) -> None:
        target = self._targets[index]
        detail = _not_sent(problem, self._destinations[index])
        result = ProbeResult(
            target.host, target.virtual_service, ProbeVerdict.UNREACHABLE, detail=detail, asked=0
        )
        self._decide(index, result)

    def _decide(self, index: int, result: ProbeResult) -> None:
        self._results[index] = result
        self._on_result(result)

    @property
    def _all_known(self) -> bool:
        return len(self._results) == len(self._targets)

    def _try(self, wait_s: float) -> None:
        """Ask the flows that have not answered, and wait; ends as soon as all targets are decided."""
        self._ask(self._unanswered())
        for part in range(PARTS):
            if part:
                self._ask(syn for syn in self._unanswered() if self._aggregates[syn.target].answered)
            self._wait(wait_s / PARTS)

    def _unanswered(self) -> Iterator[Syn]:
        return (syn for syn in self._syns if syn.answered is None)

    def _ask(self, syns: Iterable[Syn]) -> None:
        if not self._all_known:
            self._asking.extend(syns)
            self._flush()

    def _wait(self, within_s: float) -> None:
        """Take answers until all have come, or it is time."""
        end = self._transport.monotonic() + within_s
        while not self._all_known and (left := end - self._transport.monotonic()) > 0:
            self._receive(left)
            self._flush()

    def _flush(self) -> None:
        """Send what is queued, at the configured rate, and listen after each batch."""
        while self._closing or self._asking:
            self._send_batch(self._limiter.granted())
            self._receive(self._limiter.wait_s)

    def _send_batch(self, granted: int) -> None:
        """Close before anything else is asked: nothing stays open long."""
        for sent in range(granted):
            if self._closing:
                self._close(self._closing.popleft())
            elif self._asking:
                self._send_syn(self._asking.popleft())
            else:
                self._limiter.spend(sent)
                return
        self._limiter.spend(granted)

    def _send_syn(self, syn: Syn) -> None:
        if syn.answered is not None:
            return
        packet = self._packets[syn.target].syn.filled(self._packed[syn.target], syn.flow.source_port, syn.isn)
        syn.half_open = True
        syn.sent += 1
        problem = self._send(packet, self._destinations[syn.target])
        syn.sent_ns = self._departed_ns
        if problem is not None:
            detail = _not_sent(problem, self._destinations[syn.target])
            self._apply(Judgement(syn, ProbeVerdict.UNREACHABLE, detail=detail), syn.sent_ns)

    def _close(self, syn: Syn) -> None:
        """Reset one; where even that cannot be sent, the realserver gives up within a minute or so."""
        rst = self._packets[syn.target].rst
        packet = rst.filled(self._packed[syn.target], syn.flow.source_port, syn.acknowledgement)
        self._send(packet, self._destinations[syn.target])
        syn.half_open = False

    def _send(self, packet: bytearray, destination: str) -> OSError | None:
        """Hand a packet over; a full queue is waited for, listening meanwhile."""
        problem = self._handed_over(packet, destination)
        if problem is None or problem.errno not in QUEUE_FULL:
            return problem
        return retry(
            lambda _: self._handed_over(packet, destination),
            lambda problem: problem is not None and problem.errno in QUEUE_FULL,
            tries=QUEUE_TRIES,
            pause_s=QUEUE_PAUSE_S,
            sleep=self._receive,
        )

    def _handed_over(self, packet: bytearray, destination: str) -> OSError | None:
        # Stamped before it leaves: on a short way the answer is here before send() returns.
        self._departed_ns = self._transport.now_ns()
        try:
            self._transport.send(packet, destination)
        except OSError as problem:
            return problem
        return None

    def _receive(self, within_s: float) -> None:
        """Judge what has arrived; waits for the first packet, but not longer than this."""
        for packet, at_ns in self._transport.receive(within_s):
            judgement = fast_judgement(packet, self._index)
            for each in (judgement,) if judgement is not None else self._slow_judgements(packet):
                self._apply(each, at_ns)

    def _slow_judgements(self, packet: bytes) -> list[Judgement]:
        answer = dissect(packet)
        if isinstance(answer, Unreadable):
            self._unreadable[answer.why] += 1
            return []
        return classify(answer, self._index) if answer is not None else []

    def _apply(self, judgement: Judgement, at_ns: int) -> None:
        syn, verdict = judgement.syn, judgement.verdict
        if verdict is None:
            self._remark(syn.target, judgement.detail)
        elif syn.answered is None:
            self._count(judgement, verdict, at_ns)
        elif syn.answered is not verdict:
            self._remark(syn.target, f"not counted: a second answer to the same SYN: {_words(judgement)}")

    def _count(self, judgement: Judgement, verdict: ProbeVerdict, at_ns: int) -> None:
        syn, aggregate = judgement.syn, self._aggregates[judgement.syn.target]
        syn.answered = verdict
        if verdict is ProbeVerdict.REFUSED:
            syn.half_open = False
        elif verdict is not ProbeVerdict.UNREACHABLE:
            self._closing.append(syn)
        aggregate.count(judgement, max(0, at_ns - syn.sent_ns) / 1e6)
        if not aggregate.waiting:
            self._decide(syn.target, aggregate.result())

    def _remark(self, index: int, remark: str) -> None:
        self._aggregates[index].remark(remark)
        self._remarked.add(index)

    def _give_up(self) -> None:
        """Decide the targets of which flows are still unanswered: as silent."""
        for syn in self._unanswered():
            syn.answered = ProbeVerdict.SILENT
            self._aggregates[syn.target].tries = max(self._aggregates[syn.target].tries, syn.sent)
        detail = self._silence()
        for index, aggregate in self._aggregates.items():
            if aggregate.waiting:
                aggregate.give_up(detail)
                self._decide(index, aggregate.result())

    def _silence(self) -> str:
        probe, lost = self._probe, self._transport.lost()
        syns = "1 SYN" if probe.tries == 1 else f"{probe.tries} SYNs"
        each = f" from each of {probe.samples} source ports" if probe.samples > 1 else ""
        parts = [f"no answer to {syns}{each} in {probe.give_up_after_s:g} s"]
        if lost:
            parts.append(f"{lost} answers were lost here, for the receive buffer was full: lower the rate")
        if self._unreadable:
            packets = ", ".join(f"{count} with {why}" for why, count in sorted(self._unreadable.items()))
            parts.append(f"packets came that are no answers: {packets}: see who sends them")
        parts.append("look at rp_filter, the firewall, whether the tunnel device is up, and the VIP")
        return "; ".join(parts)

    def _final(self, index: int) -> ProbeResult:
        return self._aggregates[index].result() if index in self._remarked else self._results[index]

    def _close_behind(self) -> None:
        """Close what is still half open, also where only the route back is broken; results stay."""
        half_open = deque(syn for syn in self._syns if syn.half_open)
        while half_open:
            granted = min(self._limiter.granted(), len(half_open))
            for _ in range(granted):
                self._close(half_open.popleft())
            self._limiter.spend(granted)
            self._transport.receive(self._limiter.wait_s)


def _not_sent(problem: OSError, destination: str) -> str:
    number = problem.errno or 0
    return f"nothing was sent to {destination}: {NOT_SENT.get(number, os.strerror(number))}"


def _words(judgement: Judgement) -> str:
    assert judgement.verdict is not None
    return ", ".join(filter(None, (judgement.verdict.value, judgement.detail)))
