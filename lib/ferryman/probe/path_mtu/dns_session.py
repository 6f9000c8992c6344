"""Questions to DNS servers side by side, and the packets that their answers come in."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ferryman.encapsulation import UDP
from ferryman.probe.exchange.segments import ip_header
from ferryman.probe.path_mtu.answers import Error, piece_of, read
from ferryman.probe.path_mtu.dns import header_of, query
from ferryman.probe.path_mtu.packets import QUOTED, udp_datagram
from ferryman.probe.path_mtu.patience import DNS_S, FRAGMENTS_S
from ferryman.probe.path_mtu.results import DnsResult, DnsVerdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ferryman.model import Address
    from ferryman.probe.path_mtu.answers import Piece
    from ferryman.probe.path_mtu.dns import DnsHeader
    from ferryman.probe.path_mtu.results import DnsQuestion
    from ferryman.probe.path_mtu.transport import PathMtuTransport

UDP_HEADER = 8
MOST_PIECES = 64
"""Fragments that are kept of answers to one question at most."""


@dataclass
class _Asking:
    """A question, its tries, and what has come of its answer."""

    question: DnsQuestion
    source: Address
    port: int = 0
    ident: bytes = b""
    tries: int = 0
    due: float = 0.0
    quotes: set[bytes] = field(default_factory=set)
    pieces: dict[int, dict[int, Piece]] = field(default_factory=dict)
    """Fragments by the packet that they are of, and by where they begin in it."""
    result: DnsResult | None = None

    def end(self, verdict: DnsVerdict, detail: str = "") -> None:
        self.result = DnsResult(self.question, verdict, detail=detail)


class DnsSession:
    """All questions of one call, over one transport."""

    def __init__(self, transport: PathMtuTransport, questions: Sequence[DnsQuestion]) -> None:
        self._transport = transport
        self._asking = [self._begun(question) for question in questions]

    def run(self) -> list[DnsResult]:
        """Ask them all; one result for each, in their order."""
        waiting = [each for each in self._asking if each.result is None]
        for source in {each.source for each in waiting}:
            own = [each for each in waiting if each.source == source]
            for each, port in zip(own, self._transport.reserve(source, len(own)), strict=True):
                each.port = port
        self._transport.listen(sorted({each.port for each in waiting}), len(waiting))
        while waiting:
            now = self._transport.monotonic()
            for each in waiting:
                if each.due <= now:
                    self._send_or_give_up(each, now)
            wakes_at = min((each.due for each in waiting if each.result is None), default=now)
            for packet, _ in self._transport.receive(max(0.0, wakes_at - now)):
                self._take(packet)
            waiting = [each for each in waiting if each.result is None]
        return [each.result for each in self._asking if each.result is not None]

    def _begun(self, question: DnsQuestion) -> _Asking:
        try:
            source = self._transport.source_towards(str(question.server))
        except OSError as error:
            each = _Asking(question, question.server)
            each.end(DnsVerdict.SILENT, f"this host has no way there: {error.strerror or error}")
            return each
        return _Asking(question, source, ident=secrets.token_bytes(2))

    def _send_or_give_up(self, each: _Asking, now: float) -> None:
        question = each.question
        is_begun = any(0 in pieces for pieces in each.pieces.values())
        if is_begun or (each.pieces and each.tries == len(DNS_S)):
            count = max(map(len, each.pieces.values()))
            each.result = DnsResult(question, DnsVerdict.FRAGMENTS_LOST, fragments=count)
            return
        if each.tries == len(DNS_S):
            each.end(DnsVerdict.SILENT)
            return
        each.due = now + DNS_S[each.tries]
        each.tries += 1
        server, ends = question.server, each.source.packed + question.server.packed
        message = query(question.name, question.kind, question.size, each.ident)
        datagram = udp_datagram(ends, each.port, question.port, message)
        each.quotes.add(datagram[:QUOTED])
        header = ip_header((server.version, each.source.packed, server.packed), UDP, len(datagram))
        try:
            self._transport.send(header + datagram, str(server))
        except OSError as error:
            each.end(DnsVerdict.SILENT, f"the question was not sent: {error.strerror or error}")

    def _take(self, packet: bytes) -> None:
        piece = piece_of(packet)
        if piece is None:
            return
        if piece.protocol != UDP:
            self._take_error(packet)
            return
        for each in self._asking:
            if each.result is None and (piece.source, piece.destination) == (
                each.question.server,
                each.source,
            ):
                self._take_piece(each, piece)

    def _take_error(self, packet: bytes) -> None:
        answer = read(packet)
        if not isinstance(answer, Error):
            return
        for each in self._asking:
            is_ours = (answer.source, answer.destination) == (each.source, each.question.server)
            if is_ours and each.result is None and answer.protocol == UDP and answer.quote in each.quotes:
                each.end(DnsVerdict.REFUSED, str(answer))

    def _take_piece(self, each: _Asking, piece: Piece) -> None:
        if not piece.is_fragment:
            header = self._header(each, piece)
            if header is not None:
                size = piece.length - UDP_HEADER
                each.result = DnsResult(
                    each.question, DnsVerdict.WHOLE, size, 1, header.truncated, header.code
                )
            return
        if sum(map(len, each.pieces.values())) >= MOST_PIECES:
            return
        if piece.offset == 0 and self._header(each, piece) is None:
            return
        pieces = each.pieces.setdefault(piece.ident, {})
        pieces.setdefault(piece.offset, piece)
        if 0 in pieces:  # later ones alone may be of anybody's answer
            each.due = self._transport.monotonic() + FRAGMENTS_S
        length = _whole_length(pieces)
        if length is not None and (header := self._header(each, pieces[0])) is not None:
            each.result = DnsResult(
                each.question, DnsVerdict.FRAGMENTED, length - UDP_HEADER, len(pieces),
                header.truncated, header.code,
            )  # fmt: skip

    @staticmethod
    def _header(each: _Asking, piece: Piece) -> DnsHeader | None:
        ports = each.question.port.to_bytes(2, "big") + each.port.to_bytes(2, "big")
        if piece.payload[:4] != ports:
            return None
        question = each.question
        return header_of(piece.payload[UDP_HEADER:], question.name, question.kind, each.ident)


def _whole_length(pieces: dict[int, Piece]) -> int | None:
    """The bytes of a packet's payload once all of its fragments are there; None before."""
    at = 0
    while (piece := pieces.get(at)) is not None:
        if not piece.more:
            return at + piece.length
        if piece.length <= 0:
            return None
        at += piece.length
    return None
