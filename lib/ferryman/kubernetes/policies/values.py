"""Policies as values, whoever's they are: Kubernetes', its administrators', or Calico's."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    import ipaddress
    from collections.abc import Iterable, Mapping

    from ferryman.model import Address

    Network = ipaddress.IPv4Network | ipaddress.IPv6Network

TCP, UDP, SCTP, ICMP, ICMPV6 = 6, 17, 132, 1, 58
PROTOCOLS = {"tcp": TCP, "udp": UDP, "sctp": SCTP, "icmp": ICMP, "icmpv6": ICMPV6, "udplite": 136}
"""The names that Calico and Kubernetes know, in small letters."""
WITH_PORTS = (TCP, UDP, SCTP)
NAMES = {TCP: "TCP", UDP: "UDP", SCTP: "SCTP", ICMP: "ICMP", ICMPV6: "ICMPv6", 136: "UDPLite"}
MAX_PORT = 65535

Direction = Literal["ingress", "egress"]
Maybe = bool | None
"""None: it cannot be told."""


def all_of(parts: Iterable[Maybe]) -> Maybe:
    """Whether all hold; None where that hangs on what cannot be told."""
    seen: Maybe = True
    for part in parts:
        if part is False:
            return False
        seen = seen and part
    return seen


def any_of(parts: Iterable[Maybe]) -> Maybe:
    """Whether one holds; None where that hangs on what cannot be told."""
    seen: Maybe = False
    for part in parts:
        if part:
            return True
        if part is None:
            seen = None
    return seen


def negated(part: Maybe) -> Maybe:
    """The opposite; of what cannot be told nothing can."""
    return None if part is None else not part


class Action(Enum):
    """What a rule does with traffic that it matches."""

    ALLOW = "allow"
    DENY = "deny"
    PASS = "pass"  # noqa: S105  # the word of the field
    """On to the next tier."""
    LOG = "log"
    """Written down; the next rule decides."""


class Answer(Enum):
    """What becomes of traffic."""

    ALLOW = "allow"
    DENY = "deny"
    UNKNOWN = "unknown"
    """It hangs on something that is not judged."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """What is sent; of a connection, its first packet."""

    protocol: int
    port: int | None = None
    """Its destination; None where the protocol has none."""
    icmp: tuple[int, int] | None = None
    """Type and code."""
    family: int = 4

    def __str__(self) -> str:
        name = NAMES.get(self.protocol, f"protocol {self.protocol}")
        if self.icmp is not None:
            return f"{name} type {self.icmp[0]} code {self.icmp[1]}"
        return name if self.port is None else f"{name} {self.port}"


@dataclass(frozen=True, slots=True)
class Peer:
    """Who sends or receives: a pod, a node, or anybody outside."""

    kind: Literal["pod", "node", "own node", "outside"]
    name: str
    addresses: tuple[Address, ...] = ()
    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    namespace_labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    calico_labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Its own labels, and those that Calico adds to a pod."""
    service_account: str = ""
    ports: Mapping[str, tuple[str, int]] = field(default_factory=dict, hash=False)

    def in_networks(self, networks: Iterable[Network], family: int) -> Maybe:
        """Whether its address is in one of these; None while it is not known to have an address."""
        own = [address for address in self.addresses if address.version == family]
        if not own:
            return None
        return any(address in network for address in own for network in networks if network.version == family)


@dataclass(frozen=True, slots=True)
class NetworkSet:
    """Addresses that selectors of Calico find by labels."""

    name: str
    labels: Mapping[str, str]
    """With those that Calico adds to one of a namespace."""
    networks: tuple[Network, ...]


class Who(Protocol):
    """A choice of peers by what they are called, not by address."""

    def __call__(self, peer: Peer, subject: Peer, sets: tuple[NetworkSet, ...], family: int) -> Maybe:
        """Whether the peer is chosen; ``subject`` is the pod that the policy is about."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports that a rule names."""

    low: int = 0
    high: int = MAX_PORT
    protocol: int | None = None
    """None: that of the rule, whichever it is."""
    name: str = ""
    """Of a container's port; ``low`` and ``high`` mean nothing then."""

    def match(self, traffic: Traffic, destination: Peer) -> bool:
        """Whether traffic to this destination is for one of them."""
        if traffic.port is None or (self.protocol is not None and self.protocol != traffic.protocol):
            return False
        if self.name:
            named = destination.ports.get(self.name)
            return named is not None and (PROTOCOLS.get(named[0].lower()), named[1]) == (
                traffic.protocol,
                traffic.port,
            )
        return self.low <= traffic.port <= self.high


@dataclass(frozen=True, slots=True)
class Entity:
    """One side of a rule: everything that is given must hold."""

    who: Who | None = None
    not_who: Who | None = None
    networks: tuple[Network, ...] | None = None
    not_networks: tuple[Network, ...] = ()

    def match(self, peer: Peer, subject: Peer, sets: tuple[NetworkSet, ...], family: int) -> Maybe:
        """Whether a peer is meant."""
        return all_of(
            (
                True if self.who is None else self.who(peer, subject, sets, family),
                True if self.not_who is None else negated(self.not_who(peer, subject, sets, family)),
                True if self.networks is None else peer.in_networks(self.networks, family),
                negated(peer.in_networks(self.not_networks, family)) if self.not_networks else True,
            )
        )


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule: what it does with which traffic."""

    action: Action
    name: str
    """Such as ``ingress rule 2``."""
    sources: tuple[Entity, ...] = (Entity(),)
    """Any of them."""
    destinations: tuple[Entity, ...] = (Entity(),)
    protocol: int | None = None
    not_protocol: int | None = None
    ports: tuple[Ports, ...] | None = None
    """Any of them; None: all ports, and protocols without."""
    not_ports: tuple[Ports, ...] = ()
    icmp: tuple[int | None, int | None] | None = None
    not_icmp: tuple[int | None, int | None] | None = None
    family: int | None = None
    unjudged: str = ""
    """What of it is not judged, so that whether it matches cannot be told; empty where all is."""

    def match(
        self, source: Peer, destination: Peer, subject: Peer, traffic: Traffic, sets: tuple[NetworkSet, ...]
    ) -> Maybe:
        """Whether this traffic is meant."""
        family = traffic.family
        known = all_of(
            (
                self._matches_packet(traffic, destination),
                any_of(each.match(source, subject, sets, family) for each in self.sources),
                any_of(each.match(destination, subject, sets, family) for each in self.destinations),
            )
        )
        return None if self.unjudged and known is not False else known

    def _matches_packet(self, traffic: Traffic, destination: Peer) -> bool:
        if self.family not in (None, traffic.family) or self.protocol not in (None, traffic.protocol):
            return False
        if self.not_protocol is not None and self.not_protocol == traffic.protocol:
            return False
        if self.ports is not None and not any(each.match(traffic, destination) for each in self.ports):
            return False
        if any(each.match(traffic, destination) for each in self.not_ports):
            return False
        if self.icmp is not None and not _is_icmp(self.icmp, traffic):
            return False
        return self.not_icmp is None or not _is_icmp(self.not_icmp, traffic)


def _is_icmp(wanted: tuple[int | None, int | None], traffic: Traffic) -> bool:
    return traffic.icmp is not None and all(
        want in (None, seen) for want, seen in zip(wanted, traffic.icmp, strict=True)
    )


class Selects(Protocol):
    """Which pods a policy is about."""

    def __call__(self, pod: Peer) -> Maybe:
        """Whether it is about this pod."""


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy, as far as it is judged."""

    kind: str
    namespace: str
    """Empty: of the whole cluster."""
    name: str
    tier: str
    order: float
    selects: Selects
    ingress: tuple[Rule, ...] | None
    """None: it says nothing of what comes in."""
    egress: tuple[Rule, ...] | None
    text: str = ""
    """What it was made of, so that two can be compared."""
    remarks: tuple[str, ...] = ()
    """What of it is not judged here."""

    def rules(self, direction: Direction) -> tuple[Rule, ...] | None:
        """Its rules of a direction; None where it says nothing of that."""
        return self.ingress if direction == "ingress" else self.egress

    def __str__(self) -> str:
        where = f"{self.namespace}/" if self.namespace else ""
        return f"{self.kind} {where}{self.name}"


@dataclass(frozen=True, slots=True)
class Tier:
    """A tier of Calico: its policies are met before those of tiers with a higher order."""

    name: str
    order: float
    default: Action = Action.DENY
    """What happens at its end to traffic of a pod that a policy of it is about."""
