"""One exchange: its connection, a second one with small segments where the first stalls, and the result."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ferryman.encapsulation import ETHERNET_MTU, mss_for_mtu
from ferryman.probe.exchange.attempt import Attempt, Terms
from ferryman.probe.exchange.results import ExchangeResult, Stage
from ferryman.probe.exchange.sending import SMALL
from ferryman.probe.exchange.verdicts import is_never_heard, judge, tells_more

if TYPE_CHECKING:
    from ferryman.model import Address
    from ferryman.probe.classify import Flow
    from ferryman.probe.exchange.targets import ExchangeLimits, ExchangeTarget

SECOND_PART = 0.5
"""The part of the deadline after which a stalled exchange gets a second connection, with small segments."""
STALLED_S = 1.0
"""Seconds without a byte before that: an answer that flows is none that stalls."""


class Exchange:
    """A target's exchange, from its first SYN to its result."""

    def __init__(
        self,
        target: ExchangeTarget,
        outer_source: Address,
        mtu: int,
        limits: ExchangeLimits,
        first_wait_s: float,
    ) -> None:
        self.target, self.outer_source, self.mtu = target, outer_source, mtu
        self.attempts: list[Attempt] = []
        self._limits, self._first_wait_s = limits, first_wait_s

    def connect(self, flow: Flow, now: float) -> Attempt:
        """Begin its connection; when there is one, the second one, which must end with the first."""
        is_first = not self.attempts
        version = flow.vip.version
        terms = Terms(
            self.mtu,
            mss_for_mtu(version, ETHERNET_MTU) if is_first else SMALL,
            self._first_wait_s,
            self._limits.answer_bytes,
            now + self._limits.deadline_s if is_first else self._until,
        )
        attempt = Attempt(self.target, flow, self.outer_source, terms, now)
        self.attempts.append(attempt)
        return attempt

    @property
    def is_over(self) -> bool:
        """Whether its result is known."""
        return self.attempts[0].is_over

    @property
    def wakes_at(self) -> float:
        """When ``tick`` is to be called next."""
        if self.is_over:
            return -math.inf
        wakes_at = min(attempt.wakes_at for attempt in self.attempts if not attempt.is_over)
        return min(wakes_at, self._second_at if len(self.attempts) == 1 else self._told_at)

    def wants_second(self, now: float) -> bool:
        """Whether it stalls in a way in which a second connection with small segments tells more."""
        return len(self.attempts) == 1 and not self.is_over and now >= self._second_at

    def tick(self, now: float) -> None:
        """Do what is due by the time."""
        for attempt in self.attempts:
            attempt.tick(now)
        if now >= self._told_at:
            self.end(now)

    def end(self, now: float) -> None:
        """End what is still under way, because the result is known or nobody waits for it any more."""
        for attempt in self.attempts:
            attempt.end(now)

    def result(self) -> ExchangeResult:
        """What it gave."""
        first, *others = self.attempts
        verdict, detail = judge(first, others[0] if others else None)
        connection, talk = first.connection, first.conversation
        http = talk.http
        return ExchangeResult(
            target=self.target,
            verdict=verdict,
            detail=detail,
            stage=first.stage,
            outer_source=None if first.unsent else self.outer_source,
            sent=first.unsent is None,
            handshake_ms=_ms(0.0, connection.round_trip_s) if connection.is_established else None,
            tls_ms=_ms(first.tls_began_at, first.secured_at),
            request_ms=_ms(first.asked_at, first.request_acknowledged_at),
            answer_ms=_ms(first.asked_at, first.answered_at),
            total_ms=_ms(first.began_at, first.ended_at) or 0.0,
            bytes_up=max(0, connection.sending.acknowledged - 1 - connection.is_finish_acknowledged),
            bytes_down=connection.received.next,
            largest_up=connection.sending.largest,
            largest_down=connection.largest_down,
            wanted_up=connection.wanted_up,
            retransmissions=connection.sending.retransmissions + max(0, connection.syns - 1),
            peer_mss=connection.peer_mss,
            status=http.status if http is not None else None,
            status_line=http.line if http is not None else talk.banner,
            tls=talk.tls_seen,
            too_big=first.too_big,
            icmp_reason=first.icmp.reason if first.icmp is not None else None,
            is_capped=first.is_capped,
            remarks=tuple(_remarks(first, others)),
        )

    @property
    def _until(self) -> float:
        return self.attempts[0].began_at + self._limits.deadline_s

    @property
    def _told_at(self) -> float:
        """When the second connection has told enough: it was answered, and the first was not for a while."""
        first, *others = self.attempts
        done = [other.ended_at for other in others if other.is_over and tells_more(first, other)]
        return done[0] + STALLED_S if done else math.inf

    @property
    def _second_at(self) -> float:
        """When a second connection is due, if nothing comes until then; never, where it tells nothing."""
        first = self.attempts[0]
        connection = first.connection
        if connection.sending.acknowledged <= 1 or first.stage not in (Stage.TLS, Stage.ANSWER):
            return math.inf
        stalled_at = max(connection.last_data_at, first.began_at) + STALLED_S
        return max(stalled_at, first.began_at + self._limits.deadline_s * SECOND_PART)


def _ms(begin: float | None, end: float | None) -> float | None:
    if begin is None or end is None:
        return None
    return max(0.0, end - begin) * 1000


def _remarks(first: Attempt, others: list[Attempt]) -> list[str]:
    connection = first.connection
    remarks = [f"not counted: {count} segments {why}" for why, count in sorted(connection.ignored.items())]
    remarks += [f"a packet was not sent: {words}" for words in first.remarks]
    if first.icmp is not None and connection.is_established:
        remarks.append(f"{first.icmp}")
    if connection.is_established and first.most_up < min(connection.wanted_up, first.target.target.mss_limit):
        remarks.append(
            f"this host's own route takes segments of {first.most_up} bytes at most, its MSS allows "
            f"{connection.wanted_up}: larger ones were not tried"
        )
    if first.conversation.is_done and not connection.is_closed and not is_never_heard(first):
        how = "reset by the realserver" if connection.is_reset else "not closed in time, so it was reset"
        remarks.append(f"the connection was {how}")
    if first.is_capped:
        remarks.append(f"the answer is longer than {connection.received.next} bytes; the rest was left")
    remarks += [
        f"a second connection with an MSS of {SMALL} got to: {other.stage.value}, with "
        f"{other.connection.received.next} bytes of an answer"
        for other in others
    ]
    return remarks
