"""What an exchange with one realserver gave: a verdict, a sentence about what was seen, and measurements."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from ferryman.model import Address, IcmpReason
    from ferryman.probe.exchange.targets import ExchangeTarget


class ExchangeVerdict(Enum):
    """How an exchange ended; only ``COMPLETED`` is good."""

    COMPLETED = "completed"
    """Connected, asked, answered, up and down with the segments that were wanted, and closed."""
    NO_CONNECTION = "no-connection"
    """No SYN/ACK came, or a RST, or an ICMP error; ``icmp_reason`` and ``sent`` tell more."""
    HALF_OPEN = "half-open"
    """A SYN/ACK came, but nothing after it was ever acknowledged: the ACK and the data are dropped.

    That is what half-tracked connections look like (conntrack: INVALID).
    """
    UP_LOST = "up-lost"
    """Small segments were acknowledged, full-size ones were not: an MTU black hole towards the realserver.

    With ``too_big`` set it is no black hole: an ICMP error said how much fits.
    """
    DOWN_LOST = "down-lost"
    """The realserver answers, but its full-size segments do not arrive here."""
    SILENT = "silent"
    """The request was acknowledged, and no answer came: a hung server, or one that does not read."""
    RESET = "reset"
    """A RST after the connection was established, before the answer was whole; ``stage`` tells when."""
    BAD_ANSWER = "bad-answer"
    """Bytes or a FIN came that are no answer: not HTTP, no TLS, or closed without a byte."""


class Stage(Enum):
    """How far an exchange got, in this order."""

    CONNECT = "connect"
    """The SYN was sent."""
    TLS = "tls"
    """Connected; the TLS handshake was under way."""
    REQUEST = "request"
    """The request, or the connection where nothing is asked, was not yet acknowledged as a whole."""
    ANSWER = "answer"
    """The request was acknowledged as a whole; the answer was not yet here."""
    CLOSE = "close"
    """The answer was here; the connection was being closed."""
    CLOSED = "closed"
    """Both sides' FIN were sent and acknowledged."""


@dataclass(frozen=True, slots=True)
class TlsSeen:
    """What the TLS handshake told; the certificate is not judged."""

    version: str
    """Such as ``TLSv1.3``."""
    cipher: str = ""
    subject: str | None = None
    """The certificate's subject (RFC 4514), printable; None where there was none that could be read."""
    not_after: datetime | None = None
    """When the certificate expires, in UTC."""


@dataclass(frozen=True, slots=True)
class TooBig:
    """An ICMP error that said that one of our full-size packets does not fit a link on its way."""

    reporter: Address | None
    """Who said so; None: this host's own kernel, before it was sent."""
    mtu: int
    """The largest packet in bytes that fits, as it was told; 0 where it was not."""


@dataclass(frozen=True, slots=True)
class ExchangeResult:
    """What one realserver did with one request for one virtual service."""

    target: ExchangeTarget
    verdict: ExchangeVerdict
    detail: str
    """What was seen, in one English sentence for an SRE; what others said in it is printable."""
    stage: Stage
    """How far it got."""
    outer_source: Address | None = None
    """The outer source that it was asked with; None when nothing was sent."""
    sent: bool = True
    """Whether anything could be sent: False means that this control host has no way to it."""

    handshake_ms: float | None = None
    """From the SYN that was answered to its SYN/ACK, as the kernel stamped it."""
    tls_ms: float | None = None
    """From the first byte of the TLS handshake to its end."""
    request_ms: float | None = None
    """From the first byte of the request until all of it was acknowledged."""
    answer_ms: float | None = None
    """From the first byte of the request to the first byte of the answer."""
    total_ms: float = 0.0
    """From the first SYN to the end."""

    bytes_up: int = 0
    """Bytes of TCP payload that the realserver acknowledged, TLS records among them."""
    bytes_down: int = 0
    """Bytes of TCP payload that arrived in order."""
    largest_up: int = 0
    """The largest segment's payload in bytes that is known to have arrived at the realserver."""
    largest_down: int = 0
    """The largest segment's payload in bytes that arrived here, as it was on the wire."""
    wanted_up: int = 0
    """The payload in bytes of a full-size segment towards the realserver, as its MSS allows."""
    retransmissions: int = 0
    """Segments that were sent again, SYNs included."""
    peer_mss: int | None = None
    """The MSS option of the SYN/ACK in bytes; None without one."""

    status: int | None = None
    """The HTTP status of the answer."""
    status_line: str | None = None
    """The first line of the HTTP answer, or the banner where nothing was asked, printable and cut off."""
    tls: TlsSeen | None = None
    """What the TLS handshake told; None without one."""
    too_big: TooBig | None = None
    """Set when a full-size segment was refused on its way."""
    icmp_reason: IcmpReason | None = None
    """What an ICMP error about the connection said."""
    is_capped: bool = False
    """Whether the answer was longer, in bytes or in time, than is read of one."""
    remarks: tuple[str, ...] = ()
    """What else was seen, each in a sentence: a second connection's outcome, segments that were ignored."""

    @property
    def is_good(self) -> bool:
        """Whether the whole exchange passed."""
        return self.verdict is ExchangeVerdict.COMPLETED
