"""Check ``arp``: a rollback to direct routing stays possible."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.model import Finding, Verdict
from ferryman.realservers.checks.vip import local_device
from ferryman.realservers.facts import ALL, TUNNEL_KINDS, Unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferryman.model import Address, Realserver, Service
    from ferryman.realservers.facts import Facts, Setting

CHECK = "arp"
IGNORES = (1, 2, 3, 8)
"""Values of arp_ignore with which nobody is told of an address on lo."""
ANNOUNCES = 2
"""The value of arp_announce with which the VIP is never the source of a question."""
WANTED = "arp_ignore 1, 2, 3 or 8 and arp_announce 2, as direct routing needs them"


def arp(service: Service, realserver: Realserver, facts: Facts) -> Iterator[Finding]:
    """Where the VIP is on the host, arp_ignore is 1, 2, 3 or 8 and arp_announce is 2, on each network device.

    Sources: Documentation/networking/ip-sysctl.rst (the larger of all's and the device's own);
    wikimedia-lvs-realserver's sysctl.conf. The tunnel needs none of it, but a rollback
    goes to direct routing, and during a flip old connections are still on it.
    """
    held = [
        virtual_service.vip
        for virtual_service in service.virtual_services
        if _is_here(facts, virtual_service.vip)
    ]
    if not held:
        yield Finding(CHECK, realserver.host, Verdict.SKIP, "no IPv4 VIP is on this host", WANTED)
        return
    wrong = [reason for device in _on_networks(facts) for reason in _problems(facts, device)]
    if not wrong:
        yield Finding(CHECK, realserver.host, Verdict.PASS, "it answers for no VIP on the network", WANTED)
        return
    seen = (
        f"{', '.join(wrong)}: it answers for {held[0]} on the network, so a rollback to direct routing fails"
    )
    remedy = "sysctl -w net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2; keep it in sysctl.d"
    yield Finding(CHECK, realserver.host, Verdict.WARN, seen, WANTED, remedy)


def _is_here(facts: Facts, vip: Address) -> bool:
    return vip.version == 4 and isinstance(local_device(facts, vip), str)  # noqa: PLR2004  # ARP is IPv4's


def _on_networks(facts: Facts) -> list[str]:
    """Devices that have neighbours to be asked by: they have an IPv4 address and are no tunnel."""
    known = {} if isinstance(facts.devices, Unknown) else facts.devices
    quiet = (*TUNNEL_KINDS, "dummy")
    return [
        name
        for name, device in known.items()
        if device.up and device.has_ipv4 and name != "lo" and device.kind not in quiet
    ]


def _problems(facts: Facts, device: str) -> Iterator[str]:
    ignore, announce = _in_force(facts, "arp_ignore", device), _in_force(facts, "arp_announce", device)
    if ignore is not None and ignore not in IGNORES:
        yield f"arp_ignore of {device} is {ignore}"
    if announce is not None and announce != ANNOUNCES:
        yield f"arp_announce of {device} is {announce}"


def _in_force(facts: Facts, key: Setting, device: str) -> int | None:
    values = [facts.setting(key, name) for name in (ALL, device)]
    known = [value for value in values if not isinstance(value, Unknown)]
    return max(known) if len(known) == len(values) else None
