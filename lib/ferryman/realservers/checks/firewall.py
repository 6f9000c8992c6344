"""Check ``firewall``: the packet filter lets encapsulated packets in, and what comes out of them."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ferryman.encapsulation import IP6IP6, IPIP, TUNNEL_PROTOCOL
from ferryman.firewall import Effect, Packet, PacketVerdict, Step
from ferryman.firewall.protocols import LOOKALIKE
from ferryman.model import Finding, Verdict
from ferryman.realservers.checks.decapsulation import tunnels
from ferryman.realservers.checks.vip import packet_for
from ferryman.realservers.facts import Unknown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ferryman.firewall import End, Ruleset, Traversal
    from ferryman.firewall.rules import Rule
    from ferryman.model import Address, Realserver, Service, VirtualService
    from ferryman.realservers.checks.decapsulation import Tunnel
    from ferryman.realservers.facts import Facts

CHECK = "firewall"
PROTOCOLS = {4: "ipencap", 6: "ipv6"}
"""By the tunnel's IP version; Debian's /etc/protocols calls 4 and 41 so."""
PACKET_NAMES = {4: f"IP protocol {IPIP}", 6: f"IPv6 next header {IP6IP6}"}
UNNAMED_SOURCES: dict[int, tuple[Address, ...]] = {
    4: (ipaddress.IPv4Address("203.0.113.77"), ipaddress.IPv4Address("9.9.9.9")),
    6: (ipaddress.IPv6Address("2001:db8:ffff::77"), ipaddress.IPv6Address("2620:fe::fe")),
}
"""Addresses that no rule is likely to name: one for documentation, which lists of impossible sources have,
and one in use. They are only judged by; nothing is sent to them or from them."""
CALICO = "non-Calico hosts"
"""What Calico's own rule says in its comment: projectcalico felix, rules/static.go."""
CALICO_REMEDY = (
    "Calico drops it: add the directors to externalNodesList of its FelixConfiguration, beside what is there:"
    " kubectl edit felixconfigurations default"
)


UNRELATED = 253
"""An IP protocol for experiments (RFC 3692): a rule that is for it too does not mean one protocol."""
STEPS = {
    Step.FIRST: "what comes out of {device} for {virtual}",
    Step.ANSWER: "the answer to what comes out of {device} for {virtual}",
    Step.CONFIRMED: "the client's ACK out of {device} for {virtual}",
}
HALVED = "conntrack sees half of each connection on {device}"


@dataclass(frozen=True, slots=True)
class Accept:
    """What an accepting rule has to match, as iptables and as nft write it; empty when it cannot be said."""

    iptables: str
    nft: str

    def command(self, end: End) -> str:
        """The command that adds the rule in front of the chain that the packet ends in."""
        table, chain = end.table, end.base.name
        if table.tool == "nft":
            return f"nft insert rule {table.family} {table.name} {chain} {self.nft} accept"
        return f"{table.tool} -t {table.name} -I {chain} {self.iptables} -j ACCEPT"


@dataclass(frozen=True, slots=True)
class Untracked:
    """What keeps connection tracking from both directions of what comes out of the tunnel."""

    device: str
    virtual: VirtualService

    def command(self, end: End) -> str:
        """The commands for the tool that the packet's end is shown by."""
        vip, port, protocol = self.virtual.vip, self.virtual.port, self.virtual.protocol
        if end.table.tool == "nft":
            family = "ip" if vip.version == 4 else "ip6"  # noqa: PLR2004  # IPv4
            chains = (
                f"chain pre {{ type filter hook prerouting priority raw; "
                f'iifname "{self.device}" {family} daddr {vip} {protocol} dport {port} notrack; }}; '
                f"chain out {{ type filter hook output priority raw; "
                f"{family} saddr {vip} {protocol} sport {port} notrack; }};"
            )
            return f"nft 'table inet ipip_untracked {{ {chains} }}'"
        raw = f"{end.table.tool} -t raw -I"
        return (
            f"{raw} PREROUTING -i {self.device} -d {vip} -p {protocol} --dport {port} -j NOTRACK && "
            f"{raw} OUTPUT -s {vip} -p {protocol} --sport {port} -j NOTRACK"
        )


def firewall(service: Service, realserver: Realserver, facts: Facts) -> Iterator[Finding]:
    """Encapsulated packets from every outer source of the directors are let in, and so is what they hold.

    The way of both is followed through the hooks prerouting, input or, for what a pod takes, forward, in all
    tables of iptables and nftables (netfilter's own order: Documentation of nft(8), priorities). A dropping
    policy counts. Calico's filter of IPIP is in its chain cali-INPUT. Of TCP the whole handshake is followed,
    with what connection tracking calls each of its packets: rules that keep it from what comes by the NIC
    alone make the client's ACK invalid. Measured: dropped and rejected packets of protocol 4 look the same
    from outside, like a probe without any answer.
    """
    for tunnel in tunnels(service):
        by_source = {
            source: facts.firewall.traverse(outer_packet(tunnel, realserver, facts, source))
            for source in outer_sources(service, tunnel, realserver)
        }
        yield _outer(tunnel, realserver, facts, by_source)
        marks = {traversal.mark for traversal in by_source.values()}
        for virtual in service.virtual_services:
            if virtual.vip.version == tunnel.version:
                packet = replace(packet_for(virtual, facts), unwrapped=True)
                traversals = [_from_a_client(facts, packet, mark) for mark in marks]
                worst = max(traversals, key=lambda traversal: traversal.verdict.severity)
                yield _inner(virtual, realserver, facts, packet, worst)


def outer_sources(service: Service, tunnel: Tunnel, realserver: Realserver) -> tuple[Address | None, ...]:
    """The outer sources that the realserver sees; None stands for those of a director that are not known."""
    address = _own_address(tunnel, realserver) or _any_address(tunnel)
    known = [director.outer_sources_for(address) or (None,) for director in service.directors] or [(None,)]
    return tuple(dict.fromkeys(source for sources in known for source in sources))


def outer_packet(tunnel: Tunnel, realserver: Realserver, facts: Facts, source: Address | None) -> Packet:
    """The packet that a director sends to the realserver."""
    address = _own_address(tunnel, realserver)
    device = None if address is None else _device_with(facts, address)
    return Packet(
        PROTOCOLS[tunnel.version],
        address or _any_address(tunnel),
        None,
        device,
        local=True,
        source=source,
        somewhere=address is None,
        holder=device,
    )


def _own_address(tunnel: Tunnel, realserver: Realserver) -> Address | None:
    return realserver.address if tunnel.version == 4 else realserver.address6  # noqa: PLR2004  # IPv4


def _any_address(tunnel: Tunnel) -> Address:
    return ipaddress.ip_address("0.0.0.0" if tunnel.version == 4 else "::")  # noqa: PLR2004, S104  # IPv4; the version alone


def _device_with(facts: Facts, address: Address) -> str | None:
    devices = {} if isinstance(facts.devices, Unknown) else facts.devices
    holders = (
        device.name for device in devices.values() if any(held.ip == address for held in device.addresses)
    )
    return next(holders, None)


def _from_a_client(facts: Facts, packet: Packet, mark: int | None) -> Traversal:
    """The verdict on a client whom no rule names, if rules treat clients differently."""
    of_any_client = facts.firewall.exchange(packet, mark)
    if of_any_client.verdict is not PacketVerdict.UNKNOWN:
        return of_any_client
    sources = UNNAMED_SOURCES[packet.address.version]
    traversals = [facts.firewall.exchange(replace(packet, source=source), mark) for source in sources]
    return next(
        (traversal for traversal in traversals if traversal.verdict is PacketVerdict.ACCEPT), of_any_client
    )


def _outer(
    tunnel: Tunnel, realserver: Realserver, facts: Facts, by_source: dict[Address | None, Traversal]
) -> Finding:
    worst = max(by_source.values(), key=lambda traversal: traversal.verdict.severity)
    concerned = [source for source, traversal in by_source.items() if traversal.verdict is worst.verdict]
    packets = f"{PACKET_NAMES[tunnel.version]} from {_listed(concerned)}"
    remedy = ""
    if worst.by is not None:
        packet = outer_packet(tunnel, realserver, facts, concerned[0])
        remedy = meant_by_name(facts.firewall, packet) + _remedy(worst.by, _accept_outer(tunnel, concerned))
    return _finding(realserver, facts, packets, worst, remedy)


def meant_by_name(rules: Ruleset, packet: Packet) -> str:
    """What to say first of an IPv4 packet's remedy where a rule for 94 would be one for it."""
    if packet.number != IPIP:
        return ""
    for table in rules.tables:
        for chain in table.chains.values() if packet.address.version in table.versions else ():
            for rule in chain.rules:
                if _is_for_lookalike(rules, rule, packet):
                    return f"ipip is {LOOKALIKE}; write ipencap or {IPIP} in: {rule.text}; or "
    return ""


def _is_for_lookalike(rules: Ruleset, rule: Rule, packet: Packet) -> bool:
    def meets(number: int) -> bool:
        choices = rules.choices(rule, replace(packet, protocol=str(number)))
        return any(action.effect is not Effect.NOTHING for choice in choices for action in choice)

    return meets(LOOKALIKE) and not meets(UNRELATED) and not meets(IPIP)


def _inner(
    virtual: VirtualService, realserver: Realserver, facts: Facts, packet: Packet, traversal: Traversal
) -> Finding:
    packets = STEPS[traversal.step].format(device=packet.device, virtual=virtual)
    remedy = ""
    if traversal.by is not None:
        accept = _accept_inner(virtual, packet, traversal)
        remedy = _remedy(
            traversal.by, Untracked(str(packet.device), virtual) if _halved(traversal) else accept
        )
    why = f"{HALVED.format(device=packet.device)}: " if _halved(traversal) else ""
    return _finding(realserver, facts, packets, traversal, remedy, why)


def _halved(traversal: Traversal) -> bool:
    return traversal.halved and traversal.step is not Step.FIRST


def _finding(  # noqa: PLR0913, PLR0917  # what a finding has
    realserver: Realserver, facts: Facts, packets: str, traversal: Traversal, remedy: str, why: str = ""
) -> Finding:
    def judged(verdict: Verdict, seen: str, remedy: str = "") -> Finding:
        return Finding(CHECK, realserver.host, verdict, seen, f"{packets} let in", remedy)

    if traversal.verdict is PacketVerdict.DROP:
        return judged(Verdict.FAIL, f"{why}{packets} is dropped by {traversal.by}", remedy)
    if facts.firewall.unread:
        return judged(Verdict.UNKNOWN, f"the rules could not be read: {'; '.join(facts.firewall.unread)}")
    if traversal.verdict is PacketVerdict.ACCEPT:
        return judged(Verdict.PASS, f"{packets} is let in")
    seen = f"{why}{packets} may be dropped by {traversal.by}; the rules alone do not tell"
    if traversal.by is not None and traversal.by.base.hook == "forward":
        return judged(Verdict.SKIP, f"{seen}, for they do not say where the pod is")
    return judged(Verdict.WARN, seen, f"the probe decides; if it fails: {remedy}")


def _remedy(end: End, accept: Accept | Untracked | None) -> str:
    if CALICO in end.text:
        return CALICO_REMEDY
    if accept is None:
        return "name the directors' outer sources in directors.yaml, and let those in"
    return f"{accept.command(end)}; keep it in the firewall's own configuration"


def _accept_outer(tunnel: Tunnel, sources: Sequence[Address | None]) -> Accept | None:
    known = [str(source) for source in sources if source is not None]
    if not known:
        return None
    number = TUNNEL_PROTOCOL[tunnel.version]
    family = "ip" if tunnel.version == 4 else "ip6"  # noqa: PLR2004  # IPv4
    return Accept(
        f"-s {','.join(known)} -p {number}", f"{family} saddr {{ {', '.join(known)} }} meta l4proto {number}"
    )


def _accept_inner(virtual: VirtualService, packet: Packet, traversal: Traversal) -> Accept:
    """Towards a pod the destination is no longer the VIP; what connection tracking rewrote is let in."""
    if traversal.by is not None and traversal.by.base.hook == "forward":
        return Accept(
            f"-i {packet.device} -m conntrack --ctstate DNAT", f'iifname "{packet.device}" ct status dnat'
        )
    family = "ip" if virtual.vip.version == 4 else "ip6"  # noqa: PLR2004  # IPv4
    if traversal.step is Step.ANSWER:
        return Accept(
            f"-s {virtual.vip} -p {virtual.protocol} --sport {virtual.port}",
            f"{family} saddr {virtual.vip} {virtual.protocol} sport {virtual.port}",
        )
    ports = f"{virtual.protocol} dport {virtual.port}"
    return Accept(
        f"-i {packet.device} -d {virtual.vip} -p {virtual.protocol} --dport {virtual.port}",
        f'iifname "{packet.device}" {family} daddr {virtual.vip} {ports}',
    )


def _listed(sources: Sequence[Address | None]) -> str:
    return ", ".join(
        "anybody (the directors' outer sources are not known)" if source is None else str(source)
        for source in sources
    )
