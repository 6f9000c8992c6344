"""The result of one target, from those of its flows: the worst verdict that any of them met."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.model import ProbeResult, ProbeVerdict

if TYPE_CHECKING:
    from ferryman.model import Address, IcmpReason
    from ferryman.probe.classify import Judgement
    from ferryman.probe.targets import Target

FROM_BEST_TO_WORST = (
    ProbeVerdict.ACCEPTED,
    ProbeVerdict.UNSUITABLE,
    ProbeVerdict.REFUSED,
    ProbeVerdict.UNREACHABLE,
    ProbeVerdict.SILENT,
)
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
        self._worst = ProbeVerdict.ACCEPTED
        self._accepted = 0
        self._retried = 0
        self.tries = 1
        """How many times the SYN was sent, of the flow where that was most often."""
        self._details: list[str] = []
        self._icmp_reasons: set[IcmpReason] = set()
        self._remarks: list[str] = []
        self._mss: int | None = None
        self._rtt_ms: float | None = None

    @property
    def answered(self) -> bool:
        """Whether at least one flow of the target has been answered."""
        return self.waiting < self.asked

    def count(self, judgement: Judgement, after_ms: float) -> None:
        """Add what one flow was answered, so long after its last SYN; the verdict is never None."""
        verdict, tries = judgement.verdict, judgement.syn.sent
        assert verdict is not None
        self.waiting -= 1
        self.tries = max(self.tries, tries)
        # Of a SYN that was sent twice nobody knows which one is answered (Karn's rule).
        rtt_ms = after_ms if tries == 1 else None
        if verdict is ProbeVerdict.ACCEPTED:
            self._accepted += 1
            # An answer that comes sooner than any other did is to the SYN before: late, and not lost.
            self._retried += tries > 1 and (self._rtt_ms is None or after_ms >= self._rtt_ms)
        if judgement.mss is not None:
            self._mss = max(self._mss or 0, judgement.mss)
        if rtt_ms is not None:
            self._rtt_ms = rtt_ms if self._rtt_ms is None else min(self._rtt_ms, rtt_ms)
        self._add(verdict, judgement.detail, judgement.icmp_reason)

    def give_up(self, detail: str) -> None:
        """Count the flows that are still out as silent.

        Beside an ICMP error silence says nothing: who sends these limits their rate (RFC 1812, 4.3.2.8).
        """
        if self._worst is not ProbeVerdict.UNREACHABLE:
            self._add(ProbeVerdict.SILENT, self._silence(detail))
        self.waiting = 0

    def remark(self, remark: str) -> None:
        """Add a remark about an answer that does not count; three are kept, each once."""
        if remark not in self._remarks and len(self._remarks) < REMARKS:
            self._remarks.append(remark)

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
            frozenset(self._icmp_reasons),
        )

    def _add(self, verdict: ProbeVerdict, detail: str, icmp_reason: IcmpReason | None = None) -> None:
        if _RANK[verdict] > _RANK[self._worst]:
            self._worst, self._details, self._icmp_reasons = verdict, [], set()
        if verdict is not self._worst:
            return
        if detail and detail not in self._details:
            self._details.append(detail)
        if icmp_reason is not None:
            self._icmp_reasons.add(icmp_reason)

    def _silence(self, detail: str) -> str:
        if not self.answered:
            return detail
        return (
            f"{self.asked - self.waiting} of {self.asked} source ports answered: "
            "a pod behind it may be bad, or one of several ways to it"
        )

    def _coverage(self) -> list[str]:
        if self._worst in (ProbeVerdict.ACCEPTED, ProbeVerdict.SILENT) or not self._accepted:
            return []
        return [f"{self._accepted} of {self.asked} source ports were accepted"]
