"""Everybody and everything that policies can tell apart: pods, nodes, addresses outside, and traffic.

Pods about whom every selector, network and port name of the policies says the same are one class, and ports
that no rule tells apart are one range; so what is said of one holds for all of them.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from ferryman.kubernetes.policies.policy_set import PolicySet, peer_of
from ferryman.kubernetes.policies.values import (
    ICMP,
    ICMPV6,
    MAX_PORT,
    NAMES,
    PROTOCOLS,
    WITH_PORTS,
    Peer,
    Traffic,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ferryman.kubernetes.cluster import Node
    from ferryman.kubernetes.objects import Namespace, Pod
    from ferryman.kubernetes.policies.manifests import World
    from ferryman.kubernetes.policies.values import Entity, Network, Ports, Rule
    from ferryman.model import Address

FRAGMENTATION_NEEDED = {4: Traffic(ICMP, icmp=(3, 4)), 6: Traffic(ICMPV6, icmp=(2, 0), family=6)}
"""By family: what path MTU discovery lives on."""
ECHO = {4: Traffic(ICMP, icmp=(8, 0)), 6: Traffic(ICMPV6, icmp=(128, 0), family=6)}
_OTHER_ICMP = {4: (11, 0), 6: (3, 0)}
"""Time exceeded, for all types that no rule names."""
_OTHER_PROTOCOL = 253
"""For experiments (RFC 3692): nobody's."""
IPV6 = 6
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Party:
    """A class of those who send and receive; each of its members is the same to all policies."""

    name: str
    peers: tuple[Peer, ...]
    """One that stands for all, as each of the compared worlds sees it."""
    pods: tuple[Pod, ...] = ()
    families: frozenset[int] = frozenset({4})


@dataclass(frozen=True, slots=True)
class Sent:
    """A class of traffic: what stands for it, and its name."""

    traffic: Traffic
    name: str


def rules_of(policies: PolicySet) -> Iterator[Rule]:
    """All rules of all policies."""
    for _, several in policies.tiers:
        for policy in several:
            yield from policy.ingress or ()
            yield from policy.egress or ()


def _entities(policies: PolicySet) -> list[Entity]:
    found = {
        id(entity): entity for rule in rules_of(policies) for entity in (*rule.sources, *rule.destinations)
    }
    return list(found.values())


def pod_parties(
    pods: Iterable[Pod], worlds: Sequence[tuple[PolicySet, Mapping[str, Namespace]]]
) -> list[Party]:
    """The classes of pods; those that use their node's network are their nodes, and in none."""
    networks = _networks([policies for policies, _ in worlds])
    alike: dict[object, list[Pod]] = {}
    for pod in pods:
        if not pod.host_network:
            inside = (
                place for place, net in enumerate(networks) if any(each in net for each in pod.addresses)
            )
            key = (
                *(pod.namespace, frozenset(pod.labels.items()), frozenset(pod.ports.items())),
                *(pod.service_account, frozenset(inside), _families(pod.addresses), bool(pod.addresses)),
            )
            alike.setdefault(key, []).append(pod)
    names = {port.name for policies, _ in worlds for port in _all_ports(policies) if port.name}
    entities = [_entities(policies) for policies, _ in worlds]
    found: dict[object, tuple[tuple[Peer, ...], list[Pod]]] = {}
    for members in alike.values():
        peers = tuple(peer_of(members[0], namespaces) for _, namespaces in worlds)
        signature = tuple(
            _signature(peer, policies, of_world, names)
            for peer, (policies, _), of_world in zip(peers, worlds, entities, strict=True)
        )
        found.setdefault(signature, (peers, []))[1].extend(members)
    return [
        Party(called(members), peers, tuple(members), _families(peers[0].addresses))
        for peers, members in found.values()
    ]


def _signature(peer: Peer, policies: PolicySet, entities: list[Entity], names: set[str]) -> object:
    families = sorted(_families(peer.addresses))
    is_relative = any(
        policy.kind.endswith("AdminNetworkPolicy") for _, several in policies.tiers for policy in several
    )
    return (
        tuple(policy.selects(peer) for _, several in policies.tiers for policy in several),
        tuple(entity.match(peer, peer, policies.sets, family) for entity in entities for family in families),
        tuple(peer.ports.get(name) for name in sorted(names)),
        tuple(families),
        frozenset(peer.namespace_labels.items()) if is_relative else None,
    )


def _families(addresses: Iterable[Address]) -> frozenset[int]:
    return frozenset(address.version for address in addresses) or frozenset({4})


def called(pods: Sequence[Pod]) -> str:
    """Pods by what makes them: ``web/Deployment/shop (3 pods)``, at most some of them."""
    makers: dict[str, int] = {}
    for pod in pods:
        maker = f"{pod.namespace}/{pod.owner}" if pod.owner else pod.full_name
        makers[maker] = makers.get(maker, 0) + 1
    shown = [f"{maker} ({count} pods)" if count > 1 else maker for maker, count in sorted(makers.items())]
    more = len(shown) - _SHOWN
    return ", ".join(shown[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def node_parties(nodes: Iterable[Node], policies: Sequence[PolicySet]) -> list[Party]:
    """Classes of nodes, by the networks that rules name; as senders to a pod on another node."""
    networks = _networks(policies)
    found: dict[object, list[Peer]] = {}
    for node in nodes:
        addresses = tuple(sorted(_addresses(node.addresses), key=str))
        if addresses:
            key = tuple(frozenset(net for net in networks if address in net) for address in addresses)
            members = found.setdefault((key, _families(addresses)), [])
            members.append(Peer("node", node.name, addresses))
    return [
        Party(
            _nodes_called([each.name for each in members], len(found)),
            (members[0],) * len(policies),
            (),
            _families(members[0].addresses),
        )
        for members in found.values()
    ]


def _nodes_called(names: list[str], classes: int) -> str:
    if classes == 1:
        return "other nodes"
    more = len(names) - _SHOWN
    return f"nodes {', '.join(names[:_SHOWN])}" + (f" and {more} more" if more > 0 else "")


def _addresses(words: Iterable[str]) -> Iterator[Address]:
    for word in words:
        try:
            yield ipaddress.ip_address(word)
        except ValueError:  # a node's name is among its addresses
            continue


def _networks(policies: Sequence[PolicySet]) -> list[Network]:
    found: set[Network] = set()
    for each in policies:
        for entity in _entities(each):
            found.update(entity.networks or ())
            found.update(entity.not_networks)
        for network_set in each.sets:
            found.update(network_set.networks)
    return sorted(found, key=lambda net: (net.version, int(net.network_address), net.prefixlen))


def outside_parties(policies: Sequence[PolicySet], families: Iterable[int]) -> list[Party]:
    """Classes of addresses outside, by the networks that rules name: one of each, and one of none."""
    networks = _networks(policies)
    return [party for family in sorted(families) for party in _outside_of(family, networks, len(policies))]


def _outside_of(family: int, networks: Sequence[Network], worlds: int) -> Iterator[Party]:
    inside = [net for net in networks if net.version == family and net.prefixlen]
    for net in inside:
        if (address := _alone_in(net, inside)) is not None:
            yield _outside(f"addresses in {net}", address, worlds)
    everything = ipaddress.ip_network("::/0" if family == IPV6 else "0.0.0.0/0")
    if (address := _alone_in(everything, inside)) is not None:
        other = "any other address outside" if inside else "any address outside"
        yield _outside(f"{other} (IPv6)" if family == IPV6 else other, address, worlds)


def _outside(name: str, address: Address, worlds: int) -> Party:
    peer = Peer("outside", name, (address,))
    return Party(name, (peer,) * worlds, (), frozenset({address.version}))


def _alone_in(network: Network, others: Sequence[Network]) -> Address | None:
    """An address of a network that is in none of those within it; None where they fill it."""
    within = [
        other
        for other in others
        if other != network and other.prefixlen > network.prefixlen and other.network_address in network
    ]
    last = int(network.broadcast_address)
    place = int(network.network_address)
    for other in sorted(within, key=lambda each: int(each.network_address)):
        if place < int(other.network_address):
            break
        place = max(place, int(other.broadcast_address) + 1)
    if place > last:
        return None
    return ipaddress.IPv6Address(place) if network.version == IPV6 else ipaddress.IPv4Address(place)


def _all_ports(policies: PolicySet) -> Iterator[Ports]:
    for rule in rules_of(policies):
        yield from rule.ports or ()
        yield from rule.not_ports


def traffics(policies: Sequence[PolicySet], parties: Iterable[Party], family: int) -> list[Sent]:
    """Classes of traffic of a family: each that a rule names, and all others of each protocol."""
    ports = [(port, protocol) for each in policies for port, protocol in _ports_of(each)]
    named: dict[str, set[tuple[int, int]]] = {}
    for party in parties:
        for name, (word, number) in party.peers[0].ports.items():
            named.setdefault(name, set()).add((PROTOCOLS.get(word.lower(), 0), number))
    found: list[Sent] = []
    for protocol in WITH_PORTS:
        spans = {span for port, of_rule in ports for span in _spans(port, of_rule, protocol, named)}
        found += _port_classes(protocol, spans, family)
    rules = [rule for each in policies for rule in rules_of(each)]
    found += _icmp_classes(rules, family)
    others = {each for rule in rules for each in (rule.protocol, rule.not_protocol) if each is not None}
    found += [
        Sent(Traffic(number, family=family), NAMES.get(number, f"protocol {number}"))
        for number in sorted(others - {*WITH_PORTS, ICMP, ICMPV6})
    ]
    found.append(Sent(Traffic(_OTHER_PROTOCOL, family=family), "any other protocol"))
    return found


def _ports_of(policies: PolicySet) -> Iterator[tuple[Ports, int | None]]:
    for rule in rules_of(policies):
        for port in (*(rule.ports or ()), *rule.not_ports):
            yield port, rule.protocol if port.protocol is None else port.protocol


def _spans(
    port: Ports, of_rule: int | None, protocol: int, named: Mapping[str, set[tuple[int, int]]]
) -> Iterator[tuple[int, int]]:
    if of_rule not in (None, protocol):
        return
    if port.name:
        for of_name, number in named.get(port.name, ()):
            if of_name == protocol:
                yield number, number
    elif (port.low, port.high) != (0, MAX_PORT):
        yield port.low, port.high


def _port_classes(protocol: int, spans: set[tuple[int, int]], family: int) -> Iterator[Sent]:
    """The ports between each two borders; all that no span has are one class."""
    name = NAMES[protocol]
    borders = sorted({0, MAX_PORT + 1, *(low for low, _ in spans), *(high + 1 for _, high in spans)})
    other: int | None = None
    for low, beyond in pairwise(borders):
        if any(first <= low <= last for first, last in spans):
            words = f"{name} {low}" if beyond == low + 1 else f"{name} {low}-{beyond - 1}"
            yield Sent(Traffic(protocol, low, family=family), words)
        elif other is None:
            other = low or min(1, beyond - 1)
    if other is not None:
        yield Sent(
            Traffic(protocol, other, family=family), f"any other {name} port" if spans else f"any {name} port"
        )


def _icmp_classes(rules: Sequence[Rule], family: int) -> Iterator[Sent]:
    protocol = ICMPV6 if family == IPV6 else ICMP
    known = {
        FRAGMENTATION_NEEDED[family].icmp: _too_big(family),
        ECHO[family].icmp: f"{NAMES[protocol]} echo",
    }
    for rule in rules:
        for named in (rule.icmp, rule.not_icmp):
            if named is not None and named[0] is not None:
                icmp = (named[0], named[1] or 0)
                known.setdefault(icmp, str(Traffic(protocol, icmp=icmp)))
    yield from (Sent(Traffic(protocol, icmp=icmp, family=family), name) for icmp, name in known.items())
    if _OTHER_ICMP[family] not in known:
        yield Sent(Traffic(protocol, icmp=_OTHER_ICMP[family], family=family), f"any other {NAMES[protocol]}")


def _too_big(family: int) -> str:
    return "ICMPv6 packet too big" if family == IPV6 else "ICMP fragmentation needed"


def compared(world: World) -> tuple[PolicySet, dict[str, Namespace]]:
    """A world's policies as a set, and its namespaces by name."""
    return PolicySet.of(world.manifests, world.namespaces), {each.name: each for each in world.namespaces}
