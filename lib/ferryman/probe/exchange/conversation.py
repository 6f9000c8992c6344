"""What is said over a connection: TLS if it is wanted, the request, and what the answer amounts to.

No segment is known here: bytes come in order, and pieces go out, each to become segments of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.probe.exchange.http_answer import HttpAnswer, first_line, request_pieces
from ferryman.probe.exchange.tls import TlsError, TlsLayer

if TYPE_CHECKING:
    from ferryman.model import VirtualService
    from ferryman.probe.exchange.results import TlsSeen
    from ferryman.probe.exchange.targets import ExchangeRequest


class Conversation:
    """One request and its answer."""

    def __init__(self, request: ExchangeRequest, virtual: VirtualService) -> None:
        self.outgoing: list[bytes] = []
        """Pieces to be sent; whoever sends them clears them."""
        self.is_asked = False
        """Whether the whole request was handed over; for a mere connection, whether it is ready."""
        self.is_answered = False
        """Whether the first byte of an answer came."""
        self.is_done = False
        """Whether all that was wanted has come."""
        self.problem = ""
        """Why what came is no answer, in a sentence; empty while it may be one."""
        self.banner: str | None = None
        """The first line of what came unasked."""
        self.tls_seen: TlsSeen | None = None
        self.http = HttpAnswer(request.method) if request.kind == "http" else None
        self._request, self._virtual = request, virtual
        self._tls = TlsLayer(request.host) if request.tls else None
        self._full = 0

    @property
    def is_secured(self) -> bool:
        """Whether the TLS handshake is done, or none is wanted."""
        return self._tls is None or self._tls.is_secured

    def begin(self, full: int) -> None:
        """The connection is there; a full-size segment carries ``full`` bytes."""
        self._full = full
        if self._tls is None:
            self._ask()
        else:
            self._shake_hands(self._tls)

    def came(self, data: bytes) -> None:
        """Take bytes in their order."""
        if self._tls is not None:
            self._tls.came(data)
        self._read(data)

    def ended(self) -> None:
        """The other side has closed its side of the connection."""
        if self.problem or self.is_done:
            return
        if not self.is_secured:
            self.problem = "the connection was closed in the middle of the TLS handshake"
        elif self.http is None:
            self.is_done = True
        else:
            self.http.end()
            self._judge(self.http)

    def had_time(self) -> None:
        """No banner has come in the time that there is for it."""
        self.is_done = self.is_done or (self.http is None and self.is_asked)

    def _read(self, data: bytes) -> None:
        if self.problem:
            return
        try:
            if self._tls is not None:
                if not self._tls.is_secured:
                    self._shake_hands(self._tls)
                data = self._tls.read() if self._tls.is_secured else b""
                self._say(self._tls.to_send())
        except TlsError as error:
            self.problem = f"TLS failed: {error}"
            return
        if data:
            self._answered(data)

    def _answered(self, data: bytes) -> None:
        self.is_answered = True
        if self.http is not None:
            self.http.feed(data)
            self._judge(self.http)
        else:
            self.banner = self.banner or first_line(data)
            self.is_done = True

    def _judge(self, http: HttpAnswer) -> None:
        self.problem = http.problem
        self.is_done = http.is_complete

    def _shake_hands(self, tls: TlsLayer) -> None:
        try:
            tls.handshake()
        except TlsError as error:
            self.problem = f"TLS failed: {error}"
        self._say(tls.to_send())
        if tls.is_secured:
            self.tls_seen = tls.seen()
            self._ask()

    def _ask(self) -> None:
        if self.http is not None:
            for piece in request_pieces(self._request, self._virtual, self._full):
                self._say(piece if self._tls is None else self._tls.written(piece))
        elif self._tls is not None:
            self.is_done = True  # the handshake is what was wanted
        self.is_asked = True

    def _say(self, piece: bytes) -> None:
        if piece:
            self.outgoing.append(piece)
