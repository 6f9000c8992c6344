"""Are a service's directors fit to tunnel it, and of one mind? Their gates, MTUs, sources and settings."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ferryman.directors.checks.consistency import Moving, consistency_findings, none_moves
from ferryman.directors.checks.findings import catalog_findings, not_reached, some
from ferryman.directors.checks.segment import segment
from ferryman.directors.observe import DirectorStates, addresses_of
from ferryman.directors.options import Options
from ferryman.hosts.verbs.directors import SETTINGS, DirectorState, NextHop
from ferryman.model import Finding, Verdict
from ferryman.realservers.facts.routing import says_no_route

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ferryman.model import Address, Director, Service

GATE, MTU, SOURCE, SETTING = "director-gate", "director-mtu", "director-source", "director-sysctl"


def findings_of(service: Service, seen: DirectorStates, moving: Moving = none_moves) -> list[Finding]:
    """What every check says of what was seen; a gate is in the inventory, so a silent director has one.

    ``moving`` says of a director which weights move by themselves, and is asked only where that matters.
    """
    answered = {host: state for host, state in seen.items() if isinstance(state, DirectorState)}
    findings = [finding for director in service.directors for finding in _of_one(director, service, seen)]
    tables = {host: state.table for host, state in answered.items() if state.table is not None}
    return [*findings, *consistency_findings(service, tables, moving), *sloppy_alike(service, answered)]


def _of_one(director: Director, service: Service, seen: DirectorStates) -> Iterator[Finding]:
    yield gate(director, service)
    state = seen[director.host]
    if not isinstance(state, DirectorState):
        yield not_reached(director, state)
        return
    if state.table is not None:
        yield from catalog_findings(director, service, state.table)
    yield from mtu(director, service, state)
    yield from segment(director, service, state)
    yield from outer_source(director, service, state)
    yield settings(director, state)


def gate(director: Director, service: Service) -> Finding:
    """Each director has a gate of its own beside the catalog's flag; one that is shut tunnels nothing.

    Gates that differ between the directors of a service have been seen in production (domain: hiera's
    ``ipip_enabled`` as a host override): after a failover the other way of forwarding would be back.
    """
    where = f"{Options(director, service).where}: ipip_enabled"
    if director.ipip_enabled:
        return Finding(GATE, director.host, Verdict.PASS, "ipip_enabled is true", "true on every director")
    return Finding(
        GATE,
        director.host,
        Verdict.FAIL,
        f"{where}: is false",
        f"true on every director of {service.name}",
        "let this director tunnel first (in its own configuration), then say so in directors.yaml",
    )


def mtu(director: Director, service: Service, seen: DirectorState) -> Iterator[Finding]:
    """The director's device must take outer packets as large as the path MTU of each realserver.

    IPVS subtracts the outer header from the MTU of the route and refuses what is larger, or fragments it
    when ``pmtu_disc`` is 0 (``ip_vs_xmit.c``, ``__mtu_check_toobig_v4``).
    """
    small: dict[tuple[_Room, int], list[str]] = {}
    enough: dict[_Room, list[str]] = {}
    unknown: list[str] = []
    for realserver, address in addresses_of(service):
        next_hop = seen.next_hops.get(address)
        if next_hop is not None and next_hop.local:
            continue
        room = _room(next_hop, seen)
        if room is None:
            unknown.append(f"{realserver.host} ({address})")
        elif room.bytes < realserver.path_mtu:
            small.setdefault((room, realserver.path_mtu), []).append(realserver.host)
        else:
            enough.setdefault(room, []).append(realserver.host)
    for (room, wanted), names in small.items():
        yield Finding(
            MTU,
            director.host,
            Verdict.FAIL,
            f"{room} towards {some(names)}",
            f"{wanted} bytes, the path MTU that the inventory says",
            f"raise it ({room.command} mtu {wanted}), or give path_mtu: {room.bytes} in hosts.yaml",
        )
    for room, names in enough.items():
        words, wanted_words = f"{room} towards {some(names)}", "the path MTU of each realserver"
        yield Finding(MTU, director.host, Verdict.PASS, words, wanted_words)
    if unknown:
        yield _no_next_hop(director, unknown, seen)


@dataclass(frozen=True, slots=True)
class _Room:
    """How large a packet may be on a route, in bytes, and whether the device or the route says so."""

    device: str
    bytes: int
    by_route: bool

    def __str__(self) -> str:
        whose = f"the route by {self.device}" if self.by_route else self.device
        return f"{whose} has an MTU of {self.bytes} bytes"

    @property
    def command(self) -> str:
        """What sets it; a route's may also have been learnt from an ICMP message, and then expires."""
        return "ip route change …" if self.by_route else f"ip link set dev {self.device}"


def _room(next_hop: NextHop | None, seen: DirectorState) -> _Room | None:
    """None when it is not known."""
    link = seen.mtus.get(next_hop.device) if next_hop is not None else None
    if next_hop is None or link is None:
        return None
    by_route = next_hop.mtu is not None and next_hop.mtu < link
    return _Room(next_hop.device, next_hop.mtu if by_route and next_hop.mtu is not None else link, by_route)


def _no_next_hop(director: Director, unknown: Sequence[str], seen: DirectorState) -> Finding:
    no_route = says_no_route(seen.complaint)
    what = "there is no route to" if no_route else "device and MTU could not be read for"
    complaint = f": {seen.complaint}" if seen.complaint else ""
    return Finding(
        MTU,
        director.host,
        Verdict.FAIL if no_route else Verdict.UNKNOWN,
        f"{what} {some(unknown)}{complaint}",
        "a route to each realserver that takes packets of its path MTU",
        "run on the director: ip route get ADDRESS; ip link show",
    )


def outer_source(director: Director, service: Service, seen: DirectorState) -> Iterator[Finding]:
    """The source that the director's kernel takes should be one that the inventory knows.

    A realserver's firewall must let in what the directors really send, and probes must look like it.
    """
    for source, addresses in _by_source(seen).items():
        known = director.outer_sources_for(source)
        wanted = " or ".join(map(str, known)) or "any: the inventory does not say"
        if source in known or not known:
            yield Finding(SOURCE, director.host, Verdict.PASS, f"outer packets come from {source}", wanted)
        else:
            yield Finding(
                SOURCE,
                director.host,
                Verdict.WARN,
                f"outer packets to {some(map(str, addresses))} come from {source}",
                f"{wanted}, as the inventory says",
                f"add {source} to outer_sources of {Options(director, service).where}, and see that"
                " realservers let it in",
            )


def real_outer_sources(seen: DirectorState) -> Mapping[Address, Address]:
    """By a realserver's address: the outer source with which this director's packets arrive there."""
    return {
        address: next_hop.source
        for address, next_hop in seen.next_hops.items()
        if next_hop.source is not None and not next_hop.local
    }


def with_real_sources(service: Service, seen: DirectorStates) -> Service:
    """The service with directors whose outer sources are what the inventory names and what they really use.

    So probes look like the directors' packets also where the inventory does not know. A director that was
    not seen stays as it is.
    """
    return replace(
        service,
        directors=tuple(_with_real(director, seen.get(director.host)) for director in service.directors),
    )


def _with_real(director: Director, seen: object) -> Director:
    if not isinstance(seen, DirectorState):
        return director
    sources = dict.fromkeys((*director.outer_sources, *real_outer_sources(seen).values()))
    return replace(director, outer_sources=tuple(sources))


def _by_source(seen: DirectorState) -> dict[Address, list[Address]]:
    sources: dict[Address, list[Address]] = {}
    for address, source in real_outer_sources(seen).items():
        sources.setdefault(source, []).append(address)
    return sources


def settings(director: Director, seen: DirectorState) -> Finding:
    """What IPVS is set to, for the record; ``pmtu_disc`` 0 is no fault, but is said."""
    values = ", ".join(f"{key} {seen.settings[key]}" for key in SETTINGS if key in seen.settings)
    wanted = "for the record"
    if not values:
        return Finding(SETTING, director.host, Verdict.SKIP, "net.ipv4.vs could not be read", wanted)
    note = "; too large packets are fragmented, not refused" if seen.settings.get("pmtu_disc") == 0 else ""
    return Finding(SETTING, director.host, Verdict.PASS, f"net.ipv4.vs: {values}{note}", wanted)


def sloppy_alike(service: Service, seen: Mapping[str, DirectorState]) -> list[Finding]:
    """With mh a flow survives a failover when the other director takes up what it has no state for.

    It does so with ``sloppy_tcp`` 1 alone, so it must be the same on all (``ipvs-sysctl``).
    """
    values = {
        host: state.settings["sloppy_tcp"] for host, state in seen.items() if "sloppy_tcp" in state.settings
    }
    if len(set(values.values())) < 2 or "mh" not in _schedulers(service):  # noqa: PLR2004  # two that differ
        return []
    without = [host for host, value in values.items() if value == 0]
    others = [host for host, value in values.items() if value != 0]
    return [
        Finding(
            SETTING,
            host,
            Verdict.WARN,
            f"net.ipv4.vs.sloppy_tcp is 0, on {some(others)} it is not",
            "the same on every director of a service with scheduler mh: flows break when they come here",
            "sysctl -w net.ipv4.vs.sloppy_tcp=1",
        )
        for host in without
    ]


def _schedulers(service: Service) -> set[str]:
    return {virtual.scheduler for virtual in service.virtual_services}
