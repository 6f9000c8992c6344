"""Check ``rp-filter-outer``: the NIC's own reverse path filter lets the outer packets in."""

from __future__ import annotations

from functools import partial
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from ferryman.model import Finding, Verdict
from ferryman.realservers.checks.decapsulation import IPIP, key, tunnels, vrf_of
from ferryman.realservers.checks.firewall import outer_sources
from ferryman.realservers.checks.rp_filter import OFF, effective_rp_filter, is_loose
from ferryman.realservers.facts import ALL, Unknown
from ferryman.realservers.facts.routing import Lookup, NoRoute

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ferryman.model import Address, Realserver, Service
    from ferryman.realservers.facts import Device, Facts
    from ferryman.realservers.facts.routing import Route

CHECK = "rp-filter-outer"
QUIET_KINDS = ("dummy",)
"""Beside lo: kinds of device that hold an address, and that nothing comes in by."""
Judged = tuple[Verdict, str, str]
"""Verdict, what was seen, and the remedy."""


def rp_filter_outer(service: Service, realserver: Realserver, facts: Facts) -> Iterator[Finding]:
    """Outer packets of every director pass the reverse path filter of the device that they come in by.

    Sources: __fib_validate_source in net/ipv4/fib_frontend.c: the route to the source, from the address that
    it wrote to, must be by the same device (rp_filter 1), or be there at all (2). A source that is the host's
    own address, or no host's, is dropped whatever rp_filter says. Measured with a director behind another
    device: nothing comes out of the tunnel, and TcpExtIPReversePathFilter grows.
    """
    if not facts.routing.read:
        return
    finding = partial(_finding, realserver)
    if IPIP not in tunnels(service):
        yield finding(Verdict.SKIP, "IPv6 alone, which has no rp_filter")
        return
    sources = outer_sources_known(service, realserver)
    if realserver.address is None or not sources:
        yield finding(Verdict.SKIP, "the directors' outer sources are not known")
        return
    if isinstance(facts.devices, Unknown):
        yield finding(Verdict.SKIP, facts.devices.reason)
        return
    judged = [judge_source(realserver.address, source, facts) for source in sources]
    worst = [each for each in judged if each[0] in (Verdict.FAIL, Verdict.WARN)]
    skipped = [each for each in judged if each[0] is Verdict.SKIP]
    yield from (finding(*each) for each in dict.fromkeys(worst or skipped[:1] or judged[:1]))


def outer_sources_known(service: Service, realserver: Realserver) -> list[IPv4Address]:
    """The IPv4 sources that directors send from; a director on this very host is reached through lo."""
    elsewhere = [director for director in service.directors if director.host != realserver.host]
    if service.directors and not elsewhere:
        return []
    own = {
        source
        for director in service.directors
        if director not in elsewhere and realserver.address is not None
        for source in director.outer_sources_for(realserver.address)
    }
    sources = outer_sources(service, IPIP, realserver)
    return [source for source in sources if isinstance(source, IPv4Address) and source not in own]


def judge_source(own: Address, source: IPv4Address, facts: Facts) -> Judged:
    """What becomes of packets from this outer source to the realserver's own address."""
    if (martian := _no_source(source)) is not None:
        return Verdict.FAIL, f"the outer source {source} is {martian}: the kernel drops it", _NAME_ANOTHER
    devices = {} if isinstance(facts.devices, Unknown) else facts.devices
    holder = next(
        (device for device in devices.values() if any(held.ip == own for held in device.addresses)), None
    )
    if holder is None:
        return Verdict.SKIP, f"{own} is on no device of this host", ""
    if (vrf := vrf_of(facts, holder.name)) is not None:
        return Verdict.SKIP, f"{holder.name} is in the VRF {vrf}, whose routes were not asked for", ""
    found = facts.routing.found.get(Lookup(source, own))
    if found is None:
        return Verdict.SKIP, f"the route back to {source} could not be read", ""
    if isinstance(found, NoRoute):
        return _without_route(holder, source, facts, found)
    return _with_route(holder, source, facts, found)


def _with_route(holder: Device, source: IPv4Address, facts: Facts, route: Route) -> Judged:
    if route.kind != "unicast":
        if facts.routing.set_for("accept_local", holder.name):
            return Verdict.PASS, f"{source} is local here, and accept_local is set", ""
        seen = f"the outer source {source} is {route.kind} on this host: the kernel drops it"
        return Verdict.FAIL, seen, _NAME_ANOTHER
    if _is_quiet(holder):
        return Verdict.PASS, f"the route back to {source} is {route}", ""
    return _unless_open(holder, facts, lambda mode: _by_another(holder, source, route, mode))


def _without_route(holder: Device, source: IPv4Address, facts: Facts, found: NoRoute) -> Judged:
    def dropped(mode: int) -> Judged:
        where = "every device" if _is_quiet(holder) else holder.name
        seen = (
            f"{mode} is in force on {where}, and no route leads back to the outer source {source} ({found})"
        )
        remedy = f"a route to {source}: ip route get {source}; or no filter: sysctl -w {_off(facts, holder)}"
        return Verdict.FAIL, f"{seen}: it is dropped", remedy

    return _unless_open(holder, facts, dropped)


def _unless_open(holder: Device, facts: Facts, judged: Callable[[int], Judged]) -> Judged:
    """The judgement by the filter's mode, where it is in force and addresses alone decide."""
    mode = facts.setting("rp_filter", ALL) if _is_quiet(holder) else effective_rp_filter(facts, holder.name)
    if isinstance(mode, Unknown):
        return Verdict.SKIP, mode.reason, ""
    if mode == OFF:
        return Verdict.PASS, f"no filter is in force on {holder.name}", ""
    marked = facts.routing.set_for("src_valid_mark", holder.name)
    if (rule := facts.routing.depends_on_more(IPIP.version, marked=marked)) is not None:
        return Verdict.SKIP, f"{rule} looks at more than addresses: the probe decides", ""
    return judged(mode)


def _by_another(holder: Device, source: IPv4Address, route: Route, mode: int) -> Judged:
    if holder.name in route.devices:
        return Verdict.PASS, f"the route back to {source} is by {holder.name}", ""
    if is_loose(mode):
        return Verdict.PASS, f"{key(holder.name)} is loose, and there is a route back to {source}", ""
    by = " and ".join(route.devices) or "no device"
    seen = f"1 is in force on {holder.name}, and the route back to the outer source {source} is by {by}"
    remedy = f"sysctl -w {key(holder.name)}=2, kept in sysctl.d; or a route to {source} by {holder.name}"
    if any(source in address.network for address in holder.addresses):
        return Verdict.FAIL, f"{seen}: {holder.name} drops it", remedy
    return Verdict.WARN, f"{seen}: dropped where it comes in by {holder.name}; the probe decides", remedy


def _is_quiet(holder: Device) -> bool:
    return holder.name == "lo" or holder.kind in QUIET_KINDS


def _off(facts: Facts, holder: Device) -> str:
    names = [name for name in (ALL, holder.name) if facts.setting("rp_filter", name) != OFF]
    return " ".join(f"{key(name)}=0" for name in names)


def _no_source(address: IPv4Address) -> str | None:
    """Why no packet may come from there. Source: ip_route_input_slow in net/ipv4/route.c."""
    if address.is_multicast:
        return "a multicast address"
    if address.is_loopback:
        return "a loopback address"
    if address.packed[0] == 0 or address == IPv4Address("255.255.255.255"):
        return "no host's address"
    return None


_NAME_ANOTHER = (
    "let the director send from an address of its own, and name that: outer_sources in directors.yaml"
)


def _finding(realserver: Realserver, verdict: Verdict, seen: str, remedy: str = "") -> Finding:
    wanted = "the route back to each outer source by the device that it comes in by, or no filter there"
    return Finding(CHECK, realserver.host, verdict, seen, wanted, remedy)
