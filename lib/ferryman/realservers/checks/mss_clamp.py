"""What lowers the MSS of the SYN/ACKs that leave a host: rules, the clamper, a small device."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING

from ferryman import encapsulation
from ferryman.model import Kind
from ferryman.realservers.facts import Unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferryman.model import Realserver, VirtualService
    from ferryman.realservers.facts import Device, Facts
    from ferryman.realservers.facts.clamper import Arguments

SETS = re.compile(r"--set-mss (\d+)|maxseg\b.*? set (\d+)")
"""iptables' target TCPMSS and nft's statement."""
SOURCE = re.compile(r"(?P<no>! )?(?:-s|\bip6? saddr) (?P<not>!= )?(?P<value>\S+)")
SOURCE_PORT = re.compile(r"(?:--sports?|\btcp sport) (?P<value>\S+)")
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

    A node's SYN/ACKs come from pods: they are forwarded, and never meet the hook output.
    """
    elsewhere = (*WAY_IN, "output") if realserver.kind is Kind.KUBERNETES else WAY_IN
    for table in facts.firewall.tables:
        if virtual.vip.version not in table.versions:
            continue
        for chain in table.chains.values():
            if (chain.hook or chain.name).lower() in elsewhere:
                continue
            for rule in chain.rules:
                found = SETS.search(rule.text)
                if found is not None and _is_for(virtual, rule.text):
                    yield int(found[1] or found[2]), rule.text


def _is_for(virtual: VirtualService, text: str) -> bool:
    source, port = SOURCE.search(text), SOURCE_PORT.search(text)
    if (
        source is not None
        and not source["no"]
        and not source["not"]
        and not _covers(source["value"], virtual)
    ):
        return False
    return port is None or _has_port(port["value"], virtual.port)


def _covers(value: str, virtual: VirtualService) -> bool:
    """Whether an address or a network has the VIP; what is neither (a set) is taken to have it."""
    try:
        return virtual.vip in ipaddress.ip_network(value, strict=False)
    except ValueError:
        return True


def _has_port(value: str, port: int) -> bool:
    for part in value.split(","):
        first, _, last = part.replace("-", ":").partition(":")
        if not first.isdigit() or int(first) <= port <= int(last or first):
            return True
    return False


def clamped(arguments: Arguments, virtual: VirtualService, device: Device | None) -> int | None:
    """The MSS in bytes that the clamper lets the virtual service say; None when it lets it alone."""
    if not arguments.serves(virtual.vip, virtual.port):
        return None
    if device is not None and arguments.interfaces and device.name not in arguments.interfaces:
        return None
    return arguments.mss(virtual.vip.version)
