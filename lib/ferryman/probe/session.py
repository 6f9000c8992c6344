"""One probe: all targets asked at once, answers judged as they come, unanswered SYNs sent again."""

from __future__ import annotations

import socket
from collections import Counter
from typing import TYPE_CHECKING

from ferryman.model import ProbeResult, ProbeVerdict
from ferryman.probe.aggregate import TargetResult
from ferryman.probe.classify import REFUSED, SILENT, UNREACHABLE, Judgement, Syn, SynIndex, classify
from ferryman.probe.dissect import Unreadable, dissect
from ferryman.probe.fast_path import fast_judgement
from ferryman.probe.flows import FlowAllocator, pool_size, samples_of, sequence_numbers
from ferryman.probe.outbox import Outbox, Way, not_sent
from ferryman.probe.patience import Patience
from ferryman.probe.sockets import FAMILY
from ferryman.probe.targets import outer_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ferryman.config import ProbeConfig
    from ferryman.model import Address
    from ferryman.probe.targets import Target
    from ferryman.probe.transport import Transport

NETWORK_BYTES = {4: 1, 6: 8}
"""The end of an address that its neighbours differ in. One of them is asked for: whichever own address the
answers of a network go to, it is ours; and what has no route is told when it is sent to."""

PARTS = 8
"""Parts of a try's wait. After each, the silent flows of targets of which others answered are asked again.

Such a target is alive, so it either loses packets, and then an answer comes soon, or has a bad pod. Three
tries would not tell: with SYNs and answers lost at 30 % each, half of the flows go without at each try.
"""

LAST_LOOKS = 32
"""How often is read, when it is time, what has arrived by then: a process that was not woken in time finds
more than is read at once. Not without end, for anybody can send to us."""


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
        self._patience = Patience(probe)
        self._results: dict[int, ProbeResult] = {}
        self._remarked: set[int] = set()
        self._unreadable: Counter[str] = Counter()
        """Packets that were no answers, for they were not whole, by what was wrong with them."""
        self._aggregates: dict[int, TargetResult] = {}
        self._syns: list[Syn] = []
        self._index = SynIndex(())
        self._ways: dict[int, Way] = {}
        self._outbox = Outbox(transport, probe.rate, self._ways, self._receive, self._unsent)
        self._tries = 0
        """How many times every silent flow has been asked."""
        self._waited_s = 0.0
        """How long answers were waited for, all in all, beside the time that it took to ask."""

    def run(self) -> list[ProbeResult]:
        """Send, receive and close everything; returns one result for each target, in their order."""
        self._plan()
        try:
            self._ask_all()
            self._try_soon()
            is_soon = self._are_dead_alone
            if not is_soon:
                self._try_patiently()
            self._give_up(is_soon=is_soon)
        finally:
            self._outbox.close_behind(syn for syn in self._syns if syn.half_open)
        return [self._final(index) for index in range(len(self._targets))]

    def _plan(self) -> None:
        """Choose flows, reserve their ports, make their templates, and begin to listen."""
        probe = self._probe
        found = self._inner_sources()
        size = pool_size(len(found), probe.samples)
        sources = {source for source, _, _ in found.values()}
        pools = {source: self._transport.reserve(source, size) for source in sources}
        lanes, numbers = FlowAllocator(pools), sequence_numbers(len(found) * probe.samples)
        for position, (index, (source, packed, destination)) in enumerate(found.items()):
            target = self._targets[index]
            realserver, outer = target.realserver_address, outer_source(target, probe)
            lane = lanes.lane(source, target.virtual_service, outer)
            self._ways[index] = Way(lane.packets, packed, destination)
            self._aggregates[index] = TargetResult(target, outer, probe.samples)
            for flow in samples_of(lane, position, probe.samples):
                self._syns.append(Syn(index, flow, next(numbers), realserver, outer, target.mss_limit))
        self._index = SynIndex(self._syns)
        self._transport.listen({port for pool in pools.values() for port in pool}, len(self._syns))

    def _inner_sources(self) -> dict[int, tuple[Address, bytes, str]]:
        """The own address that a target's answers come back to, and the realserver's as bytes and in words.

        Targets without a route are decided.
        """
        known: dict[bytes, Address] = {}
        found: dict[int, tuple[Address, bytes, str]] = {}
        for index, target in enumerate(self._targets):
            outer, vip = target.realserver_address, target.virtual_service.vip
            packed = outer.packed
            # str() takes ten times as long
            destination = socket.inet_ntop(FAMILY[outer.version], packed)
            same = outer.version == vip.version
            network = (packed if same else vip.packed)[: -NETWORK_BYTES[vip.version]]
            source = known.get(network)
            if source is None:
                try:
                    source = self._transport.source_towards(destination if same else str(vip))
                except OSError as problem:
                    self._decide_unsent(index, not_sent(problem, destination))
                    continue
                known[network] = source
            found[index] = source, packed, destination
        return found

    def _decide_unsent(self, index: int, detail: str) -> None:
        target = self._targets[index]
        result = ProbeResult(target.host, target.virtual_service, UNREACHABLE, detail=detail, asked=0)
        self._decide(index, result)

    def _decide(self, index: int, result: ProbeResult) -> None:
        self._results[index] = result
        self._on_result(result)

    @property
    def _all_known(self) -> bool:
        return len(self._results) == len(self._targets)

    def _try_soon(self) -> None:
        """Make the tries as fast as the answers allow; without any, wait as long as the first may take."""
        patience = self._patience
        if not patience.adapts:
            return
        self._wait(lambda: patience.wait_s(0))
        if not patience.has_measured:
            return
        for number in range(1, self._probe.tries):
            self._ask_all()
            self._wait(lambda number=number: patience.wait_s(number))  # type: ignore[misc]  # bound
        left_s = patience.give_up_after_s - self._waited_s
        self._wait(lambda: left_s if patience.is_short else 0.0)

    @property
    def _are_dead_alone(self) -> bool:
        """Whether nothing speaks against the short waits: those that are left have not answered at all."""
        waiting = (aggregate for aggregate in self._aggregates.values() if aggregate.waiting)
        return self._patience.is_short and not any(aggregate.answered for aggregate in waiting)

    def _try_patiently(self) -> None:
        """Make the tries at their configured times, apart from those that are over.

        Where a third of the packets is lost, they leave one flow in some thousands unanswered. So more follow
        for as long as each brings an answer that those before did not, but no more than were configured.
        """
        tries, until_s, late = self._probe.tries, 0.0, 0
        for number in range(2 * tries):
            until_s += self._probe.wait_s(min(number, tries - 1))
            if (left_s := until_s - self._waited_s) <= 0:
                continue
            if number >= tries and self._patience.late == late:
                return
            late = self._patience.late
            if number:
                self._ask_all()
            self._wait_in_parts(left_s)

    def _wait_in_parts(self, wait_s: float) -> None:
        for part in range(PARTS):
            if part:
                self._ask(syn for syn in self._unanswered() if self._aggregates[syn.target].answered)
            self._wait(lambda: wait_s / PARTS)

    def _unanswered(self) -> Iterator[Syn]:
        return (syn for syn in self._syns if syn.answered is None)

    def _ask_all(self) -> None:
        self._tries += 1
        self._ask(self._unanswered())

    def _ask(self, syns: Iterable[Syn]) -> None:
        if not self._all_known:
            self._outbox.ask(syns)

    def _wait(self, within_s: Callable[[], float]) -> None:
        """Take answers until all have come, or it is time; how long that is may change with each answer."""
        began = self._transport.monotonic()
        looks = LAST_LOOKS
        while not self._all_known and looks:
            left_s = began + within_s() - self._transport.monotonic()
            has_arrived = self._receive(max(0.0, left_s))
            self._outbox.flush()
            if left_s <= 0:
                looks = looks - 1 if has_arrived else 0
        self._waited_s += self._transport.monotonic() - began

    def _receive(self, within_s: float) -> bool:
        """Judge what has arrived, if anything; waits for the first packet, but not longer than this."""
        arrivals, index = self._transport.receive(within_s), self._index
        for packet, at_ns in arrivals:
            judgement = fast_judgement(packet, index)
            if judgement is not None:
                self._apply(judgement, at_ns)
            else:
                for each in self._slow_judgements(packet):
                    self._apply(each, at_ns)
        return bool(arrivals)

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

    def _unsent(self, syn: Syn, detail: str) -> None:
        self._apply(Judgement(syn, UNREACHABLE, detail=detail), syn.sent_ns)

    def _count(self, judgement: Judgement, verdict: ProbeVerdict, at_ns: int) -> None:
        syn = judgement.syn
        syn.answered = verdict
        aggregate = self._aggregates[syn.target]
        after_s = max(0, at_ns - syn.sent_ns) / 1e9
        is_to_last = syn.sent == 1 or self._is_to_last(syn, after_s, at_ns)
        if verdict is REFUSED:
            syn.half_open = False
        elif verdict is not UNREACHABLE:
            self._outbox.close_soon(syn)
        # One round trip of each target tells as much as those of all its flows.
        if verdict is not UNREACHABLE and (syn.sent > 1 or not aggregate.answered):
            self._patience.answered(after_s, tries=syn.sent)
        aggregate.count(judgement, after_s * 1e3, is_to_last=is_to_last)
        if not aggregate.waiting:
            self._decide(syn.target, aggregate.result())

    def _is_to_last(self, syn: Syn, after_s: float, at_ns: int) -> bool:
        """Whether the last SYN is answered: the first must be lost by now, or others take as long as this."""
        in_all_s = (at_ns - syn.first_sent_ns) / 1e9
        return in_all_s >= self._probe.timeout or self._patience.is_usual(after_s)

    def _remark(self, index: int, remark: str) -> None:
        self._aggregates[index].remark(remark)
        self._remarked.add(index)

    def _give_up(self, *, is_soon: bool) -> None:
        """Decide the targets of which flows are still unanswered: as silent."""
        for syn in self._unanswered():
            syn.answered = SILENT
            self._aggregates[syn.target].tries = max(self._aggregates[syn.target].tries, syn.sent)
        detail = self._silence(is_soon=is_soon)
        for index, aggregate in self._aggregates.items():
            if aggregate.waiting:
                aggregate.give_up(detail)
                self._decide(index, aggregate.result())

    def _silence(self, *, is_soon: bool) -> str:
        lost = self._transport.lost()
        syns = "1 SYN" if self._tries == 1 else f"{self._tries} SYNs"
        each = f" from each of {self._probe.samples} source ports" if self._probe.samples > 1 else ""
        parts = [f"no answer to {syns}{each} in {round(self._waited_s, 2):g} s"]
        if is_soon:
            parts[0] += f", while others took {self._patience.round_trip_s * 1e3:.2g} ms"
        if lost:
            parts.append(f"{lost} answers were lost here, for the receive buffer was full: lower the rate")
        if self._unreadable:
            packets = ", ".join(f"{count} with {why}" for why, count in sorted(self._unreadable.items()))
            parts.append(f"packets came that are no answers: {packets}: see who sends them")
        parts.append("look at rp_filter, the firewall, whether the tunnel device is up, and the VIP")
        return "; ".join(parts)

    def _final(self, index: int) -> ProbeResult:
        return self._aggregates[index].result() if index in self._remarked else self._results[index]


def _words(judgement: Judgement) -> str:
    assert judgement.verdict is not None
    return ", ".join(filter(None, (judgement.verdict.value, judgement.detail)))
