"""What an answer means: judgements over dissected packets and the SYNs that are out; no side effects."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, NamedTuple

from ferryman.encapsulation import DEFAULT_MSS
from ferryman.model import Address, IcmpReason, ProbeVerdict, host_port

if TYPE_CHECKING:
    from collections.abc import Iterable

SEQUENCE_SPACE = 2**32

ACCEPTED, UNSUITABLE, REFUSED, UNREACHABLE, SILENT = (
    ProbeVerdict.ACCEPTED,
    ProbeVerdict.UNSUITABLE,
    ProbeVerdict.REFUSED,
    ProbeVerdict.UNREACHABLE,
    ProbeVerdict.SILENT,
)
"""By names of their own: a look-up in an enum takes twenty times as long, some times for each answer."""

ICMP_TEXTS = {
    (4, 3, 0): "network unreachable",
    (4, 3, 1): "host unreachable",
    (4, 3, 2): "protocol unreachable",
    (4, 3, 3): "port unreachable",
    (4, 3, 4): "fragmentation needed",
    (4, 3, 9): "network administratively prohibited",
    (4, 3, 10): "host administratively prohibited",
    (4, 3, 13): "administratively prohibited",
    (4, 11, 0): "time to live exceeded: a routing loop",
    (6, 1, 0): "no route to destination",
    (6, 1, 1): "administratively prohibited",
    (6, 1, 3): "address unreachable",
    (6, 1, 4): "port unreachable",
    (6, 2, 0): "packet too big",
    (6, 3, 0): "hop limit exceeded: a routing loop",
    (6, 4, 1): "unrecognised next header",
}
"""(IP version, type, code) in words (IANA's ICMP and ICMPv6 parameters); only for people to read."""

ICMP_REASONS = {
    (4, 3, 0): IcmpReason.NOT_FORWARDED,
    (4, 3, 1): IcmpReason.NOT_FORWARDED,
    (4, 3, 2): IcmpReason.NO_TUNNEL_DEVICE,
    (4, 3, 3): IcmpReason.NO_TUNNEL_DEVICE,
    (4, 3, 4): IcmpReason.TOO_BIG,
    (4, 3, 9): IcmpReason.PROHIBITED,
    (4, 3, 10): IcmpReason.PROHIBITED,
    (4, 3, 13): IcmpReason.PROHIBITED,
    (4, 11, 0): IcmpReason.NOT_FORWARDED,
    (6, 1, 0): IcmpReason.NOT_FORWARDED,
    (6, 1, 1): IcmpReason.PROHIBITED,
    (6, 1, 3): IcmpReason.NOT_FORWARDED,
    (6, 1, 4): IcmpReason.NO_TUNNEL_DEVICE,
    (6, 2, 0): IcmpReason.TOO_BIG,
    (6, 3, 0): IcmpReason.NOT_FORWARDED,
    (6, 4, 1): IcmpReason.NO_TUNNEL_DEVICE,
}
"""(IP version, type, code) as a reason, for an error that quotes the outer packet.

A host without a tunnel device says protocol unreachable without the tunnel's kernel module, and port
unreachable with it (net/ipv4/tunnel4.c and net/ipv6/tunnel6.c). Of an inner packet only a firewall says so,
for a closed TCP port answers with a RST.
"""

ICMP_CAUSES = {
    IcmpReason.NO_TUNNEL_DEVICE: "no tunnel device takes it",
    IcmpReason.PROHIBITED: "a firewall rejects it",
}
"""What is added to the words of an error, by its reason."""


@dataclass(frozen=True, slots=True)
class Flow:
    """The four numbers of the inner connection, as the probing host sees them."""

    source: Address
    source_port: int
    vip: Address
    port: int
    reply: bytes = field(init=False, repr=False, compare=False)
    """Addresses and ports as an answer has them on the wire, one behind the other."""

    def __post_init__(self) -> None:
        ports = self.port.to_bytes(2, "big") + self.source_port.to_bytes(2, "big")
        object.__setattr__(self, "reply", self.vip.packed + self.source.packed + ports)


@dataclass(eq=False, slots=True)
class Syn:
    """The SYN of one flow of one target: what its answer is judged by, and how far it has got."""

    target: int
    """The index of the target that it asks, among the probe's targets."""
    flow: Flow
    isn: int
    """Initial sequence number; no two SYNs of a probe share one, so an acknowledgement names its SYN."""
    realserver: Address
    outer_source: Address
    mss_limit: int
    sent: int = 0
    """How many times it was sent."""
    sent_ns: int = 0
    """When it was sent last, in nanoseconds since the epoch."""
    first_sent_ns: int = 0
    """When it was sent for the first time."""
    answered: ProbeVerdict | None = None
    half_open: bool = False
    """Whether a realserver may hold a connection for it."""

    @property
    def acknowledgement(self) -> int:
        """The number that a true answer acknowledges."""
        return self.isn + 1 & SEQUENCE_SPACE - 1


@dataclass(frozen=True, slots=True)
class TcpAnswer:
    """A TCP segment that arrived; the flow is the one that it answers, so its own the other way round."""

    flow: Flow
    flags: frozenset[str]
    """Of ``SYN``, ``ACK``, ``RST`` and ``FIN``, those that are set."""
    acknowledgement: int
    mss: int | None
    """The MSS option in bytes; None without one."""


@dataclass(frozen=True, slots=True)
class IcmpError:
    """An ICMP error that arrived, with what could be read of the packet that it quotes."""

    reporter: Address
    kind: int
    code: int
    outer: tuple[Address, Address] | None
    """Source and destination of the outer packet; None when the inner one alone is quoted."""
    flow: Flow | None
    sequence: int | None
    mtu: int | None = None
    """Of an error that says that a packet is too big, what fits, in bytes; 0 from old routers."""

    @property
    def number(self) -> tuple[int, int, int]:
        """IP version, type and code, as ``ICMP_REASONS`` and ``ICMP_TEXTS`` have them."""
        return self.reporter.version, self.kind, self.code

    @property
    def reason(self) -> IcmpReason:
        """What it says about the SYN; consumers judge by this, never by the words."""
        reason = ICMP_REASONS.get(self.number, IcmpReason.OTHER)
        if reason is IcmpReason.NO_TUNNEL_DEVICE and self.outer is None:
            return IcmpReason.PROHIBITED
        return reason

    def __str__(self) -> str:
        words = ", ".join(filter(None, (ICMP_TEXTS.get(self.number), ICMP_CAUSES.get(self.reason))))
        name = "ICMP" if isinstance(self.reporter, IPv4Address) else "ICMPv6"
        return f"{name} {self.kind}/{self.code} from {self.reporter}" + (f" ({words})" if words else "")


Answer = TcpAnswer | IcmpError


class Judgement(NamedTuple):
    """What an answer says about one SYN; without a verdict it does not count, and is only reported."""

    syn: Syn
    verdict: ProbeVerdict | None
    mss: int | None = None
    detail: str = ""
    icmp_reason: IcmpReason | None = None


_make = tuple.__new__


class SynIndex:
    """The SYNs of one probe, found by what answers to them say; a late answer still finds its own."""

    def __init__(self, syns: Iterable[Syn]) -> None:
        self._by_acknowledgement = {syn.acknowledgement: syn for syn in syns}

    def acknowledged_by(self, number: int) -> Syn | None:
        """The SYN that this acknowledgement number acknowledges."""
        return self._by_acknowledgement.get(number)

    def in_flow(self, flow: Flow) -> list[Syn]:
        """The SYNs that share these four numbers: one for each realserver of a virtual service."""
        return self._by_reply.get(flow.reply, [])

    def inside(self, outer_source: Address, realserver: Address) -> list[Syn]:
        """The SYNs that are sent in such an outer packet."""
        return self._by_outer.get((outer_source, realserver), [])

    # Only odd answers need what follows, so it is made when the first one comes.

    @cached_property
    def _by_reply(self) -> dict[bytes, list[Syn]]:
        found: dict[bytes, list[Syn]] = {}
        for syn in self._by_acknowledgement.values():
            found.setdefault(syn.flow.reply, []).append(syn)
        return found

    @cached_property
    def _by_outer(self) -> dict[tuple[Address, Address], list[Syn]]:
        found: dict[tuple[Address, Address], list[Syn]] = {}
        for syn in self._by_acknowledgement.values():
            found.setdefault((syn.outer_source, syn.realserver), []).append(syn)
        return found


def classify(answer: Answer, index: SynIndex) -> list[Judgement]:
    """Judge one answer: nothing when it has to do with no SYN of ours, several when it concerns several."""
    if isinstance(answer, IcmpError):
        return _unreachable(answer, index)
    syn = index.acknowledged_by(answer.acknowledgement) if "ACK" in answer.flags else None
    if syn is None:
        return _unmatched(answer, index.in_flow(answer.flow))
    if syn.flow != answer.flow:
        return [Judgement(syn, None, detail=_wrong_source(answer, syn))]
    if "RST" in answer.flags:
        return [refused(syn)]
    if answer.flags == {"SYN", "ACK"}:
        return [answered(answer.mss, syn)]
    return _unmatched(answer, [syn])


def refused(syn: Syn) -> Judgement:
    """The judgement over a RST that acknowledges the SYN: nothing listens."""
    return Judgement(syn, REFUSED, detail=f"RST: nothing listens on port {syn.flow.port}")


def answered(mss: int | None, syn: Syn) -> Judgement:
    """The judgement over a SYN/ACK that acknowledges the SYN: by its MSS, accepted or unsuitable."""
    if mss is not None and mss <= syn.mss_limit:
        # What Judgement() returns, in an eighth of its time: nearly all answers come this way.
        return _make(Judgement, (syn, ACCEPTED, mss, "", None))
    effective = DEFAULT_MSS[syn.flow.vip.version] if mss is None else mss
    seen = f"MSS {mss}" if mss is not None else f"no MSS option, which means {effective}"
    if effective > syn.mss_limit:
        detail = f"{seen}, but at most {syn.mss_limit} fits the tunnel: full-size packets would be lost"
        return Judgement(syn, UNSUITABLE, mss, detail)
    return Judgement(syn, ACCEPTED, mss, seen)


def _unmatched(answer: TcpAnswer, syns: list[Syn]) -> list[Judgement]:
    flags = "/".join(name for name in ("SYN", "RST", "FIN", "ACK") if name in answer.flags) or "segment"
    number = str(answer.acknowledgement) if "ACK" in answer.flags else "nothing"
    what = f"{flags} from {_peer(answer)} that acknowledges {number}"
    detail = f"not counted: {what}, for no SYN of this probe calls for it"
    return [Judgement(syn, None, detail=detail) for syn in syns]


def _wrong_source(answer: TcpAnswer, syn: Syn) -> str:
    wanted = host_port(syn.flow.vip, syn.flow.port)
    return f"not counted: an answer to this SYN from {_peer(answer)}, expected from {wanted}"


def _peer(answer: TcpAnswer) -> str:
    return host_port(answer.flow.vip, answer.flow.port)


def _unreachable(error: IcmpError, index: SynIndex) -> list[Judgement]:
    """Match an ICMP error by the SYN that it quotes: its sequence number is what nobody else knows.

    One whose quote ends before that number is only reported: the addresses alone anybody can guess. A host
    without a tunnel device for one SYN has none for the others to it. It says so of a few alone, for it
    limits the rate of its errors.
    """
    if error.flow is None or error.sequence is None:
        syns = index.inside(*error.outer) if error.outer is not None else []
        detail = f"not counted: {error}, which quotes too little to show that it is about this SYN"
        return [Judgement(syn, None, detail=detail) for syn in syns]
    syn = index.acknowledged_by((error.sequence + 1) % SEQUENCE_SPACE)
    syns = [syn] if syn is not None and syn.flow == error.flow else []
    if syns and error.outer is not None and error.reason is IcmpReason.NO_TUNNEL_DEVICE:
        syns = index.inside(*error.outer)
    return [Judgement(syn, UNREACHABLE, detail=str(error), icmp_reason=error.reason) for syn in syns]
