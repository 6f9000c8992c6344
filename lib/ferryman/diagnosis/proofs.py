"""What proves each cause. A sign that several causes leave names all that the rest of the evidence allows.

What a packet met is told by what grew while it was asked: nothing that lies behind a place that no packet
came out of is a cause, and nothing in the network is, when the host itself counted the packet as dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ferryman.model import IcmpReason, ProbeVerdict, Verdict
from ferryman.realservers.facts import (
    DISCARDED,
    LISTEN_DROPS,
    MARTIANS,
    NO_POLICY,
    NO_PROTOCOL,
    NO_ROUTE_OUT,
    QUEUE_FULL,
    REVERSE_PATH_DROPS,
    UNTRACKED,
    received_on,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ferryman.diagnosis.evidence import Evidence
    from ferryman.realservers.checks.before_netfilter import Early


@dataclass(frozen=True, slots=True)
class Proof:
    """What speaks for a cause."""

    seen: str
    remedy: str = ""
    """A better remedy than the check's or the cause's own."""
    others: tuple[str, ...] = ()
    """The causes that the same signs leave, from the likeliest on."""


Predicate = Callable[["Evidence"], Proof | None]
"""Returns what proves the cause; None when nothing does."""

AGAINST = (Verdict.FAIL, Verdict.WARN)
RESETS = "reset"
"""In a rule that rejects with a RST, which looks as if nobody listened."""
FRAME_ERRORS = ".rx_frame_errors"


def unsteady(evidence: Evidence) -> Proof | None:
    """It answers now."""
    if evidence.again.verdict is not ProbeVerdict.ACCEPTED:
        return None
    return Proof("it answered when it was asked again")


def not_sent(evidence: Evidence) -> Proof | None:
    """A packet that never left this host has no outer source in its result."""
    return Proof(evidence.failed.detail) if evidence.failed.outer_source is None else None


def outer_reverse_path(evidence: Evidence) -> Proof | None:
    """The NIC's own filter: it counts, and nothing comes out of the tunnel.

    Where the check knows that it lets this source in, what was counted were other packets.
    """
    if not _silent(evidence) or _arrived(evidence):
        return None
    drops, martians = evidence.grew.get(REVERSE_PATH_DROPS, 0), evidence.grew.get(MARTIANS, 0)
    counted = f"{REVERSE_PATH_DROPS} grew by {drops} while it was asked" if drops else ""
    finding = evidence.says("rp-filter-outer", *AGAINST)
    if finding is not None and (drops or martians or not evidence.grew):
        return Proof("; ".join(filter(None, (finding.seen, counted))), finding.remedy)
    if finding is not None or not drops or evidence.says("rp-filter-outer", Verdict.PASS) is not None:
        return None
    if evidence.nic_filter == 0:
        return None
    nic, source = evidence.nic or "the NIC", evidence.failed.outer_source
    seen = f"{counted}, and nothing came out of its tunnel device: {nic} drops the outer source {source}"
    return Proof(
        seen, f"a route to {source} by {nic}, or sysctl -w net.ipv4.conf.{nic}.rp_filter=0 with all at 0"
    )


def early_drop(evidence: Evidence) -> Proof | None:
    """A filter of tc that dropped while it was asked; or one that drops it, where nothing was counted."""
    if not _silent(evidence):
        return None
    arrived = _arrived(evidence)
    for early in evidence.early:
        if arrived and early.way == "ingress" and early.device == evidence.nic:
            continue
        dropped = evidence.grew.get(early.counter, 0) if early.counter is not None else 0
        if dropped:
            return Proof(f"{early.what} dropped {dropped} packets while it was asked", _look(early))
        if early.is_sure and not evidence.grew:
            return Proof(f"{early.what} drops it", _look(early))
    return None


def source_filtered(evidence: Evidence) -> Proof | None:
    """Nobody answers this outer source, though the host answers ours and its rules let the source in."""
    if not _silent(evidence) or evidence.others_answer or not _own_source_answered(evidence):
        return None
    if evidence.says("firewall", *AGAINST, Verdict.UNKNOWN) is not None or _arrived(evidence):
        return None
    seen = (
        f"no realserver answers the outer source {evidence.failed.outer_source}, and this one answers this "
        "host's own: the network drops packets whose source is not this host's (uRPF, an anti-spoofing rule)"
    )
    return _with_early(evidence, seen)


def host_down(evidence: Evidence) -> Proof | None:
    """Nothing of it is to be heard."""
    if evidence.reached or not _silent(evidence) or _own_source_answered(evidence):
        return None
    return Proof("it answers neither SSH nor any probe: it is down, or cut off")


def no_tunnel(evidence: Evidence) -> Proof | None:
    """The check knows, an ICMP error says it, or the kernel counted a protocol that nothing takes."""
    if (proof := by_check("tunnel-device")(evidence)) is not None:
        return proof
    for result in (evidence.again, evidence.own):
        if result is None or IcmpReason.PROHIBITED in result.icmp_reasons:
            continue
        if IcmpReason.NO_TUNNEL_DEVICE in result.icmp_reasons:
            return Proof(result.detail)
    if _silent(evidence) and not _arrived(evidence) and (counted := _grown(evidence, NO_PROTOCOL)):
        return Proof(f"{counted} while it was asked: nothing there takes encapsulated packets")
    return None


def filtered(evidence: Evidence) -> Proof | None:
    """The checks know, or an ICMP error says it, or one outer source is answered where another is not.

    The last leaves others: it is no proof against rules that are known to let both in.
    """
    finding = evidence.says("firewall")
    if finding is not None and (not _answered(evidence) or RESETS in finding.seen):
        return Proof(finding.seen)
    if IcmpReason.PROHIBITED in evidence.again.icmp_reasons and evidence.says("vip") is None:
        return Proof(evidence.again.detail)
    if _silent(evidence) and (counted := _grown(evidence, (UNTRACKED,))):
        seen = f"{counted} while it was asked: the table of connection tracking is full"
        return Proof(
            seen, "a larger table: sysctl net.netfilter.nf_conntrack_max; see what fills it: conntrack -C"
        )
    if not _silent(evidence) or not _own_source_answered(evidence) or _rules_let_in(evidence):
        return None
    if _arrived(evidence):
        return None
    return _with_early(evidence, _own_and_not(evidence), "path" if evidence.others_answer else "control-host")


def reverse_path(evidence: Evidence) -> Proof | None:
    """The tunnel device's filter: it counts what it drops, and what it does not count has passed it."""
    if not _silent(evidence):
        return None
    drops = evidence.grew.get(REVERSE_PATH_DROPS, 0)
    if evidence.grew and not (drops and _arrived(evidence)):
        return None
    counted = f"{REVERSE_PATH_DROPS} grew by {drops} while it was asked" if drops else ""
    finding = evidence.says("rp-filter")
    if finding is None and drops and evidence.tunnel_filter != 0:
        return Proof(f"{counted}: the kernel has no route back to the inner source through the tunnel device")
    return Proof("; ".join(filter(None, (finding.seen, counted)))) if finding is not None else None


def no_address(evidence: Evidence) -> Proof | None:
    """Loose mode wants an address, and counts what it drops like the strict one."""
    finding = evidence.says("tunnel-address")
    if finding is None or not _silent(evidence):
        return None
    if evidence.grew and not evidence.grew.get(REVERSE_PATH_DROPS):
        return None
    return Proof(finding.seen)


def congested(evidence: Evidence) -> Proof | None:
    """RFC 6040, 4.2: an inner packet that knows no ECN, in an outer one that met congestion, is dropped."""
    grown = [f"{name} grew by {by}" for name, by in evidence.grew.items() if name.endswith(FRAME_ERRORS)]
    if not grown or not _silent(evidence):
        return None
    return Proof(f"{', '.join(grown)} while it was asked: outer packets arrive marked CE")


def no_vip(evidence: Evidence) -> Proof | None:
    """The check knows, and packets came as far as that."""
    if _silent(evidence) and evidence.grew and not _arrived(evidence):
        return None
    return by_check("vip")(evidence)


def in_another_vrf(evidence: Evidence) -> Proof | None:
    """The check knows, and it is a RST, or nothing at all after packets came out of the tunnel device."""
    finding = evidence.says("vrf")
    refused = evidence.again.verdict is ProbeVerdict.REFUSED
    if finding is None or not (refused or (_silent(evidence) and _arrived(evidence))):
        return None
    return Proof(finding.seen)


def not_routed_back(evidence: Evidence) -> Proof | None:
    """The kernel drops a SYN that it cannot answer, and counts it as the listener's."""
    if not _silent(evidence) or (evidence.grew and not _arrived(evidence)):
        return None
    counted = _grown(evidence, NO_ROUTE_OUT)
    dropped = evidence.grew.get(LISTEN_DROPS, 0)
    if evidence.no_way_back is not None and (counted or dropped or not evidence.grew):
        return Proof(evidence.no_way_back, evidence.way_back_remedy)
    if not dropped or _grown(evidence, QUEUE_FULL):
        return None
    if counted:
        return Proof(
            f"{counted}, as {LISTEN_DROPS} did: there is no route for the answer", evidence.way_back_remedy
        )
    if evidence.counts_missing_routes or evidence.route_known:
        return None
    seen = f"{LISTEN_DROPS} grew by {dropped} while it was asked, and no queue was full: it could not answer"
    return Proof(seen, evidence.way_back_remedy, ("listener",))


def not_listening(evidence: Evidence) -> Proof | None:
    """A RST, or a SYN that the listening socket dropped."""
    if evidence.again.verdict is ProbeVerdict.REFUSED:
        finding = evidence.says("listener")
        return Proof(finding.seen if finding is not None else f"{evidence.again.detail}; decapsulation works")
    dropped = evidence.grew.get(LISTEN_DROPS, 0)
    if not _silent(evidence) or not dropped:
        return None
    if full := _grown(evidence, QUEUE_FULL):
        return Proof(f"its backlog is full: {full} while it was asked")
    seen = (
        f"{LISTEN_DROPS} grew by {dropped} while it was asked, though no queue was full and there is a route"
    )
    return Proof(seen, "see what drops SYNs at the socket: memory, a security module, dmesg")


def mss_too_large_by(check: str) -> Predicate:
    """A SYN/ACK whose MSS is too large, and a check that knows why."""

    def proof(evidence: Evidence) -> Proof | None:
        if ProbeVerdict.UNSUITABLE not in (evidence.failed.verdict, evidence.again.verdict):
            return None
        finding = evidence.says(check, *AGAINST)
        return Proof(finding.seen) if finding is not None else None

    return proof


def mss_too_large(evidence: Evidence) -> Proof | None:
    """A SYN/ACK whose MSS is too large."""
    return Proof(evidence.failed.detail) if evidence.failed.verdict is ProbeVerdict.UNSUITABLE else None


def early_or_later(evidence: Evidence) -> Proof | None:
    """Nothing came out of the tunnel device, and a program is in the way that nobody can read."""
    if not _silent(evidence) or _arrived(evidence) or not evidence.grew:
        return None
    way_in = [early for early in evidence.early if early.way == "ingress"]
    if not way_in:
        return None
    unclear = evidence.says("firewall", Verdict.WARN, Verdict.UNKNOWN) is not None
    others = ("firewall",) if unclear else ()
    seen = f"{_NOTHING_CAME}, and {way_in[0].what}, which may have dropped it"
    return Proof(seen, _look(way_in[0]), (*others, "path"))


def discarded(evidence: Evidence) -> Proof | None:
    """Nothing came out of the tunnel device, and as many packets at least were dropped as were asked with."""
    if not _silent(evidence) or _arrived(evidence):
        return None
    names = [
        name
        for name in (*DISCARDED, *NO_POLICY)
        if evidence.grew.get(name, 0) >= max(1, evidence.again.asked)
    ]
    if not names:
        return None
    seen = f"{_NOTHING_CAME}, and its own kernel dropped what came in: {_grown(evidence, names)}"
    return Proof(
        seen, "see what drops there: nstat -az; ip xfrm policy; ip route get VIP from CLIENT iif NIC"
    )


def perhaps_filtered(evidence: Evidence) -> Proof | None:
    """Nothing came out of the tunnel device, and its rules do not tell whether they let it in."""
    finding = evidence.says("firewall", Verdict.WARN, Verdict.UNKNOWN)
    if finding is None or not _silent(evidence) or not evidence.grew or _arrived(evidence):
        return None
    return Proof(f"{_NOTHING_CAME}; {finding.seen}", "", ("path",))


def perhaps_another_tunnel(evidence: Evidence) -> Proof | None:
    """Nothing came out of the tunnel device, and that takes some packets, or is not ours."""
    finding = evidence.says("tunnel-device", Verdict.WARN)
    if finding is None or not _silent(evidence) or not evidence.grew or _arrived(evidence):
        return None
    return Proof(f"{_NOTHING_CAME}; {finding.seen}", "", ("path",))


def never_arrives(evidence: Evidence) -> Proof | None:
    """An ICMP error, or nothing that the host itself would have kept out."""
    if evidence.again.verdict is ProbeVerdict.UNREACHABLE:
        return Proof(evidence.again.detail)
    if not _silent(evidence) or not evidence.grew or _arrived(evidence):
        return None
    if _own_source_answered(evidence):
        return Proof(
            f"{_own_and_not(evidence)}, though its own rules let both in: something on the way looks at it"
        )
    return Proof(f"{_NOTHING_CAME}, and its own rules would let it in")


def not_answered(evidence: Evidence) -> Proof | None:
    """Something on the way out: of what the host's own tools show, and of what they do not."""
    if not _silent(evidence) or not (packets := _arrived(evidence)):
        return None
    left = [
        "before-netfilter"
        for early in evidence.early
        if early.way == "egress" or early.device != evidence.nic
    ]
    if evidence.says("firewall", Verdict.WARN, Verdict.UNKNOWN) is not None:
        left.append("firewall")
    seen = f"its tunnel device took {packets} packets while it was asked, and no answer came back"
    return Proof(seen, "", tuple(dict.fromkeys(left)))


def by_check(check: str) -> Predicate:
    """The check itself fails, and the probe brought no answer from behind it."""

    def proof(evidence: Evidence) -> Proof | None:
        finding = evidence.says(check)
        return Proof(finding.seen) if finding is not None and not _answered(evidence) else None

    return proof


_NOTHING_CAME = "nothing came out of its tunnel device while it was asked"


def _own_and_not(evidence: Evidence) -> str:
    own = evidence.own.outer_source if evidence.own is not None else None
    return f"it answers {own}, this host's own, and not {evidence.failed.outer_source}"


def _with_early(evidence: Evidence, seen: str, *others: str) -> Proof:
    """With what else can tell one source from another: a program at the NIC."""
    way_in = [early for early in evidence.early if early.way == "ingress"]
    if not way_in:
        return Proof(seen, "", others)
    return Proof(f"{seen}; {way_in[0].what} may do that too", "", ("before-netfilter", *others))


def _look(early: Early) -> str:
    return f"see what put it there, and what it does: {early.look}"


def _grown(evidence: Evidence, names: Iterable[str]) -> str:
    """Which of these counters grew, in words; empty when none did."""
    return " and ".join(f"{name} grew by {evidence.grew[name]}" for name in names if evidence.grew.get(name))


def _rules_let_in(evidence: Evidence) -> bool:
    """Whether the rules were read, and every one is known to let the packets in."""
    against = evidence.says("firewall", *AGAINST, Verdict.UNKNOWN, Verdict.SKIP)
    return against is None and evidence.says("firewall", Verdict.PASS) is not None


def _arrived(evidence: Evidence) -> int:
    """How many packets of the question came out of the tunnel device.

    None where this host's own outer source is answered: that came out, and the inner packet is the same.
    """
    return 0 if _own_source_answered(evidence) else received_on(evidence.grew)


def _silent(evidence: Evidence) -> bool:
    return evidence.again.verdict is ProbeVerdict.SILENT


def _answered(evidence: Evidence) -> bool:
    """Whether TCP answered at all: then everything on the way in let it pass."""
    return evidence.again.verdict in _BY_TCP


def _own_source_answered(evidence: Evidence) -> bool:
    return evidence.own is not None and evidence.own.verdict in _BY_TCP


_BY_TCP = (ProbeVerdict.ACCEPTED, ProbeVerdict.REFUSED, ProbeVerdict.UNSUITABLE)
