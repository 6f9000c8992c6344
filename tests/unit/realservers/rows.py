"""Hosts as they may be, and what a check is to say of each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address, ip_interface, ip_network
from typing import TYPE_CHECKING

from ferryman.firewall import Ruleset, parse_save
from ferryman.firewall.nat import NatTable
from ferryman.model import Finding, Kind, MssStrategy, Realserver, Service, Verdict
from ferryman.realservers.checks import realserver_checks
from ferryman.realservers.facts import Device, Facts, Listener, LocalRoute, Unknown
from ferryman.realservers.facts.sysctl_d import SysctlFiles

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ferryman.realservers.facts import Setting

V4, V6 = "192.0.2.1:80", "fd99::1:80"
LO = Device(
    "lo", up=True, addresses=(ip_interface("127.0.0.1/8"), ip_interface("192.0.2.1"), ip_interface("fd99::1"))
)
ETH0 = Device("eth0", up=True, mtu=1500, addresses=(ip_interface("10.10.0.21/24"),))
IPIP0 = Device("ipip0", "ipip", up=True, external=True, addresses=(ip_interface("127.0.0.42/32"),))
IPIP60 = Device("ipip60", "ip6tnl", up=True, external=True)
TUNL0 = Device("tunl0", "ipip")
BARE_LO = replace(LO, addresses=(ip_interface("127.0.0.1/8"),))
NO = Unknown("could not be read: no such tool")


def local_routes(devices: tuple[Device, ...]) -> tuple[LocalRoute, ...]:
    return tuple(LocalRoute(ip_network(a.ip), device.name) for device in devices for a in device.addresses)


def facts(
    *devices: Device,
    rp: Mapping[str, int] | None = None,
    listens: tuple[Listener, ...] = (Listener("tcp", None, 80),),
    nat: NatTable | None = None,
    **other: object,
) -> Facts:
    """A host as it should be, with these devices in the place of the usual ones."""
    named = {device.name: device for device in (LO, ETH0, IPIP0, IPIP60)}
    named |= {device.name: device for device in devices}
    present = {name: device for name, device in named.items() if device.name and device.mtu >= 0}
    settings: dict[tuple[Setting, str], int] = {("rp_filter", "all"): 0, ("rp_filter", "default"): 0}
    settings |= {("arp_ignore", "all"): 1, ("arp_announce", "all"): 2}
    for name in present:
        settings |= {("rp_filter", name): 0, ("arp_ignore", name): 0, ("arp_announce", name): 0}
    settings |= {("rp_filter", name): value for name, value in (rp or {}).items()}
    whole = Facts(
        host="web1",
        kernel="6.1.0",
        devices=present,
        local_routes=local_routes(tuple(present.values())),
        settings=settings,
        listeners=listens,
        counted={},
        nat=nat or NatTable(),
        persisted=SysctlFiles(),
    )
    return replace(whole, **other)  # type: ignore[arg-type]  # each test names a field of Facts


def gone(name: str) -> Device:
    return Device(name, mtu=-1)


def rules(text: str, version: int = 4) -> Ruleset:
    """The text that ``iptables-save`` printed."""
    return Ruleset(parse_save(text, "iptables-legacy", version, {}))


@dataclass(frozen=True)
class Row:
    """What one check is to say of one host: verdict, and words of what was seen and of the remedy."""

    seen: Facts
    verdict: Verdict
    words: str = ""
    remedy: str = ""
    vips: tuple[str, ...] = (V4,)
    kind: Kind = Kind.SERVER
    mss: MssStrategy = MssStrategy.CLAMP
    path_mtu: int = 1500
    protocol: str = "tcp"


def realserver_of(row: Row) -> Realserver:
    own4, own6 = IPv4Address("10.10.0.21"), IPv6Address("fd10::21")
    return Realserver("web1", row.kind, own4, own6, None, row.mss, row.path_mtu)


def judge(check: str, row: Row, service_of: Callable[..., Service]) -> list[Finding]:
    service = service_of(*row.vips, protocol=row.protocol)
    return [
        realserver_check
        for realserver_check in realserver_checks(service, realserver_of(row), row.seen)
        if realserver_check.check == check
    ]


def assert_says(found: list[Finding], row: Row) -> None:
    assert [finding.verdict for finding in found] == [row.verdict], found
    assert row.words in found[0].seen
    assert row.remedy in found[0].remedy
    assert found[0].wanted
    assert bool(found[0].remedy) or row.verdict in (Verdict.PASS, Verdict.SKIP, Verdict.UNKNOWN)


FAIL, WARN, PASS, SKIP, UNKNOWN = Verdict.FAIL, Verdict.WARN, Verdict.PASS, Verdict.SKIP, Verdict.UNKNOWN

BARE = replace(IPIP0, addresses=())
CILIUM = Device("cilium_ipip4", "ipip", up=True, external=True)
