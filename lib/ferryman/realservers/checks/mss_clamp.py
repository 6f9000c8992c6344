"""What lowers the MSS of the SYN/ACKs that leave a host: rules, the clamper, a small device."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ferryman import encapsulation
from ferryman.firewall import Packet, Step
from ferryman.model import Kind
from ferryman.realservers.facts import Unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferryman.model import Realserver, VirtualService
    from ferryman.realservers.facts import Device, Facts
    from ferryman.realservers.facts.clamper import Arguments

WAY_IN = ("prerouting", "input", "ingress")


def limit_for(virtual: VirtualService, realserver: Realserver) -> int:
    """The largest MSS in bytes with which the virtual service's packets fit the tunnel to this realserver.

    The outer header is of the VIP's own family, as ``Realserver.address_for`` has it.
    """
    return encapsulation.mss_limit(virtual.vip, virtual.vip, realserver.path_mtu)


def packet_limit_for(virtual: VirtualService, realserver: Realserver) -> int:
    """The largest inner packet in bytes that fits the tunnel to this realserver."""
    return encapsulation.max_inner_packet(virtual.vip.version, realserver.path_mtu)


def own_device(realserver: Realserver, facts: Facts) -> Device | None:
    """The device that the directors' packets come in by: the one with the realserver's own address."""
    known = {} if isinstance(facts.devices, Unknown) else facts.devices
    own = [address for address in (realserver.address, realserver.address6) if address is not None]
    holders = (device for device in known.values() if any(held.ip in own for held in device.addresses))
    return next(holders, None)


def mss_of(device: Device, virtual: VirtualService) -> int:
    """The MSS in bytes that the kernel itself says by this device."""
    return encapsulation.mss_for_mtu(virtual.vip.version, device.mtu)


def rules_for(virtual: VirtualService, realserver: Realserver, facts: Facts) -> Iterator[tuple[int, str]]:
    """The rules that set the MSS of the virtual service's SYN/ACKs on their way out: bytes, and the rule.

    What is not known of them (their mark, their device, their client) is taken to match. A node's SYN/ACKs
    come from pods: they are forwarded, and never meet the hook output.
    """
    elsewhere = (*WAY_IN, "output") if realserver.kind is Kind.KUBERNETES else WAY_IN
    answer = Packet(virtual.protocol, virtual.vip, None, None, local=False, somewhere=True, step=Step.ANSWER)
    answer = replace(answer, source=virtual.vip, source_port=virtual.port)
    for table in facts.firewall.tables:
        if virtual.vip.version not in table.versions:
            continue
        for chain in table.chains.values():
            if (chain.hook or chain.name).lower() in elsewhere:
                continue
            for rule in chain.rules:
                actions = (action for choice in facts.firewall.choices(rule, answer) for action in choice)
                yield from ((action.mss, rule.text) for action in actions if action.mss is not None)


def clamped(arguments: Arguments, virtual: VirtualService, device: Device | None) -> int | None:
    """The MSS in bytes that the clamper lets the virtual service say; None when it lets it alone."""
    if not arguments.serves(virtual.vip, virtual.port):
        return None
    if device is not None and arguments.interfaces and device.name not in arguments.interfaces:
        return None
    return arguments.mss(virtual.vip.version)
