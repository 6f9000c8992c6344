"""Check ``tunnel-device``: a tunnel device unwraps the packets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.model import Finding, Verdict
from ferryman.realservers.checks.decapsulation import IP6IP6, Tunnel, decapsulator, externals, tunnels
from ferryman.realservers.facts import ALL, Unknown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ferryman.model import Realserver, Service
    from ferryman.realservers.facts import Device, Facts

CHECK = "tunnel-device"


def tunnel_device(service: Service, realserver: Realserver, facts: Facts) -> Iterator[Finding]:
    """ipip0, and ipip60 for an IPv6 VIP, exists, is of the right kind, external and up.

    Sources: Puppet's ``interface::ipip`` and Katran's EXAMPLE.md make the devices so; measured: a device that
    is down or missing drops everything, one with ends of its own takes those ends' packets alone.
    """
    for tunnel in tunnels(service):
        if isinstance(facts.devices, Unknown):
            by_hand = f"look by hand: ip -d link show dev {tunnel.device}"
            yield _finding(realserver, Verdict.UNKNOWN, facts.devices.reason, tunnel, by_hand)
            continue
        findings = list(_judge(tunnel, realserver, facts.devices, facts))
        yield from findings or [
            _finding(realserver, Verdict.PASS, f"{tunnel.device} is up, external", tunnel)
        ]


def _judge(
    tunnel: Tunnel, realserver: Realserver, devices: Mapping[str, Device], facts: Facts
) -> Iterator[Finding]:
    device = devices.get(tunnel.device)
    if device is None or not device.up:
        yield _without(tunnel, realserver, devices)
    elif device.kind != tunnel.kind:
        seen = f"{tunnel.device} is of kind {device.kind or 'none'}"
        remedy = f"make it anew: ip link del {tunnel.device} && {tunnel.add}"
        yield _finding(realserver, Verdict.FAIL, seen, tunnel, remedy)
    else:
        yield from _ends(tunnel, realserver, device)
        if tunnel is IP6IP6:
            yield from _ipv6(realserver, facts)


def _without(tunnel: Tunnel, realserver: Realserver, devices: Mapping[str, Device]) -> Finding:
    """No device of ours at work: what takes the packets then, if anything.

    Source: measured: tunl0 up takes them all; a second external device is refused with "File exists".
    """
    state = "is down" if tunnel.device in devices else "is missing"
    other = next(
        (external for external in externals(tunnel, devices) if external.name != tunnel.device), None
    )
    substitute = decapsulator(tunnel, devices)
    if other is not None:
        seen = f"{tunnel.device} {state}, and {other.name} is the one external device that the kernel allows"
        remedy = f"see what {other.name} is for; only without it: {tunnel.add}"
        return _finding(realserver, Verdict.FAIL, seen, tunnel, remedy)
    repair = f"ip link set {tunnel.device} up" if tunnel.device in devices else tunnel.add
    if substitute is not None:
        seen = f"{tunnel.device} {state}; {substitute.name} is up and takes the packets in its place"
        return _finding(realserver, Verdict.WARN, seen, tunnel, f"do not rely on it: {repair}")
    return _finding(realserver, Verdict.FAIL, f"{tunnel.device} {state}", tunnel, repair)


def _ends(tunnel: Tunnel, realserver: Realserver, device: Device) -> Iterator[Finding]:
    """A finding where the device has ends of its own, for it takes their packets alone.

    Source: measured: ``remote DIRECTOR`` drops the probe's spoofed outer source; ``local`` alone drops none.
    """
    if device.external:
        return
    ends = f"local {device.local or 'any'} remote {device.remote or 'any'}"
    seen = f"{tunnel.device} is not external but has {ends}: other directors' packets may be dropped"
    remedy = f"make it external: ip link del {tunnel.device} && {tunnel.add}"
    yield _finding(realserver, Verdict.WARN, seen, tunnel, remedy)


def _ipv6(realserver: Realserver, facts: Facts) -> Iterator[Finding]:
    """IPv6 is not switched off on the device that the packets come out of.

    Source: ip6_rcv_core in net/ipv6/ip6_input.c drops what comes in where disable_ipv6 is set.
    """
    if facts.setting("disable_ipv6", IP6IP6.device) == 1:
        key = f"net.ipv6.conf.{IP6IP6.device}.disable_ipv6"
        also = (
            f", and so is net.ipv6.conf.{ALL}.disable_ipv6" if facts.setting("disable_ipv6", ALL) == 1 else ""
        )
        yield _finding(realserver, Verdict.FAIL, f"{key} is 1{also}", IP6IP6, f"sysctl -w {key}=0")


def _finding(
    realserver: Realserver, verdict: Verdict, seen: str, tunnel: Tunnel, remedy: str = ""
) -> Finding:
    wanted = f"{tunnel.device} of kind {tunnel.kind}, external, up"
    return Finding(CHECK, realserver.host, verdict, seen, wanted, remedy)
