"""Host routes to realservers, which keep established connections whole while their forwarding method changes.

IPVS caches one route for each destination, and direct-routed and tunnelled connections share it. Direct
routing looks the route up with ``FLOWI_FLAG_KNOWN_NH``, so that the realserver is the next hop; tunnel mode
does not, and on a connected network such a route has no next hop but the packet's own destination: for a
direct-routed packet, the VIP. Whichever packet comes first after an edit (it empties the cache) or after a
change of routes (IPv4: of any; IPv6: of one in their network) decides for all
(``net/netfilter/ipvs/ip_vs_xmit.c``, ``__ip_vs_get_out_rt``). When it is a tunnelled one, the director asks
ARP for the VIP and the direct-routed packets are lost. With a route *via* the realserver both lookups find
the same next hop.

So the routes must be there from before the first edit until a destination has connections of one kind alone,
during the migration and during a rollback; and taking one away empties the cache too.

They are marked: protocol 102, and a metric of the service's own. Routes of two services to one realserver
stand beside each other, each is taken away by its own service, and nobody else's host route is ever
replaced.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from ferryman.errors import UnknownOutcomeError, VerifyError
from ferryman.hosts.verbs.directors import gateway_of
from ferryman.hosts.verbs.routes import (
    PROTOCOL,
    AddHostRoutes,
    ReadHostRoutes,
    RemoveHostRoutes,
    Route,
    add_words,
    remove_words,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ferryman.hosts.hosts import Hosts
    from ferryman.hosts.verbs import WriteVerb
    from ferryman.hosts.verbs.routes import RoutesReading
    from ferryman.model import Address, Director, Service

T = TypeVar("T")
_Shown = Mapping[str, Any]
"""A route as ip(8) shows it."""


def metric_of(service: str, site: str) -> int:
    """The metric of a service's routes at a site."""
    return 1 + zlib.crc32(f"{service}@{site}".encode()) % 0x7FFFFFFF


@dataclass(frozen=True, slots=True)
class RoutesState:
    """What a director's routes to a service's realservers are."""

    needed: tuple[Route, ...] = ()
    """Realservers on a connected network that have no next hop yet."""
    ours: tuple[Route, ...] = ()
    """Routes that this service's runs have put there."""
    notes: tuple[str, ...] = ()
    """Realservers that need none, and why; a line each."""
    problems: tuple[str, ...] = ()
    """Realservers that cannot be protected, and why; a line each."""
    behind: tuple[tuple[Address, Address], ...] = ()
    """Realservers that are on no segment of the director's, and the router before each of them."""

    def with_one(self, address: Address, found: _Judged) -> RoutesState:
        """What was seen, with one more realserver."""
        return RoutesState(
            (*self.needed, found.needed) if found.needed else self.needed,
            (*self.ours, found.ours) if found.ours else self.ours,
            (*self.notes, f"{address}: {found.note}") if found.note else self.notes,
            (*self.problems, f"{address}: {found.problem}") if found.problem else self.problems,
            (*self.behind, (address, found.router)) if found.router else self.behind,
        )


class HostRoutes:
    """The host routes of one service on one director."""

    def __init__(self, director: Director, service: Service, hosts: Hosts) -> None:
        self.host = director.host
        self.service = service
        self.hosts = hosts

    @property
    def metric(self) -> int:
        """The service's own metric: it tells its routes from another service's."""
        return metric_of(self.service.name, self.service.site)

    def read(self, also: Iterable[Address] = ()) -> RoutesState:
        """What is there and what is needed, to the service's realservers and these; one round trip.

        Raises:
            VerifyError: What ip(8) says is not understood.
            DoubtError: The director could not be asked.
        """
        question = self.question(also)
        return self._seen(question.addresses, self.hosts.read(self.host, question))

    def question(self, also: Iterable[Address] = ()) -> ReadHostRoutes:
        """What asks the director for its routes to the service's realservers and to these addresses."""
        return ReadHostRoutes(tuple(dict.fromkeys([*self._addresses(), *also])))

    def add_commands(self, routes: Iterable[Route]) -> list[str]:
        """What ``add`` runs, for people to read."""
        return [f"ip {words}" for words in add_words(list(routes), self.metric)]

    def remove_commands(self, routes: Iterable[Route]) -> list[str]:
        """What ``remove`` runs, for people to read."""
        return [f"ip {words}" for words in remove_words(list(routes), self.metric)]

    def add(self, routes: Sequence[Route]) -> None:
        """Add these routes and see that they are used; one round trip, and harmless when they are there.

        Raises:
            VerifyError: A realserver is still reached without a next hop.
            DoubtError: The director went silent.
        """
        if not routes:
            return
        answers = self._write(AddHostRoutes(tuple(routes), self.metric))
        problems = self._seen([route.address for route in routes], answers).problems
        if problems:
            raise VerifyError("\n".join(f"{self.host}: {problem}" for problem in problems))

    def remove(self, routes: Sequence[Route]) -> None:
        """Take these routes away, as far as they are there; one round trip.

        Raises:
            VerifyError: One could not be taken away.
            DoubtError: The director went silent.
        """
        if routes:
            self._write(RemoveHostRoutes(tuple(routes), self.metric))

    def _write(self, verb: WriteVerb[T]) -> T:
        try:
            return self.hosts.write(self.host, verb)
        except UnknownOutcomeError:  # both verbs say what is to be, not what is to happen: twice is as once
            return self.hosts.write(self.host, verb)

    def _addresses(self) -> list[Address]:
        families = {virtual.vip.version for virtual in self.service.virtual_services}
        both = [
            address
            for realserver in self.service.realservers
            for address in (realserver.address, realserver.address6)
        ]
        return [address for address in both if address is not None and address.version in families]

    def _seen(self, addresses: Iterable[Address], reading: RoutesReading) -> RoutesState:
        seen = RoutesState()
        for address in addresses:
            in_use, exact = reading.used.get(address), reading.there.get(address, [])
            found = self._judged(address, in_use[0], exact) if in_use else _NO_ROUTE
            seen = seen.with_one(address, found)
        return seen

    def _judged(self, address: Address, used: _Shown, there: Sequence[_Shown]) -> _Judged:
        route, via = Route(address, str(used.get("dev", ""))), _gateway(used)
        theirs = [shown for shown in there if str(shown.get("protocol")) != str(PROTOCOL)]
        if used.get("type") == "local":
            return _Judged(note="is the director's own address")
        mine = [shown for shown in there if shown not in theirs and shown.get("metric") == self.metric]
        if mine:
            own = Route(address, str(mine[0].get("dev", "")))
            return _Judged(ours=own) if via else _Judged(ours=own, problem=_unused(address))
        if via not in (None, address):
            return _Judged(note=f"is behind {via}", router=via)
        if any(their.get("gateway") == str(address) for their in theirs):
            return _Judged(note="has such a host route already, which ferryman did not make")
        return _Judged(problem=_blocking_route(address, theirs[0])) if theirs else _Judged(needed=route)


@dataclass(frozen=True, slots=True)
class _Judged:
    """What one realserver's routes come to."""

    needed: Route | None = None
    ours: Route | None = None
    note: str = ""
    problem: str = ""
    router: Address | None = None


_NO_ROUTE = _Judged(problem="the director has no route to it; see ip route get")


def _blocking_route(address: Address, route: _Shown) -> str:
    what = f"dev {route.get('dev')}, protocol {route.get('protocol')}"
    return (
        f"has a host route without a next hop ({what}) that ferryman did not make;"
        f" make it `via {address} onlink`, or take it away"
    )


def _gateway(route: _Shown) -> Address | None:
    """The gateway of a route; None where it has none that is an address."""
    try:
        return gateway_of(route)
    except ValueError:
        return None


def _unused(address: Address) -> str:
    return f"its host route is there and not used; ip rule, and ip route get {address}, show what is"
