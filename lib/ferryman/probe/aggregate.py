"""The result of one target, from those of its flows: the worst verdict that any of them met."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.model import ProbeResult
from ferryman.probe.classify import ACCEPTED, REFUSED, SILENT, UNREACHABLE, UNSUITABLE

if TYPE_CHECKING:
    from ferryman.model import Address, IcmpReason, ProbeVerdict
    from ferryman.probe.classify import Judgement
    from ferryman.probe.targets import Target

FROM_BEST_TO_WORST = (
    ACCEPTED,
    UNSUITABLE,
    REFUSED,
    UNREACHABLE,
    SILENT,
)
_NOTHING: frozenset[IcmpReason] = frozenset()
_RANK = {verdict: rank for rank, verdict in enumerate(FROM_BEST_TO_WORST)}

REMARKS = 3
"""Uncounted answers that are reported for one target, at most."""


class TargetResult:
    """One target's flows as they are answered, and what they add up to."""

    __slots__ = (
        "_accepted", "_details", "_icmp_reasons", "_mss", "_remarks", "_retried", "_rtt_ms", "_worst",
        "asked", "outer_source", "target", "tries", "waiting",
    )  # fmt: skip

    def __init__(self, target: Target, outer_source: Address, asked: int) -> None:
        self.target, self.outer_source, self.asked = target, outer_source, asked
        self.waiting = asked
        """The number of flows that nothing is known of yet."""
        self._worst = ACCEPTED
        self._accepted = 0
        self._retried = 0
        self.tries = 1
        """How many times the SYN was sent, of the flow where that was most often."""
        # Of thousands of targets nearly all have nothing to say.
        self._details: tuple[str, ...] = ()
        self._icmp_reasons = _NOTHING
        self._remarks: tuple[str, ...] = ()
        self._mss: int | None = None
        self._rtt_ms: float | None = None

    @property
    def answered(self) -> bool:
        """Whether at least one flow of the target has been answered."""
        return self.waiting < self.asked

    def count(self, judgement: Judgement, after_ms: float, *, is_to_last: bool = True) -> None:
        """Add what one flow was answered, so long after its last SYN; the verdict is never None.

        ``is_to_last``: whether, of a SYN that was sent again, it is likely the last one that is answered, as
        far as this can be known without the target's own times.
        """
        syn, verdict, mss, detail, icmp_reason = judgement
        assert verdict is not None
        self.waiting -= 1
        if verdict is ACCEPTED:
            self._accepted += 1
        if mss is not None and (self._mss is None or mss > self._mss):
            self._mss = mss
        if syn.sent > 1:
            self.tries = max(self.tries, syn.sent)
            # An answer that comes sooner than any other did is to the SYN before: late, and not lost.
            was_lost = is_to_last if self._rtt_ms is None else after_ms >= self._rtt_ms
            self._retried += verdict is ACCEPTED and was_lost
        # Of a SYN that was sent twice nobody knows which one is answered (Karn's rule).
        elif self._rtt_ms is None or after_ms < self._rtt_ms:
            self._rtt_ms = after_ms
        if detail or verdict is not self._worst:
            self._add(verdict, detail, icmp_reason)

    def give_up(self, detail: str) -> None:
        """Count the flows that are still out as silent.

        Beside an ICMP error silence says nothing: who sends these limits their rate (RFC 1812, 4.3.2.8).
        """
        if self._worst is not UNREACHABLE:
            self._add(SILENT, self._silence(detail))
        self.waiting = 0

    def remark(self, remark: str) -> None:
        """Add a remark about an answer that does not count; three are kept, each once."""
        if remark not in self._remarks and len(self._remarks) < REMARKS:
            self._remarks += (remark,)

    def result(self) -> ProbeResult:
        """The result of the whole target: its worst verdict, with what was said about that one."""
        return ProbeResult(
            self.target.host,
            self.target.virtual_service,
            self._worst,
            self._rtt_ms,
            self._mss,
            "; ".join([*self._details, *self._coverage(), *self._remarks]),
            self.outer_source,
            self.asked,
            self._accepted,
            self.tries,
            self._retried,
            self._icmp_reasons,
        )

    def _add(self, verdict: ProbeVerdict, detail: str, icmp_reason: IcmpReason | None = None) -> None:
        if _RANK[verdict] > _RANK[self._worst]:
            self._worst, self._details, self._icmp_reasons = verdict, (), _NOTHING
        if verdict is not self._worst:
            return
        if detail and detail not in self._details:
            self._details += (detail,)
        if icmp_reason is not None:
            self._icmp_reasons |= {icmp_reason}

    def _silence(self, detail: str) -> str:
        if not self.answered:
            return detail
        return (
            f"{self.asked - self.waiting} of {self.asked} source ports answered: "
            "a pod behind it may be bad, or one of several ways to it"
        )

    def _coverage(self) -> list[str]:
        if self._worst in (ACCEPTED, SILENT) or not self._accepted:
            return []
        return [f"{self._accepted} of {self.asked} source ports were accepted"]
