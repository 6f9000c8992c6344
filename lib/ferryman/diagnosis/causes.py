"""The rules for causes, in the order in which a packet meets what they are about.

This is the one place that says so; ``docs/diagnosis.md`` shows the same table. What proves each is in
``proofs.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from ferryman.diagnosis import proofs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ferryman.diagnosis.evidence import Evidence
    from ferryman.model import Finding, Verdict


class WithFindings(Protocol):
    """Evidence that has the findings of checks in it."""

    def says(self, check: str, *verdicts: Verdict) -> Finding | None:
        """What this check has against the realserver, if anything."""


S = TypeVar("S", bound=WithFindings)


@dataclass(frozen=True, slots=True)
class CauseRule(Generic[S]):
    """One cause that a failed probe or exchange may have, and how it is proven."""

    cause: str
    """The id of the check that has the rule; ``docs/diagnosis.md`` says which causes have none."""
    proven_by: str
    """What proves it, in words, for the documentation."""
    proof: Callable[[S], proofs.Proof | None]
    remedy: str
    """What to do, where no check has a better remedy."""


@dataclass(frozen=True, slots=True)
class Cause:
    """A cause that was proven, with what proves it and what to do."""

    cause: str
    seen: str
    remedy: str
    others: tuple[str, ...] = ()
    """What the same signs leave beside it, from the likeliest on."""

    def __str__(self) -> str:
        *first, last = self.cause, *self.others
        named = f"{', '.join(first)} or {last}" if first else last
        return f"cause: {named}: {self.seen}"


def cause_of(evidence: Evidence) -> Cause | None:
    """The first cause that the evidence proves, with those that it leaves beside it; None: it proves none."""
    return first_proven(CAUSE_RULES, evidence)


def first_proven(rules: Iterable[CauseRule[S]], evidence: S) -> Cause | None:
    """As ``cause_of``, for evidence of any kind and its rules."""
    for rule in rules:
        if (proof := rule.proof(evidence)) is not None:
            finding = evidence.says(rule.cause, *proofs.AGAINST)
            remedy = finding.remedy if finding is not None and finding.remedy else rule.remedy
            return Cause(rule.cause, proof.seen, proof.remedy or remedy, proof.others)
    return None


CAUSE_RULES: tuple[CauseRule[Evidence], ...] = (
    CauseRule(
        "unsteady",
        "it answers when it is asked again",
        proofs.unsteady,
        "ask again; see whether it drops packets",
    ),
    CauseRule(
        "control-host",
        "the packet could not be sent",
        proofs.not_sent,
        "see to this host's routes and firewall",
    ),
    CauseRule(
        "before-netfilter",
        "a filter of tc(8) drops while it is asked",
        proofs.early_drop,
        "see what put it there, and what it does: tc -s filter show dev DEVICE ingress",
    ),
    CauseRule(
        "rp-filter",
        "the check `rp-filter-outer`, or TcpExtIPReversePathFilter grows, and nothing comes out of the "
        "tunnel device: the NIC drops the outer source",
        proofs.outer_reverse_path,
        "a route to the director by the NIC, or sysctl -w net.ipv4.conf.eth0.rp_filter=0 with all at 0",
    ),
    CauseRule(
        "control-host",
        "no realserver answers that outer source, this one answers the control host's own, and its firewall "
        "lets both in",
        proofs.source_filtered,
        "probe from a host in the directors' network, or let this one send with the directors' source",
    ),
    CauseRule(
        "reachable",
        "it answers neither SSH nor any probe",
        proofs.host_down,
        "see whether the host is up, and its link and its routes",
    ),
    CauseRule(
        "firewall",
        "the check `firewall`; ICMP «prohibited»; connection tracking drops; or one outer source is answered "
        "and another is not, and the rules are not known to let both in",
        proofs.filtered,
        "let IP protocol 4 (41 for IPv6) in from every director",
    ),
    CauseRule(
        "tunnel-device",
        "the check `tunnel-device`; ICMP «protocol» or «port unreachable» for the outer packet; or "
        "IpInUnknownProtos grows",
        proofs.no_tunnel,
        "make the tunnel device: ip link add name ipip0 type ipip external && ip link set ipip0 up",
    ),
    CauseRule(
        "tunnel-address",
        "the check `tunnel-address`, while rp_filter is 2",
        proofs.no_address,
        "ip addr add 127.0.0.42/32 dev ipip0",
    ),
    CauseRule(
        "rp-filter",
        "the check `rp-filter`; or TcpExtIPReversePathFilter grows, and packets come out of the tunnel",
        proofs.reverse_path,
        "give it a route back to every client, or sysctl -w net.ipv4.conf.ipip0.rp_filter=0 with all at 0",
    ),
    CauseRule("vip", "the check `vip`", proofs.no_vip, "ip addr add VIP/32 dev lo"),
    CauseRule(
        "vrf",
        "the check `vrf`, and a RST or silence",
        proofs.in_another_vrf,
        "ip link set dev ipip0 nomaster",
    ),
    CauseRule(
        "way-back",
        "no route from the VIP to the control host; or TcpExtListenDrops grows, as IpOutNoRoutes does",
        proofs.not_routed_back,
        "a route in the table that a rule names: ip rule; ip route get CLIENT from VIP",
    ),
    CauseRule(
        "listener",
        "a RST; or TcpExtListenDrops grows, and ListenOverflows does, or there is a route",
        proofs.not_listening,
        "start the service on this realserver",
    ),
    CauseRule(
        "clamper",
        "a SYN/ACK with too large an MSS, and the check `clamper`",
        proofs.mss_too_large_by("clamper"),
        "systemctl restart tcp-mss-clamper",
    ),
    CauseRule(
        "pod-mtu",
        "a SYN/ACK with too large an MSS, and the check `pod-mtu`",
        proofs.mss_too_large_by("pod-mtu"),
        "restart the pods once the CNI's MTU is right",
    ),
    CauseRule(
        "mss",
        "a SYN/ACK with too large an MSS",
        proofs.mss_too_large,
        "clamp the MSS on this realserver, or lower its pods' MTU",
    ),
    CauseRule(
        "ecn",
        "a tunnel device's rx_frame_errors grow while it is asked",
        proofs.congested,
        "find out who marks packets CE, or sets the outer TOS, on the way from the directors",
    ),
    CauseRule(
        "firewall",
        "nothing comes out of the tunnel device, and IpInDiscards or the like, or a counter of IPsec's "
        "policies, grows by as many packets",
        proofs.discarded,
        "see what drops there: nstat -az; ip xfrm policy",
    ),
    CauseRule(
        "before-netfilter",
        "nothing comes out of the tunnel device, and a BPF program is before it; `path` is left too",
        proofs.early_or_later,
        "see it: ip -d link show; tc -s filter show dev DEVICE ingress",
    ),
    CauseRule(
        "firewall",
        "nothing comes out of the tunnel device, and the rules do not tell whether they let it in; `path` is "
        "left too",
        proofs.perhaps_filtered,
        "let IP protocol 4 (41 for IPv6) in from every director",
    ),
    CauseRule(
        "tunnel-device",
        "nothing comes out of the tunnel device, and the check `tunnel-device` warns; `path` is left too",
        proofs.perhaps_another_tunnel,
        "make it external: see the check",
    ),
    CauseRule(
        "path",
        "an ICMP error; or nothing comes out of the tunnel device while it is asked",
        proofs.never_arrives,
        "follow the packets: tcpdump -ni any 'ip proto 4 or ip6 proto 41' there and on the way",
    ),
    CauseRule(
        "way-back",
        "packets come out of the tunnel device, and no answer comes back",
        proofs.not_answered,
        "follow the answer: tcpdump -ni any 'tcp[tcpflags] & tcp-syn != 0' there; look at its routes and at "
        "what filters its output",
    ),
)
