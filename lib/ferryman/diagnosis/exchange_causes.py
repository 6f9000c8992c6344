"""Why an exchange failed whose SYN was answered: the rules, in the order in which they are tried.

This is the one place that says so; ``docs/diagnosis.md`` shows the same table. Where the server is at fault
and not the way to it, the cause is ``server``: the host's kernel took what was sent, so the tunnel works.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.diagnosis.causes import CauseRule, first_proven
from ferryman.diagnosis.proofs import Proof
from ferryman.encapsulation import ETHERNET_MTU, ICMP_HEADER, IP_HEADER
from ferryman.model import Kind, Verdict
from ferryman.probe.exchange import ExchangeVerdict, Stage
from ferryman.realservers.checks.tc_filters import Fate
from ferryman.realservers.facts import CALLED_INVALID, OWN_RESETS

if TYPE_CHECKING:
    from collections.abc import Callable

    from ferryman.diagnosis.causes import Cause
    from ferryman.diagnosis.exchange_evidence import ExchangeEvidence

FILTER = "tc filter "
"""What the name of a filter of tc(8) begins with, under which its drops are counted."""


def exchange_cause_of(evidence: ExchangeEvidence) -> Cause | None:
    """The first cause that the evidence proves, with those that it leaves beside it; None: it proves none."""
    return first_proven(EXCHANGE_RULES, evidence)


def unsteady(evidence: ExchangeEvidence) -> Proof | None:
    """It completes now."""
    return Proof("it completed when it was made again") if evidence.again.is_good else None


def not_sent(evidence: ExchangeEvidence) -> Proof | None:
    """Nothing left this host, or its own kernel found a packet too large."""
    too_big = evidence.failed.too_big
    if not evidence.failed.sent or (too_big is not None and too_big.reporter is None):
        return Proof(evidence.failed.detail)
    return None


def filtered_early(evidence: ExchangeEvidence) -> Proof | None:
    """A filter of tc dropped while it was asked; of a request that arrived whole it explains nothing."""
    dropped = {name: count for name, count in evidence.grew.items() if name.startswith(FILTER)}
    if not dropped or _took_the_request(evidence):
        return None
    name = max(dropped, key=lambda each: dropped[each])
    shown = name.removeprefix(FILTER).partition(" pref ")[0]
    return Proof(
        f"{name} dropped {dropped[name]} packets while it was asked",
        f"see what put it there, and what it does: tc -s filter show {shown}",
    )


def kept_out(evidence: ExchangeEvidence) -> Proof | None:
    """The check knows which rule drops what follows the SYN."""
    finding = evidence.says("firewall")
    return Proof(finding.seen) if finding is not None and not _took_the_request(evidence) else None


def called_invalid(evidence: ExchangeEvidence) -> Proof | None:
    """Connection tracking called packets INVALID, and nothing after the SYN was acknowledged."""
    called = evidence.grew.get(CALLED_INVALID, 0)
    if not called or not _half_open(evidence):
        return None
    seen = f"{CALLED_INVALID} grew by {called} while it was asked: connection tracking sees half of each "
    return Proof(f"{seen}connection, and a rule may drop what it calls INVALID")


def perhaps_kept_out(evidence: ExchangeEvidence) -> Proof | None:
    """Its rules do not tell whether they let in what follows the SYN."""
    finding = evidence.says("firewall", Verdict.WARN, Verdict.UNKNOWN)
    return Proof(finding.seen, "", ("path",)) if finding is not None and _half_open(evidence) else None


def perhaps_early(evidence: ExchangeEvidence) -> Proof | None:
    """A program is in the way that nobody can read."""
    programs = [early for early in evidence.early if early.fate is Fate.UNKNOWABLE]
    if not programs or not _half_open(evidence):
        return None
    return Proof(f"{programs[0].what}, which may have dropped it", f"see it: {programs[0].look}", ("path",))


def lost_on_the_way(evidence: ExchangeEvidence) -> Proof | None:
    """Nothing on the host shows why."""
    if not _half_open(evidence):
        return None
    others = ("control-host",) if evidence.alike else ()
    return Proof("nothing that was sent after its SYN/ACK was ever acknowledged", "", others)


def too_large_by(check: str) -> Callable[[ExchangeEvidence], Proof | None]:
    """Full-size packets get lost, and a check knows of an MTU that is too small or too large."""

    def proof(evidence: ExchangeEvidence) -> Proof | None:
        finding = evidence.says(check, Verdict.FAIL, Verdict.WARN)
        return Proof(finding.seen) if finding is not None and _large_ones_lost(evidence) else None

    return proof


def lost_for_all(evidence: ExchangeEvidence) -> Proof | None:
    """No realserver gets full-size packets from here: what they share is this host's own way to them."""
    if not _large_ones_lost(evidence) or not evidence.alike:
        return None
    remedy = f"see what this host's own way takes: {_ping(evidence)}, from here and from a director"
    return Proof("full-size packets get lost between this host and every realserver", remedy, ("path-mtu",))


def not_whole(evidence: ExchangeEvidence) -> Proof | None:
    """Part of the request was acknowledged and the rest never: lost on the way, or not read by the server."""
    failed = evidence.failed
    if failed.verdict is not ExchangeVerdict.SILENT or failed.stage is not Stage.REQUEST:
        return None
    return Proof("it took a part of the request, and never acknowledged the rest", "", ("server",))


def lost_when_large(evidence: ExchangeEvidence) -> Proof | None:
    """Only the large ones get lost, and only with some realservers."""
    if not _large_ones_lost(evidence):
        return None
    failed = evidence.failed
    remedy = (
        f"find the link that takes less: {_ping(evidence)} from a director, and back; or lower its path_mtu "
        "in hosts.yaml, and the MSS that it clamps to"
    )
    if failed.too_big is not None:
        return Proof(failed.detail, remedy)
    way = "to it" if failed.verdict is ExchangeVerdict.UP_LOST else "back from it"
    seen = f"small packets pass, full-size ones are lost on the way {way}, and no ICMP error says so"
    return Proof(seen, remedy)


def reset_by_a_rule(evidence: ExchangeEvidence) -> Proof | None:
    """The RST was none of its own TCP's, which counts those that it sends; pods count for themselves."""
    if evidence.failed.verdict is not ExchangeVerdict.RESET or evidence.kind is not Kind.SERVER:
        return None
    if not evidence.counted or evidence.grew.get(OWN_RESETS):
        return None
    seen = f"a RST came, and its own TCP sent none ({OWN_RESETS} did not grow)"
    return Proof(seen, "", ("path",))


def of_the_server(evidence: ExchangeEvidence) -> Proof | None:
    """What came out of the tunnel was taken and acknowledged: what follows is the server's."""
    match evidence.failed.verdict:
        case ExchangeVerdict.SILENT:
            return Proof(
                "its kernel took the request, and the server behind it says nothing: the tunnel works"
            )
        case ExchangeVerdict.BAD_ANSWER:
            return Proof("its answer came through the tunnel, and is not what was asked for")
        case ExchangeVerdict.RESET:
            return Proof("the connection was there, and it was reset before the answer", "", ("firewall",))
    return None


def _ping(evidence: ExchangeEvidence) -> str:
    """The command that sends the realserver packets of the usual size, which nobody may cut."""
    address = evidence.failed.target.target.realserver_address
    return f"ping -M do -s {ETHERNET_MTU - IP_HEADER[address.version] - ICMP_HEADER} {address}"


def _half_open(evidence: ExchangeEvidence) -> bool:
    return evidence.failed.verdict is ExchangeVerdict.HALF_OPEN


def _large_ones_lost(evidence: ExchangeEvidence) -> bool:
    return evidence.failed.verdict in (ExchangeVerdict.UP_LOST, ExchangeVerdict.DOWN_LOST)


def _took_the_request(evidence: ExchangeEvidence) -> bool:
    failed = evidence.failed
    is_silent = failed.verdict is ExchangeVerdict.SILENT and failed.stage is not Stage.REQUEST
    return is_silent or failed.verdict is ExchangeVerdict.BAD_ANSWER


EXCHANGE_RULES: tuple[CauseRule[ExchangeEvidence], ...] = (
    CauseRule(
        "unsteady",
        "it completes when it is made again",
        unsteady,
        "ask again; see whether it drops packets, and whether all of its pods answer",
    ),
    CauseRule(
        "control-host",
        "nothing could be sent, or this host's own kernel found a packet too large",
        not_sent,
        "see to this host's routes and firewall, and to the MTU of its own way",
    ),
    CauseRule(
        "before-netfilter",
        "a filter of tc(8) drops while it is asked",
        filtered_early,
        "see what put it there, and what it does: tc -s filter show dev DEVICE ingress",
    ),
    CauseRule(
        "firewall",
        "the check `firewall`",
        kept_out,
        "let in what belongs to a connection that comes by the tunnel device",
    ),
    CauseRule(
        "firewall",
        "half-open, and what connection tracking calls INVALID grows",
        called_invalid,
        "keep connection tracking from both directions of what comes by the tunnel device (NOTRACK), or from "
        "neither",
    ),
    CauseRule(
        "firewall",
        "half-open, and the rules do not tell whether they let it in; `path` is left too",
        perhaps_kept_out,
        "let in what belongs to a connection that comes by the tunnel device",
    ),
    CauseRule(
        "before-netfilter",
        "half-open, and an XDP or BPF program is before it; `path` is left too",
        perhaps_early,
        "see it: ip -d link show; tc -s filter show dev DEVICE ingress",
    ),
    CauseRule(
        "path",
        "half-open, and nothing on the host shows why",
        lost_on_the_way,
        "follow the ACK: tcpdump -ni any 'ip proto 4 or ip6 proto 41' there and on the way; a firewall that "
        "saw no SYN/ACK drops what follows",
    ),
    CauseRule(
        "nic-mtu",
        "full-size packets get lost, and the check `nic-mtu`",
        too_large_by("nic-mtu"),
        "ip link set dev eth0 mtu 1500",
    ),
    CauseRule(
        "pod-mtu",
        "full-size packets get lost, and the check `pod-mtu`",
        too_large_by("pod-mtu"),
        "restart the pods once the CNI's MTU is right",
    ),
    CauseRule(
        "control-host",
        "full-size packets get lost with every realserver; `path-mtu` is left too",
        lost_for_all,
        "see what this host's own way takes, and that of a director",
    ),
    CauseRule(
        "path-mtu",
        "full-size packets get lost with this realserver, or an ICMP error says that they do not fit",
        lost_when_large,
        "find the link that takes less; or lower its path_mtu in hosts.yaml, and the MSS that it clamps to",
    ),
    CauseRule(
        "path",
        "a part of the request was acknowledged, and the rest never; `server` is left too",
        not_whole,
        "see whether packets to it get lost: make it again; ss -tn there shows what its process has not read",
    ),
    CauseRule(
        "firewall",
        "a RST, and the host's own TCP sent none (TcpOutRsts); `path` is left too",
        reset_by_a_rule,
        "find the rule that rejects with a RST: iptables-save | grep reset; nft list ruleset | grep reset",
    ),
    CauseRule(
        "server",
        "the request was acknowledged, and no answer came, or none that was asked for; or a RST that its own "
        "TCP may have sent: then `firewall` is left too",
        of_the_server,
        "look at the server itself: it would do the same without a tunnel; depool the host until it answers",
    ),
)
