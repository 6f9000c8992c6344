"""Check ``listener``: a socket listens for the service's connections."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.model import Finding, Kind, Verdict, host_port
from ferryman.realservers.checks.decapsulation import decapsulator_name, tunnel_for, vrf_of
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
    a device takes nothing that came out of the tunnel, unless that is the tunnel's VRF. On a Kubernetes node
    the pod listens, and what takes packets there is for the check ``vip``. Sources: ip(7), ipv6(7),
    socket(7); measured: a closed port answers RST.
    """
    for virtual in service.virtual_services:
        rule = facts.nat.dnat_rule(packet_for(virtual, facts))
        if rule is not None:
            yield _finding(virtual, realserver, Verdict.PASS, f"a rule takes it: {rule}")
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
    matching = [socket for socket in listeners if socket.takes(virtual.protocol, virtual.vip, virtual.port)]
    unbound = [socket for socket in matching if socket.device in (None, tunnel, vrf_of(facts, tunnel))]
    if unbound:
        return _finding(virtual, realserver, Verdict.PASS, f"listens on {_place(unbound[0])}")
    if realserver.kind is Kind.KUBERNETES:
        return _finding(virtual, realserver, Verdict.SKIP, "no socket of the node's own; a pod may take it")
    if matching:
        seen = f"listens on {_place(matching[0])} alone, and takes nothing that comes out of {tunnel}"
        return _finding(virtual, realserver, Verdict.FAIL, seen, "bind it to the address, not to the device")
    return _finding(virtual, realserver, Verdict.FAIL, _elsewhere(virtual, listeners), _remedy(virtual))


def _elsewhere(virtual: VirtualService, listeners: Sequence[Listener]) -> str:
    wanted = virtual.protocol, virtual.port
    near = [_place(socket) for socket in listeners if (socket.protocol, socket.port) == wanted]
    if near:
        return f"nothing listens there, only on {', '.join(near)}"
    return f"nothing listens on {virtual.protocol} port {virtual.port}"


def _remedy(virtual: VirtualService) -> str:
    option = "-ltnp" if virtual.protocol == "tcp" else "-lunp"
    place = host_port(virtual.vip, virtual.port)
    return f"start the service, or have it listen on {place}: ss {option} 'sport = :{virtual.port}'"


def _place(socket: Listener) -> str:
    address = "*" if socket.address is None else str(socket.address)
    device = f"%{socket.device}" if socket.device else ""
    return f"{socket.protocol} {f'[{address}]' if ':' in address else address}{device}:{socket.port}"


def _finding(
    virtual: VirtualService, realserver: Realserver, verdict: Verdict, seen: str, remedy: str = ""
) -> Finding:
    return Finding(CHECK, realserver.host, verdict, seen, f"a listener for {virtual}", remedy)
