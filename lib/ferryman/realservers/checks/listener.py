"""Check ``listener``: somebody waits for the service's connections."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.model import Finding, Kind, Verdict, host_port
from ferryman.realservers.checks.decapsulation import decapsulator_name, tunnel_for
from ferryman.realservers.checks.vip import packet_for
from ferryman.realservers.facts import Unknown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ferryman.model import Realserver, Service, VirtualService
    from ferryman.realservers.facts import Facts, Listener

CHECK = "listener"


def listener(service: Service, realserver: Realserver, facts: Facts) -> Iterator[Finding]:
    """A plain server has a socket for VIP and port: on the VIP itself, or on any address.

    A socket on IPv6's any address takes IPv4 as well unless the program asked otherwise. One that is bound to
    a device takes nothing that came out of the tunnel. On a Kubernetes node the pod listens, and what takes
    packets there is for the check ``vip``. Sources: ip(7), ipv6(7), socket(7); measured: a closed port
    answers RST.
    """
    for virtual in service.virtual_services:
        taker = facts.nat.taker(packet_for(virtual, facts))
        if taker is not None:
            yield _finding(virtual, realserver, Verdict.PASS, f"a rule takes it: {taker}")
        elif isinstance(facts.listeners, Unknown):
            yield _unread(virtual, realserver, facts.listeners)
        else:
            yield _judge(virtual, realserver, facts, facts.listeners)


def _unread(virtual: VirtualService, realserver: Realserver, reason: Unknown) -> Finding:
    verdict = Verdict.SKIP if realserver.kind is Kind.KUBERNETES else Verdict.UNKNOWN
    return _finding(virtual, realserver, verdict, reason.reason)


def _judge(
    virtual: VirtualService, realserver: Realserver, facts: Facts, listeners: Sequence[Listener]
) -> Finding:
    tunnel = decapsulator_name(tunnel_for(virtual.vip), facts)
    takers = [one for one in listeners if one.takes(virtual.protocol, virtual.vip, virtual.port)]
    free = [taker for taker in takers if taker.device in (None, tunnel)]
    if free:
        return _finding(virtual, realserver, Verdict.PASS, f"listens on {_place(free[0])}")
    if realserver.kind is Kind.KUBERNETES:
        return _finding(virtual, realserver, Verdict.SKIP, "no socket of the node's own; a pod may take it")
    if takers:
        seen = f"listens on {_place(takers[0])} alone, and takes nothing that comes out of {tunnel}"
        return _finding(virtual, realserver, Verdict.FAIL, seen, "bind it to the address, not to the device")
    return _finding(virtual, realserver, Verdict.FAIL, _elsewhere(virtual, listeners), _remedy(virtual))


def _elsewhere(virtual: VirtualService, listeners: Sequence[Listener]) -> str:
    near = [_place(one) for one in listeners if (one.protocol, one.port) == (virtual.protocol, virtual.port)]
    if near:
        return f"nothing listens there, only on {', '.join(near)}"
    return f"nothing listens on {virtual.protocol} port {virtual.port}"


def _remedy(virtual: VirtualService) -> str:
    option = "-ltnp" if virtual.protocol == "tcp" else "-lunp"
    place = host_port(virtual.vip, virtual.port)
    return f"start the service, or have it listen on {place}: ss {option} 'sport = :{virtual.port}'"


def _place(one: Listener) -> str:
    address = "*" if one.address is None else str(one.address)
    device = f"%{one.device}" if one.device else ""
    return f"{one.protocol} {f'[{address}]' if ':' in address else address}{device}:{one.port}"


def _finding(
    virtual: VirtualService, realserver: Realserver, verdict: Verdict, seen: str, remedy: str = ""
) -> Finding:
    return Finding(CHECK, realserver.host, verdict, seen, f"a listener for {virtual}", remedy)
