"""Check ``tunnel-others``: no other device unwraps the packets, and ours takes no others."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from ferryman.model import Finding, Verdict
from ferryman.realservers.checks.decapsulation import Tunnel, externals, tunnels
from ferryman.realservers.facts import Unknown, counters

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ferryman.model import Address, Director, Realserver, Service
    from ferryman.realservers.facts import Device, Facts

CHECK = "tunnel-others"


def tunnel_others(service: Service, realserver: Realserver, facts: Facts) -> Iterator[Finding]:
    """No other tunnel takes the directors' packets, and ours takes over no packets of an overlay network.

    Sources: ip_tunnel_lookup in net/ipv4/ip_tunnel.c: a tunnel with these very ends goes first, then the one
    external device, then the fallback (tunl0) if it is up; ip6_tunnel.c does likewise. Measured: with ipip0
    external and tunl0 both up, packets come out of ipip0; a second external device is refused with "File
    exists". Calico's IPIP mode uses tunl0, Cilium makes cilium_ipip4 external.
    """
    if isinstance(facts.devices, Unknown):
        yield _finding(realserver, Verdict.UNKNOWN, facts.devices.reason)
        return
    others = [
        finding
        for tunnel in tunnels(service)
        for finding in _judge(tunnel, service, realserver, facts, facts.devices)
    ]
    yield from others or [_finding(realserver, Verdict.PASS, "no other tunnel takes them")]


def _judge(
    tunnel: Tunnel, service: Service, realserver: Realserver, facts: Facts, devices: Mapping[str, Device]
) -> Iterator[Finding]:
    for other in externals(tunnel, devices):
        if other.name != tunnel.device and tunnel.device not in devices:
            seen = f"{other.name} is external, and the kernel allows one: {tunnel.device} cannot be made"
            remedy = (
                f"see what {other.name} is for; only without it: ip link del {shlex.quote(other.name)}"
                f" && {tunnel.add}"
            )
            yield _finding(realserver, Verdict.FAIL, seen, remedy)
    yield from _first(tunnel, service, realserver, devices)
    yield from _fallback(tunnel, realserver, facts, devices)


def _first(
    tunnel: Tunnel, service: Service, realserver: Realserver, devices: Mapping[str, Device]
) -> Iterator[Finding]:
    """Tunnels that have a director for their other end: they take its packets before ours does."""
    directors = {str(source) for director in service.directors for source in _sources(director)}
    for other in devices.values():
        if (
            other.kind == tunnel.kind
            and other.up
            and other.name != tunnel.device
            and other.remote in directors
        ):
            seen = (
                f"{other.name} takes the packets of {other.remote}, a director, before {tunnel.device} does"
            )
            remedy = f"see what it is for: ip -d link show dev {shlex.quote(other.name)}"
            yield _finding(realserver, Verdict.WARN, seen, remedy)


def _sources(director: Director) -> Iterator[Address]:
    yield from director.outer_sources
    yield from (own for own in (director.address, director.address6) if own is not None)


def _fallback(
    tunnel: Tunnel, realserver: Realserver, facts: Facts, devices: Mapping[str, Device]
) -> Iterator[Finding]:
    """A fallback device that is at work: once ours is there, its packets come out of ours."""
    fallback = devices.get(tunnel.fallback)
    if fallback is None or not fallback.up:
        return
    received = counters(facts).get(f"{fallback.name}.rx_packets", 0)
    held = ", ".join(str(address) for address in fallback.addresses if not address.ip.is_link_local)
    if not received and not held:
        return
    work = f"{fallback.name} is up{f' with {held}' if held else ''} and has unwrapped {received} packets"
    remedy = (
        f"see whether an overlay network (Calico's IPIP mode) uses it: ip -s link show dev {fallback.name}"
    )
    if tunnel.device in devices:
        yield _finding(realserver, Verdict.WARN, f"{work}; they come out of {tunnel.device} now", remedy)
    else:
        verdict = Verdict.FAIL if received else Verdict.WARN
        yield _finding(realserver, verdict, f"{work}; a new {tunnel.device} would take them over", remedy)


def _finding(realserver: Realserver, verdict: Verdict, seen: str, remedy: str = "") -> Finding:
    return Finding(CHECK, realserver.host, verdict, seen, "no other tunnel at work", remedy)
