"""Check ``vip``: the host takes unwrapped packets for its own, or hands them to a pod."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from ferryman.firewall.nat import Packet
from ferryman.model import Finding, Kind, Verdict
from ferryman.realservers.checks.decapsulation import decapsulator_name, tunnel_for
from ferryman.realservers.facts import Unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferryman.model import Address, Realserver, Service, VirtualService
    from ferryman.realservers.facts import Facts

CHECK = "vip"
QUIET_KINDS = ("dummy", "ipip", "ip6tnl")
"""Kinds of device on which nobody asks for the address of a neighbour; loopback has none."""


def vip(service: Service, realserver: Realserver, facts: Facts) -> Iterator[Finding]:
    """A plain server has the VIP on lo; a Kubernetes node has it anywhere, or a DNAT rule takes VIP and port.

    Sources: measured: a VIP that is nobody's times out, one with a PREROUTING DNAT rule answers without being
    on the host. kube-proxy's rules and its kube-ipvs0 device are as its own sources make them.
    """
    for virtual in service.virtual_services:
        yield _judge(virtual, realserver, facts)


def local_device(facts: Facts, address: Address) -> str | Unknown | None:
    """The device an address is local on; None when it is not the host's own.

    The kernel's table ``local`` also has whole prefixes: an address 10.0.0.1/24 on lo makes all 256 local.
    """
    if isinstance(facts.local_routes, Unknown):
        return facts.local_routes if isinstance(facts.devices, Unknown) else _holder(facts, address)
    routes = [local_route for local_route in facts.local_routes if address in local_route.prefix]
    return max(routes, key=lambda route: route.prefix.prefixlen).device if routes else _holder(facts, address)


def packet_for(virtual: VirtualService, facts: Facts) -> Packet:
    """The packet that comes out of the tunnel."""
    device = decapsulator_name(tunnel_for(virtual.vip), facts)
    found = local_device(facts, virtual.vip)
    holder = found if isinstance(found, str) else None
    return Packet(
        virtual.protocol, virtual.vip, virtual.port, device, local=holder is not None, holder=holder
    )


def _judge(virtual: VirtualService, realserver: Realserver, facts: Facts) -> Finding:
    device = local_device(facts, virtual.vip)
    if isinstance(device, str):
        return _held(virtual, realserver, facts, device)
    rule = facts.nat.dnat_rule(packet_for(virtual, facts))
    if rule is not None:
        return _rewritten(virtual, realserver, rule)
    if isinstance(device, Unknown):
        return _finding(virtual, realserver, Verdict.UNKNOWN, device.reason)
    if realserver.kind is Kind.SERVER:
        return _finding(
            virtual, realserver, Verdict.FAIL, f"{virtual.vip} is not on this host", _add(virtual.vip)
        )
    return _not_on_node(virtual, realserver, facts)


def _held(virtual: VirtualService, realserver: Realserver, facts: Facts, device: str) -> Finding:
    known = {} if isinstance(facts.devices, Unknown) else facts.devices
    holder = known.get(device)
    if holder is not None and virtual.vip in holder.unusable:
        seen = f"{virtual.vip} is on {device} but not usable: duplicate address detection"
        remedy = f"ip addr del {_host(virtual.vip)} dev {shlex.quote(device)} && {_add(virtual.vip)} nodad"
        return _finding(virtual, realserver, Verdict.FAIL, seen, remedy)
    quiet = device == "lo" or (holder is not None and holder.kind in QUIET_KINDS)
    if realserver.kind is Kind.SERVER and not quiet:
        seen = f"{virtual.vip} is on {device}, which answers for it on its network"
        remedy = f"{_add(virtual.vip)} && ip addr del {_host(virtual.vip)} dev {shlex.quote(device)}"
        return _finding(virtual, realserver, Verdict.WARN, seen, remedy)
    return _finding(virtual, realserver, Verdict.PASS, f"{virtual.vip} is local on {device}")


def _rewritten(virtual: VirtualService, realserver: Realserver, rule: str) -> Finding:
    if realserver.kind is Kind.KUBERNETES:
        return _finding(virtual, realserver, Verdict.PASS, f"a rule takes it: {rule}")
    seen = f"{virtual.vip} is not on lo, but a rule takes its packets: {rule}"
    return _finding(
        virtual, realserver, Verdict.WARN, seen, "see whether that rule is meant for this service"
    )


def _not_on_node(virtual: VirtualService, realserver: Realserver, facts: Facts) -> Finding:
    seen = f"{virtual.vip} is not on this node, and no rule takes its packets to port {virtual.port}"
    if facts.nat.unread:
        first, *more = facts.nat.unread
        reason = f"{first}{f' (and {len(more)} more)' if more else ''}"
        seen = f"{virtual.vip} is not on this node, and the rules could not be read: {reason}"
        return _finding(virtual, realserver, Verdict.UNKNOWN, seen)
    if beyond := _beyond_rules(facts):
        return _finding(virtual, realserver, Verdict.WARN, f"{seen}, but {beyond} may", "the probe decides")
    remedy = "see whether kube-proxy runs here and the Kubernetes service has the VIP as an external IP"
    return _finding(virtual, realserver, Verdict.FAIL, seen, remedy)


def _beyond_rules(facts: Facts) -> str | None:
    """What may take packets without a rule: eBPF programs; None where none is to be seen."""
    devices = {} if isinstance(facts.devices, Unknown) else facts.devices
    cilium = any(name.startswith("cilium_") for name in devices)
    return "Cilium's eBPF programs" if cilium else None


def _holder(facts: Facts, address: Address) -> str | None:
    devices = {} if isinstance(facts.devices, Unknown) else facts.devices
    names = (
        device.name for device in devices.values() if any(held.ip == address for held in device.addresses)
    )
    return next(names, None)


def _add(address: Address) -> str:
    return f"ip addr add {_host(address)} dev lo"


def _host(address: Address) -> str:
    return f"{address}/{address.max_prefixlen}"


def _finding(
    virtual: VirtualService, realserver: Realserver, verdict: Verdict, seen: str, remedy: str = ""
) -> Finding:
    wanted = f"{virtual.vip} on lo"
    if realserver.kind is Kind.KUBERNETES:
        wanted = f"{virtual.vip} local, or a DNAT rule for {virtual}"
    return Finding(CHECK, realserver.host, verdict, seen, wanted, remedy)
