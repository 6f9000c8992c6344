"""What a probe has to send: SYNs at the configured rate, and behind each answer the RST that closes it.

RSTs are not charged to the rate. There is one at most for each SYN, when that is answered, so the answers
pace them: twice the rate leaves in the worst case. And where a SYN makes an entry in somebody's table (the
realserver's backlog, the conntrack of a firewall or a node), its RST takes it out again: to let them wait
would harm those whom the rate protects. Those behind SYNs that nobody answered have nothing that paces them,
so these are charged.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from ferryman.probe.rate_limit import RateLimiter
from ferryman.retry import retry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ferryman.probe.classify import Syn
    from ferryman.probe.packets import PacketPair
    from ferryman.probe.transport import Transport

QUEUE_FULL = (errno.ENOBUFS, errno.EAGAIN)
QUEUE_TRIES = 40
QUEUE_PAUSE_S = 0.005
"""Between two tries to get a packet into a full interface queue: 0.2 s in all."""

NOT_SENT = {
    errno.EPERM: "this host's own firewall forbids it",
    errno.EACCES: "this host's own routing forbids it",
    errno.ENOBUFS: "the interface's queue stayed full",
    errno.EAGAIN: "the interface's queue stayed full",
    errno.ENETDOWN: "the interface is down",
    errno.ENETUNREACH: "this host has no route to it",
    errno.EHOSTUNREACH: "this host has no route to it",
}


class Way(NamedTuple):
    """How a target is reached."""

    packets: PacketPair
    """The templates of what opens its flows, and of what closes them."""
    realserver: bytes
    """Its address as it is on the wire."""
    destination: str
    """The same in words."""


class Outbox:
    """Sends what is asked for; whatever it waits for, it listens meanwhile.

    ``ways`` are those of the SYNs' targets. ``receive`` takes what arrives within so many seconds. ``unsent``
    gets each SYN that could not be sent, with why.
    """

    def __init__(
        self,
        transport: Transport,
        rate: int,
        ways: dict[int, Way],
        receive: Callable[[float], object],
        unsent: Callable[[Syn, str], None],
    ) -> None:
        self._transport, self._ways = transport, ways
        self._receive, self._unsent = receive, unsent
        self._limiter = RateLimiter(rate, transport.monotonic)
        self._asking: deque[Syn] = deque()
        self._closing: deque[Syn] = deque()

    def ask(self, syns: Iterable[Syn]) -> None:
        """Send these, and return once they are out; those that are answered meanwhile are left out."""
        self._asking.extend(syns)
        self.flush()

    def close_soon(self, syn: Syn) -> None:
        """Reset what has been answered, with the next packets that leave."""
        self._closing.append(syn)

    def flush(self) -> None:
        """Send what is queued, and listen after each batch.

        Closed is before anything else is asked: nothing stays open long.
        """
        while self._closing or self._asking:
            while self._closing:
                self._close(self._closing.popleft())
            if self._asking:
                self._send_batch()
            self._receive(self._limiter.wait_s(len(self._asking)) if self._asking else 0.0)

    def close_behind(self, syns: Iterable[Syn]) -> None:
        """Close what is still half open, also where only the route back is broken, at the configured rate."""
        half_open = deque(syns)
        while half_open:
            granted = min(self._limiter.granted(), len(half_open))
            for _ in range(granted):
                self._close(half_open.popleft())
            self._limiter.spend(granted)
            self._transport.receive(self._limiter.wait_s(len(half_open)))

    def _send_batch(self) -> None:
        left = granted = self._limiter.granted()
        while left and self._asking:
            syn = self._asking.popleft()
            if syn.answered is None:
                self._send_syn(syn)
                left -= 1
        self._limiter.spend(granted - left)

    def _send_syn(self, syn: Syn) -> None:
        packets, realserver, destination = self._ways[syn.target]
        packet = packets.syn.filled(realserver, syn.flow.source_port, syn.isn)
        syn.half_open = True
        syn.sent += 1
        # Stamped before it leaves: on a short way the answer is here before send() returns.
        syn.sent_ns = self._transport.now_ns()
        syn.first_sent_ns = syn.first_sent_ns or syn.sent_ns
        try:
            self._transport.send(packet, destination)
        except OSError as problem:
            if (last := self._until_sent(packet, destination, problem, syn)) is not None:
                self._unsent(syn, not_sent(last, destination))

    def _close(self, syn: Syn) -> None:
        """Reset one; where even that cannot be sent, the realserver gives up within a minute or so."""
        packets, realserver, destination = self._ways[syn.target]
        packet = packets.rst.filled(realserver, syn.flow.source_port, syn.acknowledgement)
        try:
            self._transport.send(packet, destination)
        except OSError as problem:
            self._until_sent(packet, destination, problem)
        syn.half_open = False

    def _until_sent(
        self, packet: bytes, destination: str, problem: OSError, syn: Syn | None = None
    ) -> OSError | None:
        """Try again while the queue is full; None once the packet is out, else what became of it."""

        def pause(seconds: float) -> None:
            self._receive(seconds)

        def handed_over(_: int) -> OSError | None:
            if syn is not None:
                syn.sent_ns = self._transport.now_ns()
            try:
                self._transport.send(packet, destination)
            except OSError as again:
                return again
            return None

        if problem.errno not in QUEUE_FULL:
            return problem
        pause(QUEUE_PAUSE_S)
        return retry(
            handed_over,
            lambda last: last is not None and last.errno in QUEUE_FULL,
            tries=QUEUE_TRIES,
            pause_s=QUEUE_PAUSE_S,
            sleep=pause,
        )


def not_sent(problem: OSError, destination: str) -> str:
    """Why nothing went to a destination, for people."""
    number = problem.errno or 0
    return f"nothing was sent to {destination}: {NOT_SENT.get(number, os.strerror(number))}"
