"""One TCP connection of our own, without a socket: segments and the time go in, segments come out (RFC 9293).

It offers no option but the MSS, keeps the peer to its numbers (RFC 5961), and never decides that it is over:
whoever holds it reads what it has seen, and does.
"""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING

from ferryman.encapsulation import DEFAULT_MSS, ETHERNET_MTU, mss_for_mtu
from ferryman.probe.exchange.receiving import Reassembly
from ferryman.probe.exchange.segments import ACK, FIN, PSH, RST, SEQUENCE_SPACE, SYN, Segment
from ferryman.probe.exchange.sending import Sending
from ferryman.probe.exchange.timer import RetransmissionTimer

if TYPE_CHECKING:
    from ferryman.probe.exchange.sending import Chunk

WINDOW_SEGMENTS = 10
"""Full-size segments that the peer may send ahead: what its kernel begins with (RFC 6928)."""
MOST_BEHIND = 2**16
"""Bytes that a segment may be behind and still be a late one: the largest window without scaling."""
MOST_CHALLENGES = 10
"""Doubtful RSTs that the peer is asked about, so that nobody makes the two talk for ever (RFC 5961, 7)."""
LEAST_MSS = 48
"""Bytes: a smaller MSS is no offer but an attack (Linux: TCP_MIN_SND_MSS)."""


class Connection:
    """The state of a connection, from its SYN to both sides' FIN."""

    def __init__(self, version: int, mss: int, most_up: int, first_wait_s: float) -> None:
        """``mss`` is what is offered, ``most_up`` what a segment of ours may carry, both in bytes."""
        self.outgoing: list[Segment] = []
        """What is to be sent; whoever sends it clears it."""
        self.is_established = False
        self.is_refused = False
        """Whether the SYN was answered with a RST."""
        self.is_reset = False
        """Whether a RST came later."""
        self.peer_mss: int | None = None
        """The MSS option of the SYN/ACK in bytes; None without one."""
        self.wanted_up = 0
        """The payload in bytes of a full-size segment of a client on Ethernet, by the peer's MSS."""
        self.largest_down = 0
        """The largest payload in bytes that a segment brought, wherever in the stream."""
        self.syns = 0
        self.syn_acks_again = 0
        """How often the peer sent its SYN/ACK again: it has not seen that it was acknowledged."""
        self.ignored: Counter[str] = Counter()
        """Segments that were not taken, by what was wrong with them."""
        self.opened_at = 0.0
        """When the SYN/ACK arrived."""
        self.round_trip_s = 0.0
        """From the last SYN to its SYN/ACK."""
        self.last_data_at = 0.0
        """When the stream from the peer grew last."""

        self._version, self._mss, self._most_up = version, mss, most_up
        self._timer = RetransmissionTimer(first_wait_s)
        self.sending = Sending(self._timer)
        self.received = Reassembly(WINDOW_SEGMENTS * mss)
        self._isn = int.from_bytes(os.urandom(4), "big")
        self._peer_isn = 0
        self._syn_at = 0.0
        self._window_from = (0, 0)
        """Offsets of the segment that the peer's window was taken from (SND.WL1 and SND.WL2)."""
        self._is_acknowledgement_due = False
        self._is_finished = False
        self._challenges = 0

    @property
    def is_closed(self) -> bool:
        """Whether both sides' FIN have been sent and acknowledged."""
        return self.received.is_whole and self.is_finish_acknowledged

    @property
    def is_finish_acknowledged(self) -> bool:
        """Whether the peer has acknowledged our FIN."""
        return self._is_finished and self.sending.is_everything_acknowledged

    @property
    def expires_at(self) -> float | None:
        """When ``expired`` is to be called next, as things are."""
        if not self.is_established:
            return self._syn_at + self._timer.after_s
        return self.sending.expires_at

    def open(self, now: float) -> None:
        """Send the SYN."""
        self.syns += 1
        self._syn_at = now
        self.outgoing.append(Segment(SYN, self._isn, 0, self.received.window, mss=self._mss))

    def write(self, data: bytes, now: float) -> None:
        """Send data, as soon as the peer's window allows."""
        self.sending.write(data)
        self._send(self.sending.due(now))

    def finish(self, now: float) -> None:
        """Send the FIN behind everything else."""
        if not self._is_finished:
            self._is_finished = True
            self.sending.finish()
            self._send(self.sending.due(now))

    def abort(self) -> None:
        """Send a RST: nothing is taken any more."""
        flags, wanted = (RST | ACK, self._wanted) if self.is_established else (RST, 0)
        self.outgoing.append(Segment(flags, self._number(self.sending.highest), wanted, 0))

    def expired(self, now: float) -> None:
        """Send again what was not answered in time."""
        if not self.is_established:
            self._timer.expired()
            self.open(now)
            return
        chunk = self.sending.expired(now)
        if chunk is not None:
            self._send([chunk, *self.sending.due(now)])
        elif not self.sending.gave_up:
            # Its number was acknowledged already, so every TCP answers this with what it wants and takes.
            self._emit(ACK, self.sending.acknowledged - 1)

    def acknowledge(self) -> None:
        """Send the acknowledgement that is due, when nothing else has carried it."""
        if self._is_acknowledgement_due:
            self._emit(ACK, self.sending.highest)

    def too_big(self, sequence: int, fits: int, now: float) -> bool:
        """Whether a segment of ours with this number does not fit; then it is cut, and sent again."""
        if not self.is_established or not self.sending.too_big(_offset(sequence, self._isn, 0), fits):
            return False
        self._send(self.sending.due(now))
        return True

    def is_ours(self, sequence: int) -> bool:
        """Whether a number is one that was sent and not acknowledged: what nobody else knows."""
        offset = _offset(sequence, self._isn, self.sending.acknowledged)
        first = self.sending.acknowledged if self.is_established else 0
        return first <= offset < max(self.sending.highest, 1)

    def arrive(self, segment: Segment, arrived_at: float, now: float) -> None:
        """Take a segment that arrived for this connection; ``arrived_at`` is at most now."""
        if not self.is_established:
            self._answered(segment, arrived_at)
            return
        begin = _offset(segment.sequence, self._peer_isn + 1, self.received.next)
        if not self._is_acceptable(segment, begin):
            return
        offset = _offset(segment.acknowledgement, self._isn, self.sending.acknowledged)
        if not segment.flags & ACK or not self._furthest_back <= offset <= self.sending.highest:
            self.ignored["that acknowledge what was not sent"] += 1
            self._is_acknowledgement_due = True
            return
        self._take_acknowledgement(segment, begin, offset, arrived_at, now)
        if segment.payload or segment.flags & FIN:
            self._take_data(segment, begin, now)

    def _answered(self, segment: Segment, arrived_at: float) -> None:
        """Take the answer to the SYN."""
        is_ours = segment.flags & ACK and segment.acknowledgement == (self._isn + 1) % SEQUENCE_SPACE
        if segment.flags & RST:
            self.is_refused = self.is_refused or bool(is_ours)
        elif is_ours and segment.flags & SYN:
            self._establish(segment, arrived_at)
        elif segment.flags & ACK and not is_ours:
            # The peer still has an earlier connection of this port: it is ended, and the SYN comes again.
            self.ignored["of another connection"] += 1
            self.outgoing.append(Segment(RST, segment.acknowledgement, 0, 0))

    def _establish(self, segment: Segment, arrived_at: float) -> None:
        self.is_established = True
        self.opened_at, self.round_trip_s = arrived_at, max(0.0, arrived_at - self._syn_at)
        if self.syns == 1:
            self._timer.measured(self.round_trip_s)
        self._timer.progressed()
        self._peer_isn = segment.sequence
        self.peer_mss = segment.mss
        effective = DEFAULT_MSS[self._version] if segment.mss is None else segment.mss
        self.wanted_up = min(mss_for_mtu(self._version, ETHERNET_MTU), max(LEAST_MSS, effective))
        self.sending.full = max(LEAST_MSS, min(self.wanted_up, self._most_up))
        self.sending.opened(segment.window)
        self._is_acknowledgement_due = True
        self.acknowledge()

    def _is_acceptable(self, segment: Segment, begin: int) -> bool:
        """Judge a segment by its place in the stream; a RST or SYN is dealt with here."""
        ahead = begin - self.received.next
        if segment.flags & RST:
            self._take_reset(ahead - self.received.is_whole)
            return False
        if segment.flags & SYN:
            self.syn_acks_again += begin == -1
            self._is_acknowledgement_due = True
            return False
        if not -MOST_BEHIND <= ahead < self.received.window:
            self.ignored["outside of the window"] += 1
            self._is_acknowledgement_due = True
            return False
        return True

    def _take_reset(self, ahead: int) -> None:
        """Believe a RST with the very number that is wanted; ask about another one (RFC 5961, 3.2)."""
        if ahead == 0:
            self.is_reset = True
        else:
            self.ignored["with a RST elsewhere in the stream"] += 1
            is_asked = 0 < ahead < self.received.window and self._challenges < MOST_CHALLENGES
            self._challenges += is_asked
            self._is_acknowledgement_due |= is_asked

    def _take_acknowledgement(
        self, segment: Segment, begin: int, offset: int, arrived_at: float, now: float
    ) -> None:
        sending = self.sending
        is_same_window = segment.window == sending.window
        is_bare = not segment.payload and not segment.flags & FIN
        if (begin, offset) >= self._window_from:
            self._window_from = (begin, offset)
            sending.opened(segment.window)
        is_duplicate = is_bare and is_same_window and offset == sending.acknowledged
        lost = sending.acknowledge(offset, arrived_at, now, is_duplicate=is_duplicate)
        self._send([*lost, *sending.due(now)])

    def _take_data(self, segment: Segment, begin: int, now: float) -> None:
        self._is_acknowledgement_due = True
        self.largest_down = max(self.largest_down, segment.largest)
        is_ahead = begin > self.received.next
        if self.received.accept(begin, segment.payload, fin=bool(segment.flags & FIN)):
            self.last_data_at = now
        elif is_ahead:
            self.acknowledge()  # each tells the peer that something before it is missing

    @property
    def _furthest_back(self) -> int:
        return self.sending.acknowledged - MOST_BEHIND

    @property
    def _wanted(self) -> int:
        """The sequence number that is acknowledged: of the next byte, or behind the FIN."""
        return (self._peer_isn + 1 + self.received.next + self.received.is_whole) % SEQUENCE_SPACE

    def _number(self, offset: int) -> int:
        return (self._isn + offset) % SEQUENCE_SPACE

    def _send(self, chunks: list[Chunk]) -> None:
        for chunk in chunks:
            flags = ACK | (PSH if chunk.data else 0) | (FIN if chunk.fin else 0)
            self._emit(flags, chunk.start, chunk.data)

    def _emit(self, flags: int, offset: int, payload: bytes = b"") -> None:
        self._is_acknowledgement_due = False
        number = self._number(offset)
        self.outgoing.append(Segment(flags, number, self._wanted, self.received.window, payload))


def _offset(number: int, first: int, near: int) -> int:
    """The offset from ``first`` that a 32-bit number stands for: of all those, the nearest to ``near``."""
    away = (number - first - near) % SEQUENCE_SPACE
    return near + (away - SEQUENCE_SPACE if away >= SEQUENCE_SPACE // 2 else away)
