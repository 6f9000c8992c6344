"""What the results of real requests mean, as findings; no side effects."""

from __future__ import annotations

import statistics
from collections import Counter
from typing import TYPE_CHECKING

from ferryman.model import RETRIED, Finding, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ferryman.model import VirtualService
    from ferryman.traffic.http_request import Result

REQUESTS_CHECK = "traffic"
TRANSFER_CHECKS = {"download": "traffic-download", "upload": "traffic-upload"}

LARGE_BYTES = 65_536
"""A body below this may fit the first packets of a connection: it says nothing about full-size ones."""

_SERVER_ERROR = 500
_ERROR = 400

_FIND_REALSERVER = "find the realserver that does not answer: probe each of them"
_BLACK_HOLE = (
    "small requests pass and full packets do not: look at the MSS that realservers announce and at the MTU of"
    " the path to them; net.ipv4.vs.pmtu_disc=0 on the director makes it fragment meanwhile"
)


def judge_requests(host: str, virtual: VirtualService, results: Sequence[Result]) -> Finding:
    """Whether every small request was answered; an answer that is no server error counts."""
    problems = Counter(problem for result in results if (problem := problem_of(result)))
    answered = sorted(result.seconds for result in results if not problem_of(result))
    seen = f"{virtual}: {len(answered)} of {len(results)} requests answered"
    if answered:
        seen += f", p50 {_ms(statistics.median(answered))}, max {_ms(answered[-1])}"
    for problem, count in sorted(problems.items()):
        seen += f", {count} {problem}"
    remedy = _FIND_REALSERVER if problems else ""
    verdict = Verdict.FAIL if problems else Verdict.PASS
    return Finding(REQUESTS_CHECK, host, verdict, seen, "every request answered", remedy)


def judge_retries(host: str, virtual: VirtualService, results: Sequence[Result]) -> Finding | None:
    """What it means that connections came about, but not at once; None where all came at once."""
    again = sum(result.connected and result.syns_again > 0 for result in results)
    if not again:
        return None
    seen = f"{virtual}: {again} of {len(results)} connections came about only when the SYN was sent again"
    wanted, remedy = (
        "an answer to the first SYN",
        "find the realserver that drops packets: probe each of them",
    )
    return Finding(RETRIED, host, Verdict.WARN, seen, wanted, remedy)


def judge_transfer(
    host: str, virtual: VirtualService, result: Result, *, path: str, timeout_s: float
) -> Finding:
    """The finding whether a large body was transferred whole."""
    verdict, seen, remedy = _judged(result, path, timeout_s)
    wanted = f"the whole {result.kind} of {path}"
    return Finding(TRANSFER_CHECKS[result.kind], host, verdict, f"{virtual}: {seen}", wanted, remedy)


def _judged(result: Result, path: str, timeout_s: float) -> tuple[Verdict, str, str]:
    """Verdict, what was seen, and the remedy."""
    other_path = f"set traffic.{result.kind} in ferryman.toml to the path of a large {result.kind}"
    if result.problem == "timed out" and result.connected:
        return Verdict.FAIL, f"{result.kind} stalled after {_of(result)} for {timeout_s:g} s", _BLACK_HOLE
    if result.problem:
        when = f"failed after {_of(result)}" if result.connected else "could not connect"
        return Verdict.FAIL, f"{result.kind} {when}: {result.problem}", _FIND_REALSERVER
    if result.status is None or result.status >= _ERROR:
        seen = f"{path} answered HTTP {result.status}: no large transfer was made"
        return Verdict.WARN, seen, other_path
    if result.total_bytes is not None and result.moved_bytes < result.total_bytes:
        return Verdict.FAIL, f"{result.kind} ended after {_of(result)}", _BLACK_HOLE
    if result.moved_bytes < LARGE_BYTES:
        seen = f"{path}: {result.moved_bytes:,} bytes are too few to show a black hole"
        return Verdict.WARN, seen, f"{other_path}, {LARGE_BYTES:,} bytes or more"
    return Verdict.PASS, f"{result.kind} of {result.moved_bytes:,} bytes in {_ms(result.seconds)}", ""


def not_configured(kind: str, host: str, virtual: VirtualService) -> Finding:
    """The finding where no large transfer can be tried."""
    return Finding(
        TRANSFER_CHECKS[kind],
        host,
        Verdict.SKIP,
        f"{virtual}: no large {kind} configured: a black hole would not be seen",
        f"a large {kind}",
        f'set {kind} = "/path" under [traffic.service.{virtual.service}] in ferryman.toml',
    )


def not_tried(kind: str, host: str, virtual: VirtualService) -> Finding:
    """The finding where a large transfer is left out, for it would say nothing new."""
    seen = f"{virtual}: not tried: small requests fail already"
    return Finding(TRANSFER_CHECKS[kind], host, Verdict.SKIP, seen, f"a large {kind}")


def not_asked(host: str, virtual: VirtualService, why: str) -> Finding:
    """The finding where no requests are sent: ``why`` says the reason."""
    return Finding(REQUESTS_CHECK, host, Verdict.SKIP, f"{virtual}: {why}", "requests answered")


def problem_of(result: Result) -> str:
    """Why a small request counts as not answered; empty when it counts."""
    if result.problem:
        return result.problem
    if result.status is not None and result.status >= _SERVER_ERROR:
        return f"HTTP {result.status}"
    return ""


def _of(result: Result) -> str:
    total = "an unknown number of" if result.total_bytes is None else f"{result.total_bytes:,}"
    return f"{result.moved_bytes:,} of {total} bytes"


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"
