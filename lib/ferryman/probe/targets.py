"""What is probed: realservers for each virtual service and outer source, and what they must drop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from ferryman.encapsulation import mss_limit
from ferryman.errors import InventoryError
from ferryman.model import Address, VirtualService
from ferryman.probe.transport import own_source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferryman.config import ProbeConfig
    from ferryman.model import Director, Realserver, Service

SourceTowards = Callable[[Address], Address]
"""The own address that packets to another one leave with; raises OSError where there is no route."""


@dataclass(frozen=True, slots=True)
class Target:
    """One realserver, asked for one virtual service."""

    host: str
    virtual_service: VirtualService
    realserver_address: Address
    """The destination of the outer packet."""
    mss_limit: int
    """The largest MSS in bytes with which full-size packets fit the tunnel."""
    outer_source: Address | None = None
    """None: the outer source that ``[probe]`` configures."""


def outer_source(target: Target, probe: ProbeConfig) -> Address:
    """The outer source that a target is asked with: its own, or the configured one of its family."""
    configured = probe.outer_source
    by_family = configured.ipv4 if target.realserver_address.version == 4 else configured.ipv6  # noqa: PLR2004  # IPv4
    return target.outer_source or by_family


Question = Literal["open-decapsulator", "forwards-strangers"]
"""What a packet of an unauthorised source, or for another host, finds out; also the id of the finding."""

UNRELATED_PORT = 22
"""Of the host that is no VIP: whatever that host says to a SYN, it must not get one."""


@dataclass(frozen=True, slots=True)
class SpoofTarget:
    """A packet that a realserver should not take: silence is the good answer."""

    question: Question
    target: Target


def probe_targets(service: Service) -> list[Target]:
    """Every realserver for every TCP virtual service, with each outer source that a director has for it.

    Where no director's is known, with the configured one. UDP virtual services give none: a SYN says nothing
    about them.

    Raises:
        InventoryError: A realserver has no address of a VIP's family; names all of them.
    """
    pairs = [
        (virtual, realserver) for virtual in _tcp_services(service) for realserver in service.realservers
    ]
    missing = [
        f"{realserver.host}: has no IPv{virtual.vip.version} address, and {service} has the VIP "
        f"{virtual.vip}; give it one in hosts.yaml"
        for virtual, realserver in pairs
        if realserver.address_for(virtual.vip) is None
    ]
    if missing:
        raise InventoryError(missing)
    return [
        _target(realserver, virtual, address, source)
        for virtual, realserver in pairs
        if (address := realserver.address_for(virtual.vip)) is not None
        for source in _outer_sources(service, address)
    ]


def spoof_targets(service: Service, source_towards: SourceTowards = own_source) -> list[SpoofTarget]:
    """Packets that realservers must leave unanswered; ``single_try`` says how they are sent.

    ``open-decapsulator``: this control host's own outer source, which is none of a director. Left out where
    it is one all the same, and where there is no route; ``source_towards`` tells it.
    ``forwards-strangers``: a director's outer source, but inside a packet to another host than the VIP.
    """
    return [*_open_decapsulators(service, source_towards), *_forwarders(service)]


def single_try(probe: ProbeConfig) -> ProbeConfig:
    """One flow and one try: an answer is what matters, and silence what is expected."""
    return probe.model_copy(update={"samples": 1, "tries": 1})


def patient(probe: ProbeConfig) -> ProbeConfig:
    """The configured time for each target, however fast others answer: for where silence has consequences."""
    return probe.model_copy(update={"patience": "fixed"})


def _open_decapsulators(service: Service, source_towards: SourceTowards) -> Iterator[SpoofTarget]:
    for virtual in _tcp_services(service):
        for realserver in service.realservers:
            address = realserver.address_for(virtual.vip)
            own = _source(address, source_towards) if address is not None else None
            if address is not None and own is not None and own not in _outer_sources(service, address):
                yield SpoofTarget("open-decapsulator", _target(realserver, virtual, address, own))


def _forwarders(service: Service) -> Iterator[SpoofTarget]:
    vips = {virtual.vip.version: virtual.vip for virtual in _tcp_services(service)}
    for vip in vips.values():
        for realserver in service.realservers:
            address, other = realserver.address_for(vip), _another_host(service, realserver, vip)
            if address is not None and other is not None:
                unrelated = VirtualService(
                    service.name, "unrelated", "tcp", other, UNRELATED_PORT, scheduler=""
                )
                source, *_ = _outer_sources(service, address)
                yield SpoofTarget("forwards-strangers", _target(realserver, unrelated, address, source))


def _another_host(service: Service, realserver: Realserver, vip: Address) -> Address | None:
    """The next realserver, or else a director: a host that this one must not forward packets to."""
    place = service.realservers.index(realserver)
    others: list[Realserver | Director] = [
        *service.realservers[place + 1 :],
        *service.realservers[:place],
        *service.directors,
    ]
    addresses = (host.address if vip.version == 4 else host.address6 for host in others)  # noqa: PLR2004  # IPv4
    return next((address for address in addresses if address is not None), None)


def with_own_source(target: Target, source_towards: SourceTowards = own_source) -> Target | None:
    """The same question with this control host's own outer source; None: that is it, or there is no route."""
    own = _source(target.realserver_address, source_towards)
    return None if own in (None, target.outer_source) else replace(target, outer_source=own)


def _source(address: Address, source_towards: SourceTowards) -> Address | None:
    try:
        return source_towards(address)
    except OSError:
        return None


def _tcp_services(service: Service) -> list[VirtualService]:
    return [virtual for virtual in service.virtual_services if virtual.protocol == "tcp"]


def _outer_sources(service: Service, address: Address) -> tuple[Address | None, ...]:
    """Those of all directors, each once; a single None where none is known."""
    known = (source for director in service.directors for source in director.outer_sources_for(address))
    return tuple(dict.fromkeys(known)) or (None,)


def _target(
    realserver: Realserver, virtual: VirtualService, address: Address, source: Address | None
) -> Target:
    limit = mss_limit(virtual.vip, address, realserver.path_mtu)
    return Target(realserver.host, virtual, address, limit, source)
