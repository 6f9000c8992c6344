"""Check ``vrf``: what comes out of the tunnel meets the service's socket, whatever VRF either is in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.model import Finding, Verdict
from ferryman.realservers.checks.decapsulation import decapsulator_name, tunnel_for, vrf_of
from ferryman.realservers.checks.mss_clamp import own_device
from ferryman.realservers.checks.vip import packet_for
from ferryman.realservers.facts import Unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferryman.model import Realserver, Service, VirtualService
    from ferryman.realservers.facts import Facts

CHECK = "vrf"


def vrf(service: Service, realserver: Realserver, facts: Facts) -> Iterator[Finding]:
    """The tunnel device is in no VRF, or in the listener's, as it must be where NIC and listener are in one.

    Sources: Documentation/networking/vrf.rst; inet_sk_bound_dev_eq in net/inet_sock.h: a socket that is bound
    to no device takes nothing of a VRF unless tcp_l3mdev_accept is 1, one that is bound to a VRF takes
    nothing from outside. Measured: a RST.
    """
    if not facts.routing.read:
        return
    unread = [fact.reason for fact in (facts.devices, facts.listeners) if isinstance(fact, Unknown)]
    if unread:
        yield _finding(realserver, Verdict.SKIP, unread[0])
        return
    judged = [found for virtual in service.virtual_services if (found := _judge(virtual, realserver, facts))]
    yield from dict.fromkeys(judged)
    if not judged:
        yield _finding(realserver, Verdict.PASS, "no VRF is between tunnel and listener")


def _judge(virtual: VirtualService, realserver: Realserver, facts: Facts) -> Finding | None:
    tunnel = decapsulator_name(tunnel_for(virtual.vip), facts)
    listeners = () if isinstance(facts.listeners, Unknown) else facts.listeners
    takers = [each for each in listeners if each.takes(virtual.protocol, virtual.vip, virtual.port)]
    if not takers or facts.nat.dnat_rule(packet_for(virtual, facts)) is not None:
        return None
    own = vrf_of(facts, tunnel)
    if own is None:
        return _outside(virtual, realserver, facts, tunnel, {each.device for each in takers})
    accepts = facts.routing.set_for(f"{virtual.protocol}_l3mdev_accept")
    if any(each.device in (own, tunnel) or (each.device is None and accepts) for each in takers):
        return None
    setting = f"net.ipv4.{virtual.protocol}_l3mdev_accept"
    seen = f"{tunnel} is in the VRF {own}, and the listener for {virtual} is not ({setting} is 0)"
    remedy = f"ip link set dev {tunnel} nomaster, or sysctl -w {setting}=1"
    return _finding(realserver, Verdict.FAIL, seen, remedy)


def _outside(
    virtual: VirtualService, realserver: Realserver, facts: Facts, tunnel: str, bound: set[str | None]
) -> Finding | None:
    nic = own_device(realserver, facts)
    vrf_of_nic = vrf_of(facts, nic.name) if nic is not None else None
    if nic is None or vrf_of_nic is None or bound != {vrf_of_nic}:
        return None
    seen = f"{nic.name} and the listener for {virtual} are in the VRF {vrf_of_nic}, and {tunnel} is not"
    return _finding(realserver, Verdict.FAIL, seen, f"ip link set dev {tunnel} master {vrf_of_nic}")


def _finding(realserver: Realserver, verdict: Verdict, seen: str, remedy: str = "") -> Finding:
    wanted = "tunnel and listener in the same VRF, or in none"
    return Finding(CHECK, realserver.host, verdict, seen, wanted, remedy)
