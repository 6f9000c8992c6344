"""What measured paths mean, as findings; no side effects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.model import Finding, Verdict
from ferryman.probe.path_mtu import PathMtuVerdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ferryman.model import Address
    from ferryman.probe.path_mtu import PathMtuResult

CHECK = "path-mtu"
WANTED = "an answer to every size, or an ICMP error that says how much fits"
_NO_ICMP = (
    "find what drops ICMP errors (IPv4 3/4, IPv6 2/0) on the way back, beginning at the last router before "
    "the narrow link: nft list ruleset | grep -i icmp; sysctl net.ipv4.icmp_ratemask"
)
_UNTIL_THEN = {
    "tcp": "until then a smaller MSS keeps TCP going (a clamp, or the pods' MTU)",
    "udp": "until then UDP has to stay below it, for nothing clamps UDP",
    "icmp": "until then whoever sends larger packets waits in vain",
}
_BLOCKS = {"tcp": Verdict.WARN, "udp": Verdict.FAIL, "icmp": Verdict.FAIL}
"""A black hole by protocol: TCP can be kept clear of it."""


def found(results: Sequence[PathMtuResult]) -> Iterator[Finding]:
    """A finding for each path; what is silent by one protocol alone is no fault of the path."""
    heard = {result.target.address for result in results if result.verdict is not PathMtuVerdict.UNANSWERED}
    for result in results:
        yield _finding(result, heard)


def _finding(result: PathMtuResult, heard: set[Address]) -> Finding:
    target, mtu = result.target, result.mtu
    verdict, said, remedy = Verdict.PASS, "", ""
    match result.verdict:
        case PathMtuVerdict.WORKS:
            said = f"path MTU {mtu}, told by {result.told[-1].reporter}"
            if not result.told[-1].mtu or result.told[-1].mtu != mtu:
                verdict, remedy = Verdict.WARN, "look at that router: senders go by the number that it tells"
        case PathMtuVerdict.LARGER:
            said = f"packets of {mtu} bytes get there, and this host's interface takes no larger ones"
        case PathMtuVerdict.BLACK_HOLE:
            verdict = _BLOCKS[target.protocol]
            said = f"a black hole: {mtu} bytes get there, larger packets vanish, and no router says so"
            remedy = f"{_NO_ICMP}; {_UNTIL_THEN[target.protocol]}"
        case PathMtuVerdict.UNANSWERED:
            verdict = Verdict.SKIP if target.address in heard else Verdict.UNKNOWN
            said = "nothing is answered, whatever its size"
            remedy = (
                ""
                if target.address in heard
                else "ask a port that answers, open or closed: --port, --udp-port"
            )
    parts = [f"{target}: {said}", *([f"by {result.answer}"] if result.answer else []), *result.remarks]
    if result.route_mtu is not None and result.route_mtu != result.interface_mtu:
        parts.append(f"this host's own route says {result.route_mtu}")
    return Finding(CHECK, target.host, verdict, "; ".join(parts), WANTED, remedy)
