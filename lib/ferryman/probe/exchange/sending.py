"""The sending half of a connection: what is unacknowledged, when it is sent again, which sizes get through.

Data leaves in the pieces that it is written in, cut to full-size segments. A full-size segment that is not
acknowledged after some tries is sent once more in small segments, one after the other. Where those are
acknowledged, only its size was in the way. Where the first of them makes the peer acknowledge all of it, the
full-size segment had arrived, and only acknowledgements were lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ferryman.probe.exchange.timer import RetransmissionTimer

SMALL = 512
"""Bytes of a small segment: with its headers it fits every link (RFC 791)."""
FULL_TRIES, FEWER_TRIES = 4, 3
"""How often a full-size segment is sent: while nothing is known, and once another has not got through."""
SMALL_TRIES = 12
"""How often anything else is sent before it is given up."""
ENOUGH_FAILURES = 2
"""Full-size segments that do not get through before everything is sent in small ones."""
FLIGHT = 10
"""Full-size segments that may be unacknowledged at once (RFC 6928)."""
DUPLICATES = 3
"""Acknowledgements of the same byte after which the segment there counts as lost (RFC 5681)."""


@dataclass(slots=True)
class Chunk:
    """What one segment carries: offsets count from 0, the SYN's; data begins at 1."""

    start: int
    data: bytes
    fin: bool = False
    whole: int = 0
    """Of a piece of a larger segment that was sent and not acknowledged, that one's length; else 0."""
    alone: bool = False
    """Whether it is sent only when everything before it is acknowledged."""
    tries: int = 0
    sent_at: float = 0.0

    @property
    def end(self) -> int:
        """The offset behind it, which acknowledges it."""
        return self.start + len(self.data) + self.fin


class Sending:
    """The stream that is sent, from its first byte to the FIN."""

    def __init__(self, timer: RetransmissionTimer) -> None:
        self.acknowledged = 1
        """The offset up to which everything was acknowledged, the SYN at least."""
        self.highest = 1
        """The offset behind everything that was ever sent."""
        self.end = 1
        """The offset behind everything that is to be sent."""
        self.window = 0
        """Bytes that the peer takes behind what it has acknowledged."""
        self.full = SMALL
        """The payload in bytes of a full-size segment."""
        self.largest = 0
        """The largest payload in bytes that is known to have arrived."""
        self.failed_full = 0
        """Full-size segments of which only small pieces were acknowledged, or are under way."""
        self.is_size_lost = False
        """Whether bytes were acknowledged in small segments that were not in a full-size one."""
        self.retransmissions = 0
        self.gave_up = False
        """Whether a segment was sent as often as it may be, and never acknowledged."""
        self._timer = timer
        self._chunks: list[Chunk] = []
        self._duplicates = 0
        self._lost_at = -1.0
        self._lost_until = 0
        """What was sent up to then and lies before this offset is taken for lost."""
        self._blocked_at: float | None = None

    @property
    def is_everything_acknowledged(self) -> bool:
        """Whether nothing waits for anything."""
        return not self._chunks

    def write(self, data: bytes) -> None:
        """Queue data, in segments of its own; the very first of a connection is a small one."""
        limit = self.full if self.failed_full < ENOUGH_FAILURES or self.largest > SMALL else SMALL
        while data:
            size = min(limit, SMALL) if self.end == 1 else limit
            self._queue(data[:size])
            data = data[size:]

    def finish(self) -> None:
        """Queue the FIN, after which nothing is written."""
        self._queue(b"", fin=True)

    def due(self, now: float) -> list[Chunk]:
        """What has not been sent yet and may be, by the peer's window and ours; it counts as sent."""
        found = []
        for index, chunk in enumerate(self._chunks):
            if not chunk.tries:
                if not self._may_leave(index, chunk):
                    break
                self._sent(chunk, now)
                found.append(chunk)
        if not self._chunks or self._chunks[0].tries:
            self._blocked_at = None
        elif self._blocked_at is None:
            self._blocked_at = now
        return found

    def _may_leave(self, index: int, chunk: Chunk) -> bool:
        flight = chunk.end - self.acknowledged
        if flight > FLIGHT * self.full or (chunk.alone and index > 0):
            return False
        return flight - chunk.fin <= self.window

    @property
    def expires_at(self) -> float | None:
        """When ``expired`` is to be called; None while nothing waits."""
        if not self._chunks or self.gave_up:
            return None
        since = self._chunks[0].sent_at if self._chunks[0].tries else self._blocked_at
        return None if since is None else since + self._timer.after_s

    def expired(self, now: float) -> Chunk | None:
        """What is to be sent now; None: ask for the window, or nothing, when it ``gave_up``.

        Of a segment that a small window has held up for so long, the part that the window takes.
        """
        self._timer.expired()
        chunk = self._chunks[0]
        if chunk.data and self.window == 0:
            if chunk.tries:
                self._count_again(chunk, now)
            else:
                self._blocked_at = now
            return None
        if not chunk.tries:
            room = max(1, self.window)
            if len(chunk.data) > room:
                rest = Chunk(chunk.start + room, chunk.data[room:], chunk.fin, chunk.whole, chunk.alone)
                chunk.data, chunk.fin = chunk.data[:room], False
                self._chunks.insert(1, rest)
            self._sent(chunk, now)
            return chunk
        if chunk.tries >= self._tries_of(chunk):
            if not self._is_suspicious(chunk):
                self.gave_up = True
                return None
            self._split(chunk)
            chunk = self._chunks[0]
        self._lost_at, self._lost_until = now, self.highest
        return self._again(chunk, now)

    def acknowledge(self, offset: int, arrived_at: float, now: float, *, is_duplicate: bool) -> list[Chunk]:
        """Take an acknowledgement; returns what it says is lost, to be sent again at once."""
        if offset > self.acknowledged:
            self._progress(offset, arrived_at)
        elif is_duplicate and self._chunks and self._chunks[0].tries:
            self._duplicates += 1
            if self._duplicates != DUPLICATES or self.acknowledged < self._lost_until:
                return []
            self._lost_at, self._lost_until = now, self.highest
        else:
            return []
        first = self._chunks[0] if self._chunks else None
        is_lost = first is not None and first.tries and first.sent_at <= self._lost_at
        if first is not None and is_lost and self.acknowledged < self._lost_until and self.window:
            return [self._again(first, now)]
        return []

    def opened(self, window: int) -> None:
        """Take the peer's window; what was sent while it was zero, the peer has thrown away."""
        if self.window == 0 and window and self._chunks and self._chunks[0].tries:
            self._count_again(self._chunks[0], 0.0)
        self.window = window

    def too_big(self, offset: int, fits: int) -> bool:
        """Cut what does not fit; returns whether a segment was sent there that is larger than what fits."""
        refused = next((chunk for chunk in self._chunks if chunk.start == offset and chunk.tries), None)
        if refused is None or len(refused.data) <= fits:
            return False
        self.full = min(self.full, fits)
        self._cut_all(fits)
        return True

    def _queue(self, data: bytes, *, fin: bool = False) -> None:
        self._chunks.append(Chunk(self.end, data, fin))
        self.end = self._chunks[-1].end

    def _sent(self, chunk: Chunk, now: float) -> None:
        chunk.tries += 1
        chunk.sent_at = now
        self.highest = max(self.highest, chunk.end)

    def _again(self, chunk: Chunk, now: float) -> Chunk:
        self.retransmissions += 1
        self._sent(chunk, now)
        return chunk

    def _count_again(self, chunk: Chunk, sent_at: float) -> None:
        """Let a segment be due by this time, and tell nothing about round trips any more."""
        chunk.tries, chunk.sent_at = max(2, chunk.tries), sent_at

    def _progress(self, offset: int, arrived_at: float) -> None:
        round_trip_s = None
        while self._chunks and self._chunks[0].end <= offset:
            chunk = self._chunks.pop(0)
            if chunk.tries == 1 and not chunk.whole:
                round_trip_s = arrived_at - chunk.sent_at
            self.largest = max(self.largest, len(chunk.data) if chunk.tries else chunk.whole)
            self.is_size_lost = self.is_size_lost or bool(chunk.tries and chunk.whole)
        if self._chunks and self._chunks[0].start < offset:
            first = self._chunks[0]
            first.data, first.start = first.data[offset - first.start :], offset
        if round_trip_s is not None:
            self._timer.measured(max(0.0, round_trip_s))
        self._timer.progressed()
        self.acknowledged = offset
        self._duplicates = 0

    def _tries_of(self, chunk: Chunk) -> int:
        if len(chunk.data) <= SMALL:
            return SMALL_TRIES
        return FEWER_TRIES if self.failed_full else FULL_TRIES

    def _is_suspicious(self, chunk: Chunk) -> bool:
        """Whether its size may be what is in the way: small ones have been acknowledged."""
        return len(chunk.data) > SMALL and self.acknowledged > 1

    def _split(self, chunk: Chunk) -> None:
        """Make small pieces of a full-size segment, and of all others when none has got through."""
        self.failed_full += 1
        self._cut(0, SMALL)
        for piece in self._chunks:
            piece.alone = piece.alone or piece.end <= chunk.end
        if self.failed_full >= ENOUGH_FAILURES and self.largest <= SMALL:
            self._cut_all(SMALL)
        self._timer.progressed()

    def _cut_all(self, size: int) -> None:
        for index in reversed(range(len(self._chunks))):
            if len(self._chunks[index].data) > size:
                self._cut(index, size)

    def _cut(self, index: int, size: int) -> None:
        """Cut a chunk into pieces of this size at most, none of which has been sent."""
        chunk = self._chunks[index]
        whole = len(chunk.data) if chunk.tries else chunk.whole
        self._chunks[index : index + 1] = [
            Chunk(chunk.start + at, chunk.data[at : at + size], whole=whole)
            for at in range(0, len(chunk.data), size)
        ]
