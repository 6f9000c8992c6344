"""Check ``open-decapsulator``: not everybody may have packets unwrapped here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.firewall import Fate
from ferryman.model import Finding, Verdict
from ferryman.realservers.checks.decapsulation import decapsulator, decapsulator_name, tunnels
from ferryman.realservers.checks.firewall import NAMES, NUMBERS, STRANGERS, outer_packet, outer_sources
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
    rule limits the outer sources. It warns, for it stands in nobody's way; what rules do not tell is for the
    negative probe.
    """
    for tunnel in tunnels(service):
        peer = _only_peer(tunnel, facts)
        if peer is not None:
            yield _finding(tunnel, realserver, Verdict.PASS, f"the tunnel takes packets of {peer} alone")
        else:
            yield _judge(service, tunnel, realserver, facts)


def _judge(service: Service, tunnel: Tunnel, realserver: Realserver, facts: Facts) -> Finding:
    strangers = {one: outer_packet(tunnel, realserver, facts, one) for one in STRANGERS[tunnel.version]}
    passages = {one: facts.firewall.passage(packet) for one, packet in strangers.items()}
    let_in = [one for one, passage in passages.items() if passage.fate is Fate.IN]
    ends = [passage.by for passage in passages.values() if passage.fate is Fate.OUT]
    if len(ends) == len(passages):
        return _finding(tunnel, realserver, Verdict.PASS, f"strangers are dropped by {ends[-1]}")
    if facts.firewall.unread:
        return _finding(
            tunnel, realserver, Verdict.SKIP, f"the rules could not be read: {facts.firewall.unread[0]}"
        )
    if let_in:
        seen = f"{NAMES[tunnel.version]} is let in from any address, such as {let_in[-1]} (CVE-2020-10136)"
        return _finding(tunnel, realserver, Verdict.WARN, seen, _guard(service, tunnel, realserver, facts))
    seen = "the rules alone do not tell whether strangers are dropped"
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
        f"{header} {NUMBERS[tunnel.version]} {family} saddr != {_set(sources)} drop; "
        f'iifname "{device}" {family} daddr != {_set(vips)} drop; }}; }}'
    )
    return f"drop all others, with the VIPs of every service that comes through {device}: nft '{rules}'"


def _set(members: list[str]) -> str:
    return f"{{ {', '.join(dict.fromkeys(members))} }}"


def _finding(
    tunnel: Tunnel, realserver: Realserver, verdict: Verdict, seen: str, remedy: str = ""
) -> Finding:
    return Finding(
        CHECK, realserver.host, verdict, seen, f"{NAMES[tunnel.version]} from the directors alone", remedy
    )
