"""Check ``director-segment``: does a director share an Ethernet segment with each realserver?

Direct routing hands a packet to the realserver by its MAC address and leaves the packet's destination, the
VIP, as it is: behind a router it comes back to the director, or is lost. IPIP has no such limit, so a service
with a realserver behind a router can be moved to IPIP and not back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.directors.checks.findings import some
from ferryman.directors.observe import addresses_of
from ferryman.model import Finding, Forwarding, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ferryman.hosts.verbs.directors import DirectorState
    from ferryman.model import Address, Director, Realserver, Service

CHECK = "director-segment"
_WANTED = "a segment that the director shares with each realserver, or IPIP"


def segment(director: Director, service: Service, seen: DirectorState) -> Iterator[Finding]:
    """Which realservers are behind a router, and whether the service is forwarded there by direct routing.

    Source: ``ip_vs_dr_xmit`` in ``ip_vs_xmit.c``, which sends the packet as it is to the route's next hop;
    measured. What has no route is told by ``director-mtu``.
    """
    behind = {
        address: (realserver, router)
        for realserver, address in addresses_of(service)
        if (next_hop := seen.next_hops.get(address)) is not None
        and (router := next_hop.router_before(address)) is not None
    }
    if not behind:
        if any(address in seen.next_hops for _, address in addresses_of(service)):
            near = "no router is between it and the realservers"
            yield Finding(CHECK, director.host, Verdict.PASS, near, _WANTED)
        return
    lost = [address for address in behind if address in _directly_routed(service, seen, behind)]
    if lost:
        yield Finding(
            CHECK,
            director.host,
            Verdict.WARN,
            f"requests that it hands to {_named(behind, lost)} by direct routing are lost already",
            _WANTED,
            "take them out of the pool; they may come back once the service is on IPIP, and from then on"
            " there is no way back",
        )
    if fine := [address for address in behind if address not in lost]:
        note = f"{_named(behind, fine)}: reached by IPIP alone, so there is no way back to direct routing"
        yield Finding(CHECK, director.host, Verdict.PASS, note, _WANTED)


def no_way_back(behind: Iterable[tuple[str, Address]]) -> str:
    """Why a change to IPIP cannot be put back, for realservers by name and the router before each."""
    words = some(f"{name} (behind {router})" for name, router in behind)
    return (
        f"direct routing does not reach {words}: the director shares no segment with it,"
        " and rolled back its share of the requests would be lost"
    )


def _directly_routed(service: Service, seen: DirectorState, behind: Iterable[Address]) -> set[Address]:
    """The addresses that get requests by direct routing; without a table, as the catalog says."""
    if seen.table is None:
        return set() if service.encapsulated else set(behind)
    return {
        destination.address
        for server in seen.table
        for destination in server.destinations
        if destination.forwarding is Forwarding.DIRECT and destination.weight > 0
    }


def _named(behind: Mapping[Address, tuple[Realserver, Address]], addresses: Iterable[Address]) -> str:
    return some(f"{behind[address][0].host} (behind {behind[address][1]})" for address in addresses)
