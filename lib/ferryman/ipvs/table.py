"""A director's IPVS table as values: compared, edited in place, put into JSON and taken out again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, cast

from ferryman.errors import ArgumentError
from ferryman.ipvs.forms import is_server
from ferryman.model import Address, Forwarding, Protocol, Service, VirtualService, host_port

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_PROTOCOL_OPTIONS: dict[Protocol, str] = {"tcp": "-t", "udp": "-u"}


@dataclass(frozen=True, slots=True)
class Destination:
    """A realserver as one entry of the table forwards to it."""

    address: Address
    port: int
    forwarding: Forwarding
    weight: int
    upper: int = 0
    """Connections from which on it gets no new ones; 0 is no limit."""
    lower: int = 0
    """Connections below which it gets new ones again."""
    tunnel: tuple[str, ...] = ()
    """Tunnel options of ipvsadm other than plain IPIP, as they were printed."""

    @property
    def key(self) -> str:
        """Address and port, as ipvsadm writes them."""
        return host_port(self.address, self.port)

    def __str__(self) -> str:
        return " ".join((self.key, self.forwarding.word, "weight", str(self.weight), *self.tunnel))

    def forwarded(self, forwarding: Forwarding) -> Destination:
        """The same destination with another forwarding method; tunnel options go with the tunnel."""
        keep = self.tunnel if forwarding is self.forwarding else ()
        return replace(self, forwarding=forwarding, tunnel=keep)

    def like(self, other: Destination) -> Destination:
        """The same destination, weight and limits, with the other's forwarding method."""
        return replace(self, forwarding=other.forwarding, tunnel=other.tunnel)


@dataclass(frozen=True, slots=True)
class VirtualServer:
    """One virtual service of a director's IPVS table, with its destinations sorted by address and port."""

    protocol: Protocol
    vip: Address
    port: int
    scheduler: str
    scheduler_flags: tuple[str, ...] = ()
    destinations: tuple[Destination, ...] = ()
    options: tuple[str, ...] = ()
    """Persistence and the like: ipvsadm's own words, kept as they are."""

    @property
    def key(self) -> tuple[Protocol, Address, int]:
        """What makes it the one it is."""
        return (self.protocol, self.vip, self.port)

    def __str__(self) -> str:
        return f"{self.protocol} {host_port(self.vip, self.port)}"

    @property
    def named(self) -> str:
        """How ipvsadm's command line names it: ``-t 192.0.2.1:80``."""
        return f"{_PROTOCOL_OPTIONS[self.protocol]} {host_port(self.vip, self.port)}"

    def forwarded(self, forwarding: Forwarding) -> VirtualServer:
        """The same virtual service with another forwarding method for each destination."""
        return replace(
            self, destinations=tuple(destination.forwarded(forwarding) for destination in self.destinations)
        )

    def sorted(self) -> VirtualServer:
        """The same virtual service with its destinations in order."""
        return replace(self, destinations=tuple(sorted(self.destinations, key=_order)))


Table = tuple[VirtualServer, ...]
Key = tuple[Protocol, Address, int]
"""What names a virtual service: protocol, VIP, port."""


def key_of(virtual: VirtualService) -> Key:
    """The key under which a catalog's virtual service stands in a director's table."""
    return (virtual.protocol, virtual.vip, virtual.port)


def of_service(table: Iterable[VirtualServer], service: Service) -> Table:
    """The virtual servers of a table that are this service's, in the service's order."""
    known = {server.key: server for server in table}
    return tuple(known[key] for key in map(key_of, service.virtual_services) if key in known)


def of_others(table: Iterable[VirtualServer], service: Service) -> Table:
    """The virtual servers of a table that are not this service's."""
    mine = set(map(key_of, service.virtual_services))
    return tuple(server for server in table if server.key not in mine)


def scheduling(server: VirtualServer) -> tuple[object, ...]:
    """What ``ipvsadm -E`` sets of a virtual server."""
    return server.scheduler, server.scheduler_flags, server.options


def edits(now: Table, wanted: Table) -> Iterator[str]:
    """What makes the entries as wanted, in ipvsadm's words: each virtual server, then its destinations.

    Only what differs is edited, in place.
    """
    current = {server.key: server for server in now}
    for server in wanted:
        known = current.get(server.key)
        if known is None or scheduling(known) != scheduling(server):
            yield _edit_server(server)
        as_now = {destination.key: destination for destination in known.destinations} if known else {}
        yield from (
            edit(server, destination)
            for destination in server.destinations
            if as_now.get(destination.key) != destination
        )


def _edit_server(server: VirtualServer) -> str:
    """Make a virtual server's scheduler, flags and options what it says."""
    flags = f" -b {','.join(server.scheduler_flags)}" if server.scheduler_flags else ""
    options = "".join(f" {word}" for word in server.options)
    return f"-E {server.named} -s {server.scheduler}{options}{flags}"


def edit(server: VirtualServer, destination: Destination) -> str:
    """The words that make a destination of this virtual service what ``destination`` says, in place."""
    limits = (
        f" -x {destination.upper} -y {destination.lower}" if destination.upper or destination.lower else ""
    )
    tunnel = "".join(f" {word}" for word in destination.tunnel)
    return (
        f"-e {server.named} -r {destination.key}"
        f" {destination.forwarding.value} -w {destination.weight}{limits}{tunnel}"
    )


def rules(server: VirtualServer) -> list[str]:
    """The lines of ``ipvsadm -Sn`` for one virtual service, which ``ipvsadm -R`` takes."""
    flags = f" -b {','.join(server.scheduler_flags)}" if server.scheduler_flags else ""
    options = "".join(f" {word}" for word in server.options)
    return [
        f"-A {server.named} -s {server.scheduler}{options}{flags}",
        *(_rule(server, destination) for destination in server.destinations),
    ]


def _rule(server: VirtualServer, destination: Destination) -> str:
    plain = (
        ("--tun-type", "ipip")
        if destination.forwarding is Forwarding.TUNNEL and not destination.tunnel
        else destination.tunnel
    )
    tunnel = "".join(f" {word}" for word in plain)
    method = destination.forwarding.value
    return f"-a {server.named} -r {destination.key} {method} -w {destination.weight}{tunnel}"


def differences(wanted: Iterable[VirtualServer], seen: Iterable[VirtualServer]) -> list[str]:
    """What the seen virtual servers are and were not wanted to be, a line for each thing; empty when alike.

    Virtual servers that are seen and not wanted belong to other services: they are not compared.
    """
    known = {server.key: server for server in seen}
    return [line for server in wanted for line in _differs(server, known.get(server.key))]


def between(seen: Table, first: Table, other: Table) -> bool:
    """Whether everything seen is as one of two tables with the same entries has it."""
    models = [{server.key: server for server in table} for table in (first, other)]
    return {server.key for server in seen} == set(models[0]) and all(
        _as_one_of(server, [model[server.key] for model in models]) for server in seen
    )


def _as_one_of(server: VirtualServer, likes: Sequence[VirtualServer]) -> bool:
    known = {destination for like in likes for destination in like.destinations}
    return (
        scheduling(server) in map(scheduling, likes)
        and {destination.key for destination in server.destinations}
        == {destination.key for destination in likes[0].destinations}
        and known.issuperset(server.destinations)
    )


def _differs(wanted: VirtualServer, seen: VirtualServer | None) -> Iterator[str]:
    if seen is None:
        yield f"{wanted}: not in the table"
        return
    for what in ("scheduler", "scheduler_flags", "options"):
        is_now, should = getattr(seen, what), getattr(wanted, what)
        if is_now != should:
            yield f"{wanted}: {what.replace('_', ' ')} {_say(is_now)}, wanted {_say(should)}"
    now = {destination.key: destination for destination in seen.destinations}
    should_be = {destination.key: destination for destination in wanted.destinations}
    for key, destination in should_be.items():
        yield from _destination_differs(f"{wanted}: {key}", destination, now.get(key))
    for key in now.keys() - should_be.keys():
        yield f"{wanted}: {key} is there ({now[key].forwarding.word}), wanted no such destination"


def _destination_differs(where: str, wanted: Destination, seen: Destination | None) -> Iterator[str]:
    if seen is None:
        yield f"{where} is missing"
        return
    is_now, should = (seen.forwarding.word, *seen.tunnel), (wanted.forwarding.word, *wanted.tunnel)
    if is_now != should:
        yield f"{where} is {_say(is_now)}, wanted {_say(should)}"
    for what in ("weight", "upper", "lower"):
        has, needs = getattr(seen, what), getattr(wanted, what)
        if has != needs:
            name = what if what == "weight" else f"{what} threshold"
            yield f"{where}: {name} {has}, wanted {needs}"


def _say(value: str | tuple[str, ...]) -> str:
    return value if isinstance(value, str) else " ".join(value) or "none"


def to_json(table: Sequence[VirtualServer]) -> list[dict[str, Any]]:
    """The table as a value for the journal; ``from_json`` takes it back."""
    return [
        {
            "protocol": server.protocol,
            "vip": str(server.vip),
            "port": server.port,
            "scheduler": server.scheduler,
            "scheduler_flags": list(server.scheduler_flags),
            "options": list(server.options),
            "destinations": [_destination_to_json(destination) for destination in server.destinations],
        }
        for server in table
    ]


def _destination_to_json(destination: Destination) -> dict[str, Any]:
    return {
        "address": str(destination.address),
        "port": destination.port,
        "forwarding": destination.forwarding.word,
        "weight": destination.weight,
        "upper": destination.upper,
        "lower": destination.lower,
        "tunnel": list(destination.tunnel),
    }


def from_json(value: Sequence[dict[str, Any]]) -> Table:
    """The table that ``to_json`` wrote.

    Raises:
        ArgumentError: It is none: somebody else wrote into the journal.
    """
    try:
        return tuple(map(_server_from_json, value))
    except (LookupError, TypeError, ValueError, AttributeError, StopIteration) as error:
        raise ArgumentError(
            f"a table out of the journal is not understood ({type(error).__name__}: {error}); see who wrote"
            " there; nothing was sent to a host"
        ) from error


def _server_from_json(server: dict[str, Any]) -> VirtualServer:
    found = VirtualServer(
        cast("Protocol", server["protocol"]),
        ip_address(server["vip"]),
        server["port"],
        server["scheduler"],
        tuple(server["scheduler_flags"]),
        tuple(map(_destination_from_json, server["destinations"])),
        tuple(server["options"]),
    )
    if not is_server(found):
        raise ValueError("a value has not the form that ipvsadm prints")
    return found


def _destination_from_json(value: dict[str, Any]) -> Destination:
    forwarding = next(method for method in Forwarding if method.word == value["forwarding"])
    return Destination(
        ip_address(value["address"]),
        value["port"],
        forwarding,
        value["weight"],
        value["upper"],
        value["lower"],
        tuple(value["tunnel"]),
    )


def _order(destination: Destination) -> tuple[int, bytes, int]:
    return (destination.address.version, destination.address.packed, destination.port)
