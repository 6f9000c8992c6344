"""Check ``before-netfilter``: no filter of tc(8) and no XDP program takes the packets away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ferryman.encapsulation import TUNNEL_PROTOCOL
from ferryman.model import Finding, Verdict
from ferryman.realservers.checks.decapsulation import decapsulator_name, tunnels
from ferryman.realservers.checks.firewall import outer_sources
from ferryman.realservers.checks.mss_clamp import own_device
from ferryman.realservers.checks.tc_filters import Fate, IpPacket, met_by
from ferryman.realservers.facts import Unknown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ferryman.model import Realserver, Service, VirtualService
    from ferryman.realservers.checks.decapsulation import Tunnel
    from ferryman.realservers.facts import Device, Facts
    from ferryman.realservers.facts.early import Way

CHECK = "before-netfilter"
TCP = 6


@dataclass(frozen=True, slots=True)
class Early:
    """Something that may take a packet away where netfilter does not see it."""

    what: str
    """A filter or a program, by its device."""
    device: str
    fate: Fate
    way: Way
    look: str
    """The command that shows it."""
    counter: str | None = None
    """Its counter of drops, as far as it has one."""

    @property
    def is_sure(self) -> bool:
        """Whether it drops them whatever is not known of them."""
        return self.fate is Fate.DROPS


def before_netfilter(service: Service, realserver: Realserver, facts: Facts) -> Iterator[Finding]:
    """No filter at the host's devices drops encapsulated packets, what comes out of them, or its answers.

    Sources: net/core/dev.c: XDP, then tc's ingress, then netfilter; on the way out tc's egress is last. A
    filter of u32 or matchall is followed as the kernel does. What a BPF program does cannot be read, and CNIs
    have some on healthy nodes: they are told, and warned of by a failed probe alone.
    """
    if facts.filters is None:
        return
    if isinstance(facts.devices, Unknown):
        yield _finding(realserver, Verdict.SKIP, facts.devices.reason)
        return
    if isinstance(facts.filters, Unknown):
        seen = f"filters could not be looked at: {facts.filters.reason}"
        yield _finding(realserver, Verdict.SKIP, f"{seen}; the probe tells what becomes of packets")
        return
    found = [
        early
        for virtual in service.virtual_services
        for early in early_drops(service, realserver, facts, virtual)
    ]
    bad = list(dict.fromkeys(early for early in found if early.fate is not Fate.UNKNOWABLE))
    for early in bad:
        packets = "encapsulated packets" if early.way == "ingress" else "the VIP's answers"
        drops = "drops" if early.fate is Fate.DROPS else "may drop"
        yield _finding(realserver, Verdict.WARN, f"{early.what} {drops} {packets}", f"see it: {early.look}")
    if not bad and found:
        named = ", ".join(dict.fromkeys(early.what for early in found))
        yield _finding(realserver, Verdict.SKIP, f"{named}: the probe tells what becomes of packets there")
    elif not bad:
        yield _finding(realserver, Verdict.PASS, "no filter of tc and no XDP program is in their way")


def early_drops(
    service: Service, realserver: Realserver, facts: Facts, virtual: VirtualService
) -> list[Early]:
    """What may take away the packets for a virtual service, in the order in which they meet it."""
    devices = {} if isinstance(facts.devices, Unknown) else facts.devices
    (tunnel,) = [tunnel for tunnel in tunnels(service) if tunnel.version == virtual.vip.version]
    holder, decapsulator = own_device(realserver, facts), decapsulator_name(tunnel, facts)
    nics = _from_below(holder, devices) if holder is not None else []
    found: list[Early] = []
    for device in [*nics, *filter(None, (devices.get(decapsulator),))]:
        if device.xdp is not None:
            shown = f"ip -d link show dev {device.name}"
            found.append(
                Early(
                    f"{device.name} has {device.xdp} of XDP", device.name, Fate.UNKNOWABLE, "ingress", shown
                )
            )
    ports = (virtual.port, None)
    answer = IpPacket(virtual.vip, None, TCP, ports)
    for device in nics:
        for packet in _outer(service, tunnel, realserver):
            found += _met(packet, facts, device.name, "ingress")
    found += _met(IpPacket(None, virtual.vip, TCP, ports[::-1]), facts, decapsulator, "ingress")
    for device in nics:
        found += _met(answer, facts, device.name, "egress")
    return list(dict.fromkeys(found))


def _outer(service: Service, tunnel: Tunnel, realserver: Realserver) -> Iterator[IpPacket]:
    own = realserver.address if tunnel.version == 4 else realserver.address6  # noqa: PLR2004  # IPv4
    for source in outer_sources(service, tunnel, realserver):
        yield IpPacket(source, own, TUNNEL_PROTOCOL[tunnel.version])


def _met(packet: IpPacket, facts: Facts, device: str, way: Way) -> Iterator[Early]:
    for met in met_by(packet, facts.filters if isinstance(facts.filters, tuple) else (), device, way):
        shown = f"tc -s filter show dev {device} {way}"
        yield Early(str(met.filter), device, met.fate, way, shown, str(met.filter))


def _from_below(holder: Device, devices: Mapping[str, Device]) -> list[Device]:
    """The devices that a packet comes in by: members of a bond or ports of a bridge, a VLAN's parent, itself.

    A bridge's ports that are pods' are left out: nothing comes in from outside by them.
    """
    below = [
        device
        for device in devices.values()
        if (
            device.master == holder.name
            and holder.kind in ("bond", "bridge", "team")
            and device.kind != "veth"
        )
        or (device.name == holder.link and holder.kind in ("vlan", "macvlan", "ipvlan"))
    ]
    deeper = [each for device in below if device.name != holder.name for each in _members(device, devices)]
    return [*deeper, *below, holder]


def _members(device: Device, devices: Mapping[str, Device]) -> list[Device]:
    if device.kind not in ("bond", "team", "vlan"):
        return []
    return [
        each
        for each in devices.values()
        if (each.master == device.name and each.kind != "veth")
        or (device.kind == "vlan" and each.name == device.link)
    ]


def _finding(realserver: Realserver, verdict: Verdict, seen: str, remedy: str = "") -> Finding:
    wanted = "encapsulated packets reach netfilter, and answers leave"
    return Finding(CHECK, realserver.host, verdict, seen, wanted, remedy)
