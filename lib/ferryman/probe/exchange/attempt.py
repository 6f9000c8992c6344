"""One connection to one realserver and what is said over it: brings segments, bytes and the time together."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, NamedTuple

from ferryman.encapsulation import IP_HEADER, TCP_HEADER
from ferryman.model import IcmpReason
from ferryman.probe.exchange.connection import Connection
from ferryman.probe.exchange.conversation import Conversation
from ferryman.probe.exchange.results import Stage, TooBig
from ferryman.probe.exchange.segments import RST, SYN, Encapsulation
from ferryman.probe.exchange.sending import SMALL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferryman.model import Address
    from ferryman.probe.classify import Flow, IcmpError
    from ferryman.probe.exchange.segments import Segment
    from ferryman.probe.exchange.targets import ExchangeTarget

BANNER_S = 0.5
"""Seconds that a realserver has for a banner, where nothing is asked."""
CLOSE_S = 1.5
"""Seconds for closing, once everything else is known: what is not closed by then is reset."""
CONNECT_PART = 0.5
"""The part of the deadline in which a SYN must be answered: without an answer the rest is no use."""
QUEUE_FULL = (errno.ENOBUFS, errno.EAGAIN)


class Terms(NamedTuple):
    """What holds for one connection."""

    mtu: int
    """The largest packet in bytes that this host sends to the realserver."""
    most: int
    """The payload in bytes that a segment may have at most, in both directions."""
    first_wait_s: float
    """Seconds until the first SYN is sent again."""
    answer_bytes: int
    """Bytes of an answer that are read."""
    until: float
    """When its time is up."""


class Attempt:
    """A connection from its SYN to its end, whatever that is."""

    def __init__(
        self,
        target: ExchangeTarget,
        flow: Flow,
        outer_source: Address,
        terms: Terms,
        now: float,
    ) -> None:
        self.target, self.flow, self.outer_source = target, flow, outer_source
        self.realserver = target.target.realserver_address
        self._encapsulation = Encapsulation(flow, self.realserver, outer_source)
        self._inner_headers = IP_HEADER[flow.vip.version] + TCP_HEADER
        self.most_up = terms.mtu - self._encapsulation.headers
        """The payload in bytes of the largest segment that this host can send there."""
        self.connection = Connection(
            flow.vip.version,
            min(terms.most, terms.mtu - self._inner_headers),
            min(terms.most, self.most_up),
            terms.first_wait_s,
        )
        self.conversation = Conversation(target.request, target.target.virtual_service)
        self.began_at, self.ended_at = now, now
        self.is_over = False
        self.is_late = False
        """Whether its time was up."""
        self.is_capped = False
        self.is_aborted = False
        """Whether it was ended with a RST of ours."""
        self.unsent: str | None = None
        """Why nothing could be sent."""
        self.too_big: TooBig | None = None
        self.icmp: IcmpError | None = None
        self.remarks: list[str] = []
        self.tls_began_at: float | None = None
        self.asked_at: float | None = None
        self.request_acknowledged_at: float | None = None
        self.answered_at: float | None = None
        self.secured_at: float | None = None

        self._terms = terms
        self._connect_until = now + (terms.until - now) * CONNECT_PART
        self._request_end = 0
        self._has_ended = False
        self._close_until: float | None = None
        self.connection.open(now)

    @property
    def stage(self) -> Stage:
        """How far it has got."""
        connection, talk = self.connection, self.conversation
        if not connection.is_established:
            return Stage.CONNECT
        if not talk.is_secured:
            return Stage.TLS
        if connection.is_closed:
            return Stage.CLOSED
        if talk.is_done:
            return Stage.CLOSE
        return Stage.REQUEST if self.request_acknowledged_at is None else Stage.ANSWER

    @property
    def wakes_at(self) -> float:
        """When ``tick`` is to be called next."""
        times = [self._terms.until, self.connection.expires_at, self._close_until, self._waits_until]
        return min(time for time in times if time is not None)

    @property
    def _waits_until(self) -> float | None:
        """Until when it waits for a SYN/ACK, or for a banner."""
        connection = self.connection
        if not connection.is_established:
            return self._connect_until
        if self.target.request.kind == "connect" and not self.conversation.is_done:
            return connection.opened_at + BANNER_S if self.conversation.is_asked else None
        return None

    def arrive(self, segment: Segment, arrived_at: float, now: float) -> None:
        """Take a segment of this connection."""
        if self.is_aborted:
            # The peer has not seen the end, so it is told again, as any kernel would.
            if not segment.flags & RST:
                self.connection.abort()
            return
        self.connection.arrive(segment, arrived_at, now)
        if not self.is_over:
            self._proceed(now, arrived_at)

    def reported(self, error: IcmpError, now: float) -> None:
        """Take an ICMP error that quotes a packet of this connection."""
        if self.is_over or error.sequence is None or not self.connection.is_ours(error.sequence):
            return
        if error.reason is IcmpReason.TOO_BIG:
            headers = self._inner_headers if error.outer is None else self._encapsulation.headers
            self._is_too_big(error.sequence, error.reporter, error.mtu or 0, headers, now)
            return
        self.icmp = error
        if not self.connection.is_established:
            self.end(now)

    def not_sent(self, segment: Segment, problem: OSError, mtu: int, now: float) -> None:
        """Take that a packet could not be sent; one that a full queue has lost comes again by itself."""
        if problem.errno in QUEUE_FULL:
            return
        if problem.errno == errno.EMSGSIZE and self._is_too_big(
            segment.sequence, None, mtu, self._encapsulation.headers, now
        ):
            return
        words = os.strerror(problem.errno or 0)
        if segment.flags & SYN and self.connection.syns == 1:
            self.unsent = words
            self.end(now)
        elif words not in self.remarks:
            self.remarks.append(words)

    def tick(self, now: float) -> None:
        """Do what is due by the time."""
        if self.is_over:
            return
        if now >= self._terms.until or (not self.connection.is_established and now >= self._connect_until):
            self.is_late = True
            self.end(now)
            return
        if self._close_until is not None and now >= self._close_until:
            self.end(now)
            return
        waits = self._waits_until
        if self.connection.is_established and waits is not None and now >= waits:
            self.conversation.had_time()
        expires = self.connection.expires_at
        if expires is not None and now >= expires:
            self.connection.expired(now)
        self._proceed(now, now)

    def packets(self) -> Iterator[tuple[Segment, bytes]]:
        """What is to be sent now, as segments and as whole packets."""
        self.connection.acknowledge()
        outgoing, self.connection.outgoing = self.connection.outgoing, []
        for segment in outgoing:
            yield segment, self._encapsulation.packet(segment)

    def end(self, now: float) -> None:
        """End it as it is, and reset what the realserver may still hold open."""
        if not self.is_over:
            self.is_over = True
            self.ended_at = now
            connection = self.connection
            if not (connection.is_closed or connection.is_reset or connection.is_refused):
                self.is_aborted = True
                connection.abort()

    def _is_too_big(
        self, sequence: int, reporter: Address | None, mtu: int, headers: int, now: float
    ) -> bool:
        """Whether a packet of ours with this number was larger than what fits; then less is sent of it."""
        if not self.connection.too_big(sequence, max(SMALL, mtu - headers), now):
            return False
        self.too_big = self.too_big or TooBig(reporter, mtu)
        return True

    def _proceed(self, now: float, arrived_at: float) -> None:
        """See what has changed, and do what follows of it."""
        connection, talk = self.connection, self.conversation
        if connection.is_established:
            self._talk(now, arrived_at)
        self._note_times(arrived_at)
        if talk.is_done and not self.is_over and self._close_until is None:
            self._close(now)
        elif self._close_until is not None and connection.sending.is_everything_acknowledged:
            self._close_until = min(self._close_until, now + CLOSE_S)
        is_capped = connection.received.next > self._terms.answer_bytes and not talk.is_done
        self.is_capped = self.is_capped or is_capped
        is_broken = connection.is_refused or connection.is_reset or connection.sending.gave_up
        if is_broken or is_capped or talk.problem or connection.is_closed:
            self.end(now)

    def _talk(self, now: float, arrived_at: float) -> None:
        connection, talk = self.connection, self.conversation
        if self.tls_began_at is None:
            self.tls_began_at = now
            talk.begin(connection.sending.full)
        data = connection.received.taken()
        if data:
            talk.came(data)
        if talk.is_answered and self.answered_at is None:
            self.answered_at = arrived_at
        if connection.received.is_whole and not self._has_ended:
            self._has_ended = True
            talk.ended()
        self._write(now)

    def _write(self, now: float) -> None:
        pieces, self.conversation.outgoing = self.conversation.outgoing, []
        for piece in pieces:
            self.connection.write(piece, now)
        if self.conversation.is_asked and self.asked_at is None:
            self.asked_at = now
            self._request_end = self.connection.sending.end

    def _note_times(self, arrived_at: float) -> None:
        if self.secured_at is None and self.conversation.tls_seen is not None:
            self.secured_at = arrived_at
        if self.asked_at is None or self.request_acknowledged_at is not None:
            return
        if self.connection.sending.acknowledged >= self._request_end:
            self.request_acknowledged_at = arrived_at

    def _close(self, now: float) -> None:
        self.connection.finish(now)
        # Where nothing was said, the answer to the FIN is what shows that the connection is whole.
        is_known = self.connection.sending.acknowledged > 1 or self.connection.received.next
        self._close_until = min(self._terms.until, now + CLOSE_S) if is_known else self._terms.until
