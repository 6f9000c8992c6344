"""The domain as values: services, realservers, directors, findings, verdicts.

Everything here is immutable and imports nothing of the package but ``encapsulation.py``. What a word
means is in ``docs/glossary.md``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Literal

from ferryman.encapsulation import ETHERNET_MTU

if TYPE_CHECKING:
    from collections.abc import Mapping

Address = IPv4Address | IPv6Address
Protocol = Literal["tcp", "udp"]


def host_port(address: Address, port: int) -> str:
    """Address and port as ipvsadm and URLs write them.

    >>> host_port(IPv6Address("fd99::1"), 80)
    '[fd99::1]:80'
    """
    return f"[{address}]:{port}" if isinstance(address, IPv6Address) else f"{address}:{port}"


class Forwarding(Enum):
    """How a director forwards a packet to a destination; the value is ipvsadm's option."""

    DIRECT = "-g"
    TUNNEL = "-i"
    MASQUERADE = "-m"

    @property
    def word(self) -> str:
        """The word that ``ipvsadm -Ln`` prints for it."""
        return {"-g": "Route", "-i": "Tunnel", "-m": "Masq"}[self.value]


class Kind(Enum):
    """What a realserver is; it decides where the VIP and the MSS limit come from."""

    SERVER = "server"
    KUBERNETES = "kubernetes"


class MssStrategy(Enum):
    """What keeps a realserver's full-size packets small enough for the tunnel."""

    CLAMP = "clamp"
    """The host lowers the MSS of the SYN/ACKs that leave it."""
    POD_MTU = "pod_mtu"
    """The pods' own MTU leaves room for the outer header."""
    JUMBO = "jumbo"
    """Nothing: the path from director to realserver takes packets larger than 1500 bytes."""


class Role(Enum):
    """Whether a director carries the traffic now, or waits to."""

    PRIMARY = "primary"
    SECONDARY = "secondary"


@dataclass(frozen=True, slots=True)
class VirtualService:
    """(protocol, VIP, port): what a director forwards. A dual-stack service has two."""

    service: str
    label: str
    """The catalog's label of the address, ``default`` for most."""
    protocol: Protocol
    vip: Address
    port: int
    scheduler: str = field(metadata={"observed": True})
    """As the catalog says now: when it changes, the plan is still the same."""
    scheduler_flags: tuple[str, ...] = field(default=(), metadata={"observed": True})

    def __str__(self) -> str:
        return f"{self.protocol} {host_port(self.vip, self.port)}"


@dataclass(frozen=True, slots=True)
class Realserver:
    """A host that receives the encapsulated traffic."""

    host: str
    kind: Kind
    address: IPv4Address | None
    address6: IPv6Address | None
    cluster: str | None = None
    """The Kubernetes cluster it belongs to, a key of clusters.yaml."""
    mss: MssStrategy = MssStrategy.CLAMP
    path_mtu: int = ETHERNET_MTU
    """The largest outer packet in bytes that gets from every director to it."""

    def address_for(self, vip: Address) -> Address | None:
        """The address that a director sends packets for this VIP to, None when it has none of that family."""
        return self.address if isinstance(vip, IPv4Address) else self.address6


@dataclass(frozen=True, slots=True)
class Director:
    """A load balancer: a host that distributes a service's packets to its realservers."""

    host: str
    role: Role
    driver: str
    options: Mapping[str, object] = field(default_factory=dict)
    """The driver's own keys of directors.yaml."""
    address: IPv4Address | None = field(default=None, metadata={"observed": True})
    address6: IPv6Address | None = field(default=None, metadata={"observed": True})
    """They may come from DNS, which answers as it likes from one process to the next."""
    outer_sources: tuple[Address, ...] = ()
    """The sources of its outer packets, where they are others than its own addresses."""
    ipip_enabled: bool = True
    """Whether the director itself may tunnel at all; the gate beside the catalog's flag."""

    def outer_sources_for(self, realserver: Address) -> tuple[Address, ...]:
        """The outer sources that a realserver at this address sees; empty when they are not known."""
        named = tuple(
            outer_source for outer_source in self.outer_sources if outer_source.version == realserver.version
        )
        own = self.address if realserver.version == 4 else self.address6  # noqa: PLR2004  # IPv4
        return named or ((own,) if own is not None else ())


@dataclass(frozen=True, slots=True)
class Service:
    """One service of the catalog at one site, with its realservers and directors."""

    name: str
    site: str
    encryption: bool
    lvs_class: str
    encapsulated: bool = field(metadata={"observed": True})
    """Whether the catalog says IPIP for this site: the world as it is now, so no part of what a plan is."""
    virtual_services: tuple[VirtualService, ...]
    realservers: tuple[Realserver, ...]
    directors: tuple[Director, ...]
    """Secondaries first, in the order in which they are to be changed."""
    probe_paths: tuple[str, ...] = ()
    """HTTP paths that the catalog's own probes use."""

    def __str__(self) -> str:
        return f"{self.name} at {self.site}"


class Verdict(Enum):
    """What a check says. ``UNKNOWN`` could not be looked at: it is never shown as green."""

    PASS = "pass"  # noqa: S105  # a verdict, not a password
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"
    SKIP = "skip"

    @property
    def stops(self) -> bool:
        """Whether it blocks the run before the first change."""
        return self in (Verdict.FAIL, Verdict.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check saw on one host."""

    check: str
    """A stable id, such as ``rp-filter``."""
    host: str
    verdict: Verdict
    seen: str
    wanted: str
    remedy: str = ""
    """What to do about it: words, and the command where there is one. Empty when nothing is to be done."""

    def __str__(self) -> str:
        text = f"{self.host}: {self.check}: {self.seen}; wanted {self.wanted}"
        return f"{text}; {self.remedy}" if self.remedy else text


RETRIED = "retried"
"""The id of the finding about answers that came only when they were asked for again; the watch counts it."""


class ProbeVerdict(Enum):
    """How a realserver answered an encapsulated SYN."""

    ACCEPTED = "accepted"
    """SYN/ACK with the right acknowledgement number and an MSS that fits the tunnel."""
    REFUSED = "refused"
    """RST: decapsulated, but nothing listens."""
    UNREACHABLE = "unreachable"
    """An ICMP error came back."""
    SILENT = "silent"
    """Nothing came back in any of the tries."""
    UNSUITABLE = "unsuitable"
    """SYN/ACK whose MSS is too large: full-size packets would not fit the tunnel."""


class IcmpReason(Enum):
    """What an ICMP or ICMPv6 error says of a SYN, by its type and code (``probe/classify.py``)."""

    NO_TUNNEL_DEVICE = "no-tunnel-device"
    """The host that the outer packet is for has no tunnel device that takes it."""
    PROHIBITED = "prohibited"
    """A firewall rejects the packet."""
    NOT_FORWARDED = "not-forwarded"
    """A host took the packet on its way and could not pass it on: no route, no neighbour, or a loop."""
    TOO_BIG = "too-big"
    """The packet does not fit the next link."""
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What one realserver answered for one virtual service."""

    host: str
    virtual_service: VirtualService
    verdict: ProbeVerdict
    rtt_ms: float | None = None
    mss: int | None = None
    """The MSS option of the SYN/ACK, in bytes; None when there was none."""
    detail: str = ""
    outer_source: Address | None = None
    """The outer source that it was asked with; None when nothing was sent."""
    asked: int = 1
    """Flows, one source port each: behind a node each may reach another pod."""
    accepted: int = 0
    """Of these, the flows that were accepted."""
    tries: int = 1
    """How many times the SYN was sent, of the flow where that was most often."""
    retried: int = 0
    """Of the accepted flows, those that were answered only when the SYN was sent again."""
    icmp_reasons: frozenset[IcmpReason] = frozenset()
    """What the ICMP errors said that made it ``unreachable``; empty for every other verdict."""


ChangeKind = Literal["catalog", "director", "host", "cluster"]
"""What sort of thing a change touches."""


@dataclass(frozen=True, slots=True)
class Edit:
    """One outside effect of a change, as it is shown to people: a diff, or the command that makes it."""

    kind: ChangeKind
    target: str
    """A file's path, or a host."""
    diff: str | None = None
    command: str | None = None
