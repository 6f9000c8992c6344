"""All realservers asked at once, answers judged as they come, the unanswered asked again."""

from __future__ import annotations

import errno
import os
import secrets
from collections import Counter
from dataclasses import replace
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from ferryman.model import ProbeResult, ProbeVerdict
from ferryman.patience import attempts
from ferryman.probe.answers import Awaited, Flow, Judgement, Syn, classify
from ferryman.probe.packets import dissect, encapsulated_rst, encapsulated_syn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ferryman.config import ProbeConfig
    from ferryman.model import Address
    from ferryman.probe.targets import Target
    from ferryman.probe.wire import Wire

QUEUE_FULL = (errno.ENOBUFS, errno.EAGAIN)
QUEUE_TRIES = 40
QUEUE_PAUSE_S = 0.005
"""Between two tries to get a packet into a full interface queue: 0.2 s in all."""

PORT_POOL = 256
"""TCP ports reserved for each own address at most: each takes a file and two filter instructions."""

REMARKS = 3
"""As many uncounted answers are told for one target."""

NOT_SENT = {
    errno.EPERM: "this host's own firewall forbids it",
    errno.EACCES: "this host's own routing forbids it",
    errno.ENOBUFS: "the interface's queue stayed full",
    errno.EAGAIN: "the interface's queue stayed full",
    errno.ENETDOWN: "the interface is down",
    errno.ENETUNREACH: "this host has no route to it",
    errno.EHOSTUNREACH: "this host has no route to it",
}


class Volley:
    """The SYNs of one probe: what is out, what has been answered, what is still to be closed."""

    def __init__(
        self, wire: Wire, probe: ProbeConfig, targets: Sequence[Target], told: Callable[[ProbeResult], None]
    ) -> None:
        self._wire, self._probe, self._targets, self._told = wire, probe, targets, told
        self._awaited = Awaited()
        self._sources: dict[Address, Address] = {}
        self._ports: dict[Address, list[int]] = {}
        self._ranks = _ranks(targets)
        self._sent_ns: dict[int, int] = {}
        self._half_open: dict[int, Syn] = {}
        self._to_close: list[Syn] = []
        self._answered: set[int] = set()
        self._results: dict[int, ProbeResult] = {}
        self._diagnoses: dict[int, Judgement] = {}
        self._remarks: list[list[str]] = [[] for _ in targets]
        self._left_ns = 0
        self._next_send = wire.monotonic()

    def run(self) -> list[ProbeResult]:
        """Probe; one result for each target, in their order."""
        self._find_sources()
        self._reserve_ports()
        self._wire.listen(port for pool in self._ports.values() for port in pool)
        try:
            attempts(self._try, bool, tries=self._probe.tries)
            for index in self._unanswered():
                self._decide(index, ProbeVerdict.SILENT, self._silence(index))
        finally:
            self._close_behind()
        return [self._with_remarks(index) for index in range(len(self._targets))]

    def _find_sources(self) -> None:
        for index, target in enumerate(self._targets):
            address = target.realserver_address
            try:
                self._sources[address] = self._sources.get(address) or self._wire.source_towards(address)
            except OSError as problem:
                self._decide(index, ProbeVerdict.UNREACHABLE, _not_sent(problem, address))

    def _reserve_ports(self) -> None:
        """A port for each try of each target, and one for its diagnosis, as far as the pool goes.

        Two SYNs of one flow would upset each other where they meet: at one realserver, or at one pod that two
        nodes send them to. Beyond the pool's size targets share flows, and sequence numbers tell them apart.
        Virtual services have flows of their own whatever the port.
        """
        asked = Counter((target.virtual_service.vip, target.virtual_service.port) for target in self._targets)
        size = min(PORT_POOL, max(asked.values()) * (self._probe.tries + 1))
        for source in dict.fromkeys(self._sources.values()):
            self._ports[source] = [self._wire.reserve(source) for _ in range(size)]

    def _port(self, index: int, number: int) -> int:
        pool = self._ports[self._sources[self._targets[index].realserver_address]]
        return pool[(self._ranks[index] * (self._probe.tries + 1) + number) % len(pool)]

    def _unanswered(self) -> list[int]:
        return [index for index in range(len(self._targets)) if index not in self._results]

    def _try(self, number: int) -> list[int]:
        """Ask those that have not answered, and wait; those that have not answered even then."""
        for index in self._unanswered():
            self._ask(index, number)
            self._close_answered()
        end = self._wire.monotonic() + self._probe.timeout
        if number == self._probe.tries - 1:
            self._wait(end - self._probe.timeout / 2)
            for index in self._unanswered():
                self._diagnose(index)
        self._wait(end)
        return self._unanswered()

    def _wait(self, end: float) -> None:
        """Take answers until all have come, or it is time."""
        while len(self._results) < len(self._targets) and (left := end - self._wire.monotonic()) > 0:
            self._hear(left)
            self._close_answered()

    def _ask(self, index: int, number: int) -> None:
        target = self._targets[index]
        problem = self._send_syn(self._syn(index, number, self._outer_source(target.realserver_address)))
        if problem is not None:
            self._decide(index, ProbeVerdict.UNREACHABLE, _not_sent(problem, target.realserver_address))

    def _diagnose(self, index: int) -> None:
        """Ask again with our own outer source: «protocol unreachable» goes to the outer source alone.

        It explains, and decides nothing: a director's packets do not have our source.
        """
        address = self._targets[index].realserver_address
        own = self._sources[address]
        if own != self._outer_source(address):
            syn = self._syn(index, self._probe.tries, own)
            self._send_syn(replace(syn, diagnostic=True))

    def _outer_source(self, address: Address) -> Address:
        sources = self._probe.outer_source
        return sources.ipv4 if isinstance(address, IPv4Address) else sources.ipv6

    def _syn(self, index: int, number: int, outer_source: Address) -> Syn:
        target = self._targets[index]
        source = self._sources[target.realserver_address]
        virtual = target.virtual_service
        flow = Flow(source, self._port(index, number), virtual.vip, virtual.port)
        isn = secrets.randbits(32)
        while self._awaited.has(isn):
            isn = secrets.randbits(32)
        return Syn(index, number, flow, isn, target.realserver_address, outer_source, target.mss_limit)

    def _send_syn(self, syn: Syn) -> OSError | None:
        problem = self._send(encapsulated_syn(syn), syn.realserver)
        if problem is None:
            self._awaited.add(syn)
            self._sent_ns[syn.isn] = self._left_ns
            self._half_open[syn.isn] = syn
        return problem

    def _send(self, packet: bytes, destination: Address) -> OSError | None:
        """Send at no more than the configured rate; a full queue is waited for, listening meanwhile."""
        self._keep_pace()
        problem = self._hand_over(packet, destination)
        if _queue_full(problem):
            problem = attempts(
                lambda _: self._hand_over(packet, destination),
                _queue_full,
                tries=QUEUE_TRIES,
                pause_s=QUEUE_PAUSE_S,
                sleep=self._hear,
            )
        return problem

    def _hand_over(self, packet: bytes, destination: Address) -> OSError | None:
        # Stamped before it leaves: on a short way the answer is here before send() returns.
        self._left_ns = self._wire.now_ns()
        try:
            self._wire.send(packet, destination)
        except OSError as problem:
            return problem
        return None

    def _keep_pace(self) -> None:
        """Wait for our turn and listen meanwhile; when late, listen all the same: nothing stays open long."""
        self._hear(max(0.0, self._next_send - self._wire.monotonic()))
        while (ahead := self._next_send - self._wire.monotonic()) > 0:
            self._hear(ahead)
        self._next_send = max(self._next_send, self._wire.monotonic()) + 1 / self._probe.rate

    def _hear(self, within_s: float) -> None:
        """Judge what has arrived; waits for the first packet, but not longer than this."""
        for arrival in self._wire.receive(within_s):
            answer = dissect(arrival.packet)
            for judgement in classify(answer, self._awaited) if answer is not None else ():
                self._heed(judgement, arrival.at_ns)

    def _heed(self, judgement: Judgement, at_ns: int) -> None:
        syn, verdict = judgement.syn, judgement.verdict
        if verdict is None:
            self._remark(syn.target, judgement.detail)
            return
        if syn.isn in self._answered:
            self._remark(syn.target, f"not counted: a second answer to the same SYN: {_words(judgement)}")
            return
        self._answered.add(syn.isn)
        self._note_half_open(syn, verdict)
        if syn.diagnostic:
            self._diagnoses[syn.target] = judgement
        elif syn.target in self._results:
            self._remark(syn.target, f"later, try {syn.number + 1} was answered: {_words(judgement)}")
        else:
            rtt_ms = max(0, at_ns - self._sent_ns[syn.isn]) / 1e6
            self._decide(syn.target, verdict, self._with_try(judgement), rtt_ms, judgement.mss)

    def _note_half_open(self, syn: Syn, verdict: ProbeVerdict) -> None:
        if verdict in (ProbeVerdict.ACCEPTED, ProbeVerdict.UNSUITABLE):
            self._to_close.append(syn)
        elif verdict is ProbeVerdict.REFUSED:
            self._half_open.pop(syn.isn, None)

    def _decide(
        self,
        index: int,
        verdict: ProbeVerdict,
        detail: str,
        rtt_ms: float | None = None,
        mss: int | None = None,
    ) -> None:
        target = self._targets[index]
        self._results[index] = ProbeResult(target.host, target.virtual_service, verdict, rtt_ms, mss, detail)
        self._told(self._with_remarks(index))

    def _with_try(self, judgement: Judgement) -> str:
        number = judgement.syn.number
        which = f"try {number + 1} of {self._probe.tries} was answered" if number else ""
        return "; ".join(filter(None, (judgement.detail, which)))

    def _remark(self, index: int, remark: str) -> None:
        remarks = self._remarks[index]
        if remark not in remarks and len(remarks) < REMARKS:
            remarks.append(remark)

    def _with_remarks(self, index: int) -> ProbeResult:
        result = self._results[index]
        return replace(result, detail="; ".join(filter(None, (result.detail, *self._remarks[index]))))

    def _silence(self, index: int) -> str:
        tries, lost = self._probe.tries, self._wire.lost()
        said = [f"no answer to {tries} SYN{'s' if tries > 1 else ''}, {self._probe.timeout:g} s each"]
        if lost:
            said.append(f"{lost} answers were lost here, for the receive buffer was full: lower the rate")
        address = self._targets[index].realserver_address
        diagnosis = self._diagnoses.get(index)
        if diagnosis is None:
            said.append("look at rp_filter, the firewall, whether the tunnel device is up, and the VIP")
        elif diagnosis.verdict is ProbeVerdict.UNREACHABLE:
            said.append(f"asked with this host's own outer source: {diagnosis.detail}")
        else:
            said.append(
                f"asked with this host's own outer source it answers ({_words(diagnosis)}): something drops "
                f"what comes from {self._outer_source(address)}"
            )
        return "; ".join(said)

    def _close_answered(self) -> None:
        while self._to_close:
            self._close(self._to_close.pop())

    def _close_behind(self) -> None:
        """Close what is still half open, also where only the way back is broken."""
        while self._half_open:
            self._close(next(iter(self._half_open.values())))

    def _close(self, syn: Syn) -> None:
        """Reset one; where even that cannot be sent, the realserver gives up within a minute or so."""
        if self._half_open.pop(syn.isn, None) is not None:
            self._send(encapsulated_rst(syn), syn.realserver)


def _ranks(targets: Sequence[Target]) -> list[int]:
    """The place of each target among those of its virtual service."""
    seen: Counter[tuple[Address, int]] = Counter()
    ranks: list[int] = []
    for target in targets:
        flow = (target.virtual_service.vip, target.virtual_service.port)
        ranks.append(seen[flow])
        seen[flow] += 1
    return ranks


def _queue_full(problem: OSError | None) -> bool:
    return problem is not None and problem.errno in QUEUE_FULL


def _not_sent(problem: OSError, address: Address) -> str:
    number = problem.errno or 0
    return f"nothing was sent to {address}: {NOT_SENT.get(number, os.strerror(number))}"


def _words(judgement: Judgement) -> str:
    assert judgement.verdict is not None
    return ", ".join(filter(None, (judgement.verdict.value, judgement.detail)))
