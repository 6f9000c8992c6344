"""Check ``way-back``: there is a route from the VIP to clients."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.model import Finding, Kind, Verdict
from ferryman.realservers.checks.decapsulation import decapsulator_name, tunnel_for, vrf_of
from ferryman.realservers.checks.lookups import SOMEBODY
from ferryman.realservers.checks.vip import local_device
from ferryman.realservers.facts.routing import Lookup, NoRoute, Route

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferryman.model import Address, Realserver, Service
    from ferryman.realservers.facts import Facts

CHECK = "way-back"


def way_back(service: Service, realserver: Realserver, facts: Facts) -> Iterator[Finding]:
    """The kernel has a route from the VIP to a client in the Internet, by whatever table ip-rule(8) leads to.

    Sources: inet_csk_route_req in net/ipv4/inet_connection_sock.c: without a route the SYN is dropped, and
    counted in TcpExtListenDrops and IpOutNoRoutes (measured). It warns, for clients may all be in networks
    that have a route.
    """
    if not facts.routing.read:
        return
    if realserver.kind is Kind.KUBERNETES:
        yield _finding(realserver, Verdict.SKIP, "a pod answers, by the node's routes for pods")
        return
    vips = tuple(dict.fromkeys(virtual.vip for virtual in service.virtual_services))
    missing = {vip: missing_route(vip, SOMEBODY[vip.version], facts) for vip in vips}
    for vip, words in missing.items():
        if words is not None:
            seen = f"{words}: clients there get no answer"
            yield _finding(realserver, Verdict.WARN, seen, remedy_for(vip, SOMEBODY[vip.version]))
    if any(missing.values()):
        return
    routes = {vip: facts.routing.found.get(Lookup(SOMEBODY[vip.version], vip)) for vip in vips}
    if unknown := [str(vip) for vip, route in routes.items() if not isinstance(route, Route)]:
        yield _finding(realserver, Verdict.SKIP, f"the route from {', '.join(unknown)} cannot be told")
    else:
        yield _finding(realserver, Verdict.PASS, "there is a route to clients in the Internet")


def missing_route(vip: Address, client: Address, facts: Facts) -> str | None:
    """That the VIP's answers to a client have no route, in words; None where they have, or it is not known.

    Not known is the route of an address that is not on the host, of what is in a VRF, and of packets that a
    rule leads by their mark, port or protocol.
    """
    found = facts.routing.found.get(Lookup(client, vip))
    if not isinstance(found, NoRoute) or not isinstance(local_device(facts, vip), str):
        return None
    if vrf_of(facts, decapsulator_name(tunnel_for(vip), facts)) is not None:
        return None
    if facts.routing.depends_on_more(vip.version, marked=facts.routing.set_for("tcp_fwmark_accept")):
        return None
    return f"there is no route from {vip} to {client} ({found})"


def remedy_for(vip: Address, client: Address) -> str:
    """How to see and mend it."""
    family = "ip -6" if vip.version == 6 else "ip"  # noqa: PLR2004  # IPv6
    return f"a route in the table that a rule names: {family} rule; {family} route get {client} from {vip}"


def _finding(realserver: Realserver, verdict: Verdict, seen: str, remedy: str = "") -> Finding:
    return Finding(CHECK, realserver.host, verdict, seen, "a route from the VIP to clients", remedy)
