"""What whole exchanges mean, as findings; no side effects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.model import Finding, Verdict
from ferryman.probe.exchange import ExchangeVerdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ferryman.diagnosis import Cause, ExchangeEvidence
    from ferryman.model import VirtualService
    from ferryman.probe.exchange import ExchangeResult

CHECK = "exchange"
WANTED = "a request and its answer through the tunnel, with full-size packets"
VERDICTS = {
    ExchangeVerdict.COMPLETED: Verdict.PASS,
    ExchangeVerdict.BAD_ANSWER: Verdict.WARN,
    ExchangeVerdict.SILENT: Verdict.FAIL,
    ExchangeVerdict.RESET: Verdict.FAIL,
    ExchangeVerdict.DOWN_LOST: Verdict.FAIL,
    ExchangeVerdict.UP_LOST: Verdict.FAIL,
    ExchangeVerdict.HALF_OPEN: Verdict.FAIL,
    ExchangeVerdict.NO_CONNECTION: Verdict.FAIL,
}
"""From the best to the worst. An odd answer came through the tunnel all the same, so it blocks nothing."""
_RANK = {verdict: rank for rank, verdict in enumerate(VERDICTS)}


def worst_of(results: Sequence[ExchangeResult]) -> ExchangeResult:
    """The worst of a realserver's exchanges for one virtual service, of which there is one at least."""
    return max(results, key=lambda result: _RANK[result.verdict])


def completed(results: Sequence[ExchangeResult]) -> Finding:
    """The finding about a realserver that completed every exchange; whatever status it answered counts."""
    target = results[0].target.target
    requests = dict.fromkeys(_answered(result) for result in results)
    up, down = (max(sizes) for sizes in zip(*((r.largest_up, r.largest_down) for r in results), strict=True))
    parts = [
        "; ".join(requests),
        f"segments of {up:,} bytes up and {down:,} down",
        *_told(results),
    ]
    return Finding(CHECK, target.host, Verdict.PASS, f"{target.virtual_service}: {', '.join(parts)}", WANTED)


def only_connected(results: Sequence[ExchangeResult]) -> Finding:
    """The finding about a realserver of a service that is asked nothing, for nobody knows what it answers."""
    target = results[0].target.target
    name = target.virtual_service.service
    seen = f"{target.virtual_service}: connected and closed; nothing was asked, for no request is known"
    remedy = f'name a path, where it speaks HTTP: download = "/path" under [traffic.service.{name}]'
    seen = ", ".join([seen, *_told(results)])
    return Finding(CHECK, target.host, Verdict.SKIP, seen, WANTED, remedy)


def explained(evidence: ExchangeEvidence, cause: Cause | None, rotation: str) -> Finding:
    """The finding about an exchange that failed, with its cause where one is proved.

    ``rotation`` says which directors send the realserver nothing now: then its failure is known to them.
    """
    failed = evidence.failed
    target = failed.target.target
    known = str(cause) if cause else "cause: not found"
    parts = [
        f"{target.virtual_service}: {failed.verdict.value}",
        known,
        f"{failed.target.request}: {failed.detail}",
    ]
    if rotation:
        parts.append(f"directors know of it: {rotation}")
    unsteady = cause is not None and cause.cause == "unsteady"
    verdict = VERDICTS[failed.verdict]
    if unsteady and verdict is Verdict.FAIL:
        verdict = Verdict.UNKNOWN
    remedy = cause.remedy if cause else _LOOK_YOURSELF
    return Finding(CHECK, target.host, verdict, "; ".join(parts), WANTED, remedy)


def not_asked(host: str, virtual: VirtualService, why: str) -> Finding:
    """The finding where no exchange is made: ``why`` says the reason."""
    return Finding(CHECK, host, Verdict.SKIP, f"{virtual}: {why}", WANTED)


_LOOK_YOURSELF = (
    "nothing that could be read explains it; follow the connection: "
    "tcpdump -ni any 'ip proto 4 or ip6 proto 41 or tcp' there"
)


def _answered(result: ExchangeResult) -> str:
    status = f"HTTP {result.status}" if result.status is not None else "closed"
    return f"{result.target.request}: {status}"


def _told(results: Sequence[ExchangeResult]) -> list[str]:
    """What is no fault and is said all the same."""
    told = []
    tls = next((result.tls for result in results if result.tls is not None), None)
    if tls is not None:
        told.append(f"{tls.version}, its certificate not judged")
    again = sum(result.retransmissions for result in results)
    if again:
        told.append("1 segment sent again" if again == 1 else f"{again} segments sent again")
    return told
