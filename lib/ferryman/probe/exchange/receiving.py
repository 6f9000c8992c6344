"""The receiving half of a connection: a stream from segments in any order, sent twice, or overlapping."""

from __future__ import annotations

MOST_PIECES = 64
"""Pieces kept that are ahead of the stream; a peer that sends more sends them again (RFC 9293 allows it)."""


class Reassembly:
    """Bytes by their offset in the stream, of which the first is 0. What came first for a byte stays."""

    def __init__(self, window: int) -> None:
        self.window = window
        """Bytes behind the next wanted one that are taken."""
        self.next = 0
        """The offset of the next byte that is wanted."""
        self.ahead: list[tuple[int, bytes]] = []
        """What came though something before it has not, in order; no two overlap."""
        self.end: int | None = None
        """Where the stream ends; None while no FIN has come."""
        self._ready = bytearray()

    @property
    def is_whole(self) -> bool:
        """Whether everything up to the FIN is here."""
        return self.end == self.next

    def taken(self) -> bytes:
        """What has come in order since this was last asked."""
        ready = bytes(self._ready)
        self._ready.clear()
        return ready

    def accept(self, offset: int, payload: bytes, *, fin: bool = False) -> bool:
        """Take what is new of a segment; returns whether the stream has grown, or ended."""
        before = self.next, self.is_whole
        behind = offset + len(payload)
        if fin and self.end is None and self._furthest <= behind <= self.next + self.window:
            self.end = behind
        limit = self.next + self.window if self.end is None else self.end
        for piece in self._gaps(max(offset, self.next), min(behind, limit)):
            self.ahead.append((piece.start, payload[piece.start - offset : piece.stop - offset]))
        self.ahead.sort()
        self._drain()
        del self.ahead[MOST_PIECES:]
        return before != (self.next, self.is_whole)

    @property
    def _furthest(self) -> int:
        """The offset behind everything that has come."""
        return self.ahead[-1][0] + len(self.ahead[-1][1]) if self.ahead else self.next

    def _gaps(self, begin: int, end: int) -> list[range]:
        """The parts of a range that nothing has come for."""
        found = []
        for start, piece in self.ahead:
            if start >= end:
                break
            if begin < start:
                found.append(range(begin, start))
            begin = max(begin, start + len(piece))
        if begin < end:
            found.append(range(begin, end))
        return found

    def _drain(self) -> None:
        in_order = 0
        for start, piece in self.ahead:
            if start != self.next:
                break
            self._ready += piece
            self.next += len(piece)
            in_order += 1
        del self.ahead[:in_order]
