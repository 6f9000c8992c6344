"""What the end of an exchange means: a verdict, and a sentence about what was seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ferryman.probe.exchange.results import ExchangeVerdict, Stage
from ferryman.probe.exchange.sending import SMALL

if TYPE_CHECKING:
    from ferryman.probe.exchange.attempt import Attempt

FLOWING_S = 1.0
"""An answer of which something came in the last second before its time was up is a long one, and no stall."""


class Judgement(NamedTuple):
    """A verdict and its sentence."""

    verdict: ExchangeVerdict
    detail: str


def judge(first: Attempt, second: Attempt | None) -> Judgement:
    """Judge an exchange by its connection, and by a second one with small segments, where there was one."""
    if not first.connection.is_established:
        return Judgement(ExchangeVerdict.NO_CONNECTION, _no_connection(first))
    for look in (_up_lost, _completed, _reset, _bad_answer, _half_open):
        if (seen := look(first)) is not None:
            return seen
    return _down_lost(first, second) or Judgement(ExchangeVerdict.SILENT, _silent(first, second))


def _no_connection(attempt: Attempt) -> str:
    connection = attempt.connection
    if attempt.unsent is not None:
        return f"nothing was sent to {attempt.realserver}: {attempt.unsent}"
    if connection.is_refused:
        return f"RST: nothing listens on port {attempt.flow.port}"
    if attempt.icmp is not None:
        return f"no SYN/ACK, but {attempt.icmp}"
    syns = "1 SYN" if connection.syns == 1 else f"{connection.syns} SYNs"
    return f"no SYN/ACK to {syns} in {attempt.ended_at - attempt.began_at:.1f} s"


def _up_lost(attempt: Attempt) -> Judgement | None:
    """Full-size segments do not reach the realserver."""
    connection, wanted = attempt.connection, attempt.connection.wanted_up
    limit, tried = attempt.target.target.mss_limit, min(wanted, attempt.most_up)
    if connection.sending.largest >= wanted:
        return None
    if attempt.too_big is not None:
        reporter = attempt.too_big.reporter or "this host's kernel"
        detail = (
            f"a segment of {wanted} bytes, as its MSS allows, does not fit on the way to it: {reporter} says "
            f"that packets of {attempt.too_big.mtu} bytes do, with all headers"
        )
    elif connection.sending.is_size_lost and connection.sending.largest < tried:
        detail = (
            f"segments of {tried} bytes are never acknowledged, the same bytes in "
            f"segments of {SMALL} are: an MTU black hole on the way to it"
        )
    elif attempt.most_up < wanted and limit < wanted:
        detail = (
            f"its MSS lets clients send segments of {wanted} bytes, and at most {limit} fit the tunnel: "
            "full-size packets would be lost"
        )
    else:
        return None
    return Judgement(ExchangeVerdict.UP_LOST, detail)


def _completed(attempt: Attempt) -> Judgement | None:
    """All that was wanted came, or more than is read of an answer."""
    is_done = attempt.conversation.is_done and not is_never_heard(attempt)
    if not is_done and not _is_long(attempt):
        return None
    return Judgement(ExchangeVerdict.COMPLETED, _answer(attempt))


def _reset(attempt: Attempt) -> Judgement | None:
    if not attempt.connection.is_reset:
        return None
    return Judgement(ExchangeVerdict.RESET, f"a RST came {_when(attempt)}")


def _bad_answer(attempt: Attempt) -> Judgement | None:
    problem = attempt.conversation.problem
    return Judgement(ExchangeVerdict.BAD_ANSWER, problem) if problem else None


def is_never_heard(attempt: Attempt) -> bool:
    """Whether nothing shows that the realserver got anything behind the SYN."""
    sending, received = attempt.connection.sending, attempt.connection.received
    says_nothing = not received.next and received.end is None and sending.window > 0
    return sending.acknowledged <= 1 and says_nothing


def _half_open(attempt: Attempt) -> Judgement | None:
    """Nothing behind the SYN has got there, as far as anybody can see."""
    if not is_never_heard(attempt):
        return None
    again = attempt.connection.syn_acks_again
    seen = f", and it sent its SYN/ACK {again} times again" if again > 1 else ""
    detail = (
        f"its SYN/ACK came, but nothing behind it is acknowledged{seen}: packets of a connection are dropped "
        "that a SYN does not meet, such as those that connection tracking calls INVALID"
    )
    return Judgement(ExchangeVerdict.HALF_OPEN, detail)


def _is_long(attempt: Attempt) -> bool:
    """Whether the answer only was longer than it was read."""
    flows = attempt.is_late and attempt.ended_at - attempt.connection.last_data_at <= FLOWING_S
    http = attempt.conversation.http
    return http is not None and http.status is not None and (attempt.is_capped or flows)


def tells_more(first: Attempt, second: Attempt) -> bool:
    """Whether small segments brought a whole answer, or all that is read of one; full-size ones nothing."""
    has_it_all = second.conversation.is_done or second.is_capped
    return has_it_all and first.connection.last_data_at < second.began_at


def _down_lost(attempt: Attempt, second: Attempt | None) -> Judgement | None:
    """Full-size segments of the realserver do not get here."""
    received = attempt.connection.received
    if second is not None and tells_more(first=attempt, second=second):
        detail = (
            f"{_amount(received.next)} of its answer came, and on a second connection, with an MSS of "
            f"{SMALL}, all of it: its full-size segments are lost on their way here"
        )
    elif received.ahead:
        missing = received.ahead[0][0] - received.next
        detail = (
            f"{_amount(received.next)} of its answer came, and some from behind a gap of {missing} bytes "
            "that was never filled: segments of it are lost on their way here"
        )
    else:
        return None
    return Judgement(ExchangeVerdict.DOWN_LOST, detail)


def _silent(attempt: Attempt, second: Attempt | None) -> str:
    connection, got = attempt.connection, attempt.connection.received.next
    waited = f"{attempt.ended_at - attempt.began_at:.1f} s"
    too = ", nor on a second connection" if second is not None else ""
    if connection.sending.gave_up:
        acknowledged = connection.sending.acknowledged - 1
        return f"it acknowledged {_amount(acknowledged)} of the request, and nothing behind them"
    if connection.sending.window == 0 and not connection.sending.is_everything_acknowledged:
        return f"its receive window stayed at zero for {waited}: its process does not read"
    if attempt.stage is Stage.TLS:
        return f"it acknowledged the beginning of the TLS handshake, and did not finish it in {waited}{too}"
    if attempt.stage is Stage.REQUEST:
        return f"it did not acknowledge the whole request in {waited}"
    if got and attempt.conversation.is_answered:
        return (
            f"it acknowledged the request and sent {_amount(got)} of an answer, but no more in {waited}{too}"
        )
    return f"it acknowledged the request, and sent no byte of an answer in {waited}{too}: it hangs"


def _when(attempt: Attempt) -> str:
    connection = attempt.connection
    if attempt.stage is Stage.TLS:
        return "in the middle of the TLS handshake"
    if attempt.conversation.is_answered:
        return f"in the middle of the answer, after {_amount(connection.received.next)}"
    if connection.sending.acknowledged > 1:
        return "after the request, before any answer"
    return "right after the connection was established"


def _answer(attempt: Attempt) -> str:
    connection, talk = attempt.connection, attempt.conversation
    if talk.http is not None:
        asked = attempt.asked_at if attempt.asked_at is not None else attempt.began_at
        answered = attempt.answered_at if attempt.answered_at is not None else attempt.ended_at
        what = f"{attempt.target.request} was answered with {talk.http.line} in {_ms(answered - asked)}"
    elif talk.tls_seen is not None:
        what = "the TLS handshake was completed"
    elif talk.banner is not None:
        what = f"it was connected to, and said {talk.banner}"
    else:
        what = "it was connected to, and closed again"
    tls = f", {talk.tls_seen.version}" if talk.tls_seen is not None else ""
    sizes = f"; segments of up to {connection.sending.largest} bytes up and {connection.largest_down} down"
    return f"{what}{tls}{sizes if connection.sending.largest else ''}"


def _amount(count: int) -> str:
    return "1 byte" if count == 1 else f"{count} bytes"


def _ms(seconds: float) -> str:
    return f"{max(0.0, seconds) * 1000:.1f} ms"
