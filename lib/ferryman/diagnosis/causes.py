"""The rules for causes, in the order in which a packet meets what they are about, and what proves each.

This is the one place that says so; ``docs/diagnosis.md`` shows the same table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ferryman.model import IcmpReason, ProbeVerdict, Verdict
from ferryman.realservers.facts import LISTEN_DROPS, REVERSE_PATH_DROPS, received_on

if TYPE_CHECKING:
    from ferryman.diagnosis.evidence import Evidence

Predicate = Callable[["Evidence"], str | None]
"""Returns what proves the cause, in words; None when nothing does."""

AGAINST = (Verdict.FAIL, Verdict.WARN)
RESETS = "reset"
"""In a rule that rejects with a RST, which looks as if nobody listened."""
FRAME_ERRORS = ".rx_frame_errors"


@dataclass(frozen=True, slots=True)
class CauseRule:
    """One cause that a failed probe may have, and how it is proven."""

    cause: str
    """The id of the check that has the rule; ``ecn``, ``path``, ``way-back`` and ``unsteady`` have none."""
    proven_by: str
    """What proves it, in words, for the documentation."""
    proof: Predicate
    remedy: str
    """What to do, where no check has a better remedy."""


@dataclass(frozen=True, slots=True)
class Cause:
    """A cause that was proven, with what proves it and what to do."""

    cause: str
    seen: str
    remedy: str

    def __str__(self) -> str:
        return f"cause: {self.cause}: {self.seen}"


def cause_of(evidence: Evidence) -> Cause | None:
    """The first cause that the evidence proves; None when it proves none."""
    for rule in CAUSE_RULES:
        if (seen := rule.proof(evidence)) is not None:
            finding = evidence.says(rule.cause, *AGAINST)
            remedy = finding.remedy if finding is not None and finding.remedy else rule.remedy
            return Cause(rule.cause, seen, remedy)
    return None


def _unsteady(evidence: Evidence) -> str | None:
    if evidence.again.verdict is not ProbeVerdict.ACCEPTED:
        return None
    return "it answered when it was asked again"


def _not_sent(evidence: Evidence) -> str | None:
    """A packet that never left this host has no outer source in its result."""
    return evidence.failed.detail if evidence.failed.outer_source is None else None


def _source_filtered(evidence: Evidence) -> str | None:
    """Nobody answers this outer source, though the host answers ours and its rules let the source in."""
    if not _silent(evidence) or evidence.others_answer or not _own_source_answered(evidence):
        return None
    if evidence.says("firewall", *AGAINST, Verdict.UNKNOWN) is not None:
        return None
    return (
        f"no realserver answers the outer source {evidence.failed.outer_source}, and this one answers this "
        "host's own: the network drops packets whose source is not this host's (uRPF, an anti-spoofing rule)"
    )


def _host_down(evidence: Evidence) -> str | None:
    if evidence.reached or not _silent(evidence) or _own_source_answered(evidence):
        return None
    return "it answers neither SSH nor any probe: it is down, or cut off"


def _no_tunnel(evidence: Evidence) -> str | None:
    if (seen := _check("tunnel-device")(evidence)) is not None:
        return seen
    for result in (evidence.again, evidence.own):
        if result is None or IcmpReason.PROHIBITED in result.icmp_reasons:
            continue
        if IcmpReason.NO_TUNNEL_DEVICE in result.icmp_reasons:
            return result.detail
    return None


def _filtered(evidence: Evidence) -> str | None:
    """The checks know, or an ICMP error says it, or one outer source is answered where another is not."""
    finding = evidence.says("firewall")
    if finding is not None and (not _answered(evidence) or RESETS in finding.seen):
        return finding.seen
    if IcmpReason.PROHIBITED in evidence.again.icmp_reasons and evidence.says("vip") is None:
        return evidence.again.detail
    if _silent(evidence) and _own_source_answered(evidence):
        own = evidence.own
        assert own is not None
        return f"it answers {own.outer_source}, this host's own, and not {evidence.failed.outer_source}"
    return None


def _reverse_path(evidence: Evidence) -> str | None:
    if not _silent(evidence):
        return None
    drops = evidence.grew.get(REVERSE_PATH_DROPS, 0)
    counted = f"TcpExtIPReversePathFilter grew by {drops} while it was asked" if drops else ""
    finding = evidence.says("rp-filter")
    if finding is None and drops:
        return f"{counted}: the kernel has no route back to the inner source through the tunnel device"
    return "; ".join(filter(None, (finding.seen, counted))) if finding is not None else None


def _no_address(evidence: Evidence) -> str | None:
    finding = evidence.says("tunnel-address")
    return finding.seen if finding is not None and _silent(evidence) else None


def _congested(evidence: Evidence) -> str | None:
    """RFC 6040, 4.2: an inner packet that knows no ECN, in an outer one that met congestion, is dropped."""
    grown = [f"{name} grew by {by}" for name, by in evidence.grew.items() if name.endswith(FRAME_ERRORS)]
    if not grown or not _silent(evidence):
        return None
    return f"{', '.join(grown)} while it was asked: outer packets arrive marked CE"


def _not_listening(evidence: Evidence) -> str | None:
    if evidence.again.verdict is ProbeVerdict.REFUSED:
        finding = evidence.says("listener")
        return finding.seen if finding is not None else f"{evidence.again.detail}; decapsulation works"
    if _silent(evidence) and (dropped := evidence.grew.get(LISTEN_DROPS, 0)):
        return f"its backlog is full: TcpExtListenDrops grew by {dropped} while it was asked"
    return None


def _mss_too_large_by(check: str) -> Predicate:
    def proof(evidence: Evidence) -> str | None:
        if ProbeVerdict.UNSUITABLE not in (evidence.failed.verdict, evidence.again.verdict):
            return None
        finding = evidence.says(check, *AGAINST)
        return finding.seen if finding is not None else None

    return proof


def _mss_too_large(evidence: Evidence) -> str | None:
    return evidence.failed.detail if evidence.failed.verdict is ProbeVerdict.UNSUITABLE else None


def _never_arrives(evidence: Evidence) -> str | None:
    if evidence.again.verdict is ProbeVerdict.UNREACHABLE:
        return evidence.again.detail
    if not _silent(evidence) or not evidence.grew or received_on(evidence.grew):
        return None
    return "nothing came out of its tunnel device while it was asked, and its own rules would let it in"


def _not_answered(evidence: Evidence) -> str | None:
    if not _silent(evidence) or not (packets := received_on(evidence.grew)):
        return None
    return f"its tunnel device took {packets} packets while it was asked, and no answer came back"


def _check(check: str) -> Predicate:
    """The check itself fails, and the probe brought no answer from behind it."""

    def proof(evidence: Evidence) -> str | None:
        finding = evidence.says(check)
        return finding.seen if finding is not None and not _answered(evidence) else None

    return proof


def _silent(evidence: Evidence) -> bool:
    return evidence.again.verdict is ProbeVerdict.SILENT


def _answered(evidence: Evidence) -> bool:
    """Whether TCP answered at all: then everything on the way in let it pass."""
    return evidence.again.verdict in (
        ProbeVerdict.ACCEPTED,
        ProbeVerdict.REFUSED,
        ProbeVerdict.UNSUITABLE,
    )


def _own_source_answered(evidence: Evidence) -> bool:
    own = evidence.own
    return own is not None and own.verdict in (
        ProbeVerdict.ACCEPTED,
        ProbeVerdict.REFUSED,
        ProbeVerdict.UNSUITABLE,
    )


CAUSE_RULES = (
    CauseRule(
        "unsteady", "it answers when it is asked again", _unsteady, "ask again; see whether it drops packets"
    ),
    CauseRule(
        "control-host",
        "the packet could not be sent",
        _not_sent,
        "see to this host's routes and firewall",
    ),
    CauseRule(
        "control-host",
        "no realserver answers that outer source, this one answers the control host's own, and its firewall "
        "lets both in",
        _source_filtered,
        "probe from a host in the directors' network, or let this one send with the directors' source",
    ),
    CauseRule(
        "reachable",
        "it answers neither SSH nor any probe",
        _host_down,
        "see whether the host is up, and its link and its routes",
    ),
    CauseRule(
        "firewall",
        "the check `firewall`; ICMP «prohibited»; or one outer source is answered and another is not",
        _filtered,
        "let IP protocol 4 (41 for IPv6) in from every director",
    ),
    CauseRule(
        "tunnel-device",
        "the check `tunnel-device`; or ICMP «protocol» or «port unreachable» for the outer packet",
        _no_tunnel,
        "make the tunnel device: ip link add name ipip0 type ipip external && ip link set ipip0 up",
    ),
    CauseRule(
        "tunnel-address",
        "the check `tunnel-address`, while rp_filter is 2",
        _no_address,
        "ip addr add 127.0.0.42/32 dev ipip0",
    ),
    CauseRule(
        "rp-filter",
        "the check `rp-filter`; or TcpExtIPReversePathFilter grows while it is asked",
        _reverse_path,
        "give it a route back to every client, or sysctl -w net.ipv4.conf.ipip0.rp_filter=0 with all at 0",
    ),
    CauseRule("vip", "the check `vip`", _check("vip"), "ip addr add VIP/32 dev lo"),
    CauseRule(
        "listener",
        "a RST; or TcpExtListenDrops grows while it is asked",
        _not_listening,
        "start the service on this realserver",
    ),
    CauseRule(
        "clamper",
        "a SYN/ACK with too large an MSS, and the check `clamper`",
        _mss_too_large_by("clamper"),
        "systemctl restart tcp-mss-clamper",
    ),
    CauseRule(
        "pod-mtu",
        "a SYN/ACK with too large an MSS, and the check `pod-mtu`",
        _mss_too_large_by("pod-mtu"),
        "restart the pods once the CNI's MTU is right",
    ),
    CauseRule(
        "mss",
        "a SYN/ACK with too large an MSS",
        _mss_too_large,
        "clamp the MSS on this realserver, or lower its pods' MTU",
    ),
    CauseRule(
        "ecn",
        "a tunnel device's rx_frame_errors grow while it is asked",
        _congested,
        "find out who marks packets CE, or sets the outer TOS, on the way from the directors",
    ),
    CauseRule(
        "path",
        "an ICMP error; or nothing comes out of the tunnel device while it is asked",
        _never_arrives,
        "follow the packets: tcpdump -ni any 'ip proto 4 or ip6 proto 41' there and on the way",
    ),
    CauseRule(
        "way-back",
        "packets come out of the tunnel device, and no answer comes back",
        _not_answered,
        "follow the answer: tcpdump -ni any 'tcp[tcpflags] & tcp-syn != 0' there; look at its routes and at "
        "what filters its output",
    ),
)
