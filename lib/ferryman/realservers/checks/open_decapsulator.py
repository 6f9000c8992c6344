"""Check ``open-decapsulator``: packets of unauthorised sources are not unwrapped here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.encapsulation import TUNNEL_PROTOCOL
from ferryman.firewall import PacketVerdict
from ferryman.model import Finding, Verdict
from ferryman.realservers.checks.decapsulation import decapsulator, decapsulator_name, tunnels
from ferryman.realservers.checks.firewall import (
    PACKET_NAMES,
    UNNAMED_SOURCES,
    meant_by_name,
    outer_packet,
    outer_sources,
)
from ferryman.realservers.facts import Unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferryman.model import Realserver, Service
    from ferryman.realservers.checks.decapsulation import Tunnel
    from ferryman.realservers.facts import Facts

CHECK = "open-decapsulator"


def open_decapsulator(service: Service, realserver: Realserver, facts: Facts) -> Iterator[Finding]:
    """A rule, or the tunnel itself, takes encapsulated packets of known outer sources alone.

    Sources: CVE-2020-10136 and VU#636397, unauthenticated IP-in-IP: whoever can reach an open decapsulator
    sends packets through it in anybody's name. Measured: an outsider's encapsulated SYN is answered unless a
    rule limits the outer sources. It warns, for it blocks nothing; what rules do not tell is for the negative
    probe.
    """
    for tunnel in tunnels(service):
        peer = _only_peer(tunnel, facts)
        if peer is not None:
            yield _finding(tunnel, realserver, Verdict.PASS, f"the tunnel takes packets of {peer} alone")
        else:
            yield _judge(service, tunnel, realserver, facts)


def _judge(service: Service, tunnel: Tunnel, realserver: Realserver, facts: Facts) -> Finding:
    traversals = {
        source: facts.firewall.traverse(outer_packet(tunnel, realserver, facts, source))
        for source in UNNAMED_SOURCES[tunnel.version]
    }
    let_in = [source for source, traversal in traversals.items() if traversal.verdict is PacketVerdict.ACCEPT]
    ends = [traversal.by for traversal in traversals.values() if traversal.verdict is PacketVerdict.DROP]
    if len(ends) == len(traversals):
        return _finding(tunnel, realserver, Verdict.PASS, f"unauthorised sources are dropped by {ends[-1]}")
    if facts.firewall.unread:
        return _finding(
            tunnel, realserver, Verdict.SKIP, f"the rules could not be read: {facts.firewall.unread[0]}"
        )
    if let_in:
        packets = PACKET_NAMES[tunnel.version]
        seen = f"{packets} is let in from any address, such as {let_in[-1]} (CVE-2020-10136)"
        named = meant_by_name(facts.firewall, outer_packet(tunnel, realserver, facts, let_in[-1]))
        remedy = named + _guard(service, tunnel, realserver, facts)
        return _finding(tunnel, realserver, Verdict.WARN, seen, remedy)
    seen = "the rules alone do not tell whether unauthorised sources are dropped"
    return _finding(tunnel, realserver, Verdict.SKIP, seen)


def _only_peer(tunnel: Tunnel, facts: Facts) -> str | None:
    device = None if isinstance(facts.devices, Unknown) else decapsulator(tunnel, facts.devices)
    return device.remote if device is not None else None


def _guard(service: Service, tunnel: Tunnel, realserver: Realserver, facts: Facts) -> str:
    """Rules in a table of their own, which touch nothing else; ferryman never applies them."""
    sources = [
        str(outer_source)
        for outer_source in outer_sources(service, tunnel, realserver)
        if outer_source is not None
    ]
    if not sources:
        return "name the directors' outer sources in directors.yaml, and drop all others"
    family, header = ("ip", "ip protocol") if tunnel.version == 4 else ("ip6", "ip6 nexthdr")  # noqa: PLR2004  # IPv4
    vips = [
        str(virtual_service.vip)
        for virtual_service in service.virtual_services
        if virtual_service.vip.version == tunnel.version
    ]
    device = decapsulator_name(tunnel, facts)
    rules = (
        f"table inet ipip_guard{tunnel.version} {{ chain pre {{ type filter hook prerouting priority raw; "
        f"{header} {TUNNEL_PROTOCOL[tunnel.version]} {family} saddr != {_set(sources)} drop; "
        f'iifname "{device}" {family} daddr != {_set(vips)} drop; }}; }}'
    )
    return f"drop all others, with the VIPs of every service that comes through {device}: nft '{rules}'"


def _set(members: list[str]) -> str:
    return f"{{ {', '.join(dict.fromkeys(members))} }}"


def _finding(
    tunnel: Tunnel, realserver: Realserver, verdict: Verdict, seen: str, remedy: str = ""
) -> Finding:
    return Finding(
        CHECK,
        realserver.host,
        verdict,
        seen,
        f"{PACKET_NAMES[tunnel.version]} from the directors alone",
        remedy,
    )
