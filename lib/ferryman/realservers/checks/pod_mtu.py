"""Check ``pod-mtu``: the pods' own MTU leaves room for the outer header."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ferryman.encapsulation import mss_for_mtu
from ferryman.firewall import Effect, PacketState
from ferryman.model import Finding, MssStrategy, Verdict
from ferryman.realservers.checks.mss_clamp import packet_limit_for
from ferryman.realservers.checks.vip import packet_for
from ferryman.realservers.facts import Unknown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ferryman.firewall import Packet
    from ferryman.model import Realserver, Service
    from ferryman.realservers.facts import Device, Facts, Pod

CHECK = "pod-mtu"
SHOWN = 5


def pod_mtu(service: Service, realserver: Realserver, facts: Facts) -> Iterator[Finding]:
    """Where ``mss`` is ``pod_mtu``, each pod's end of its device is path_mtu less the outer header at most.

    1480 bytes for IPv4 at 1500, 1460 for IPv6. Sources: RFC 6691; measured: pod 1460 says MSS 1420, and with
    1460 on the host's end and 1500 on the pod's it still says 1460. A new MTU reaches a pod only when
    it is made anew (projectcalico/calico issues 4102, 5008), so the CNI's configuration is read beside.
    """
    if realserver.mss is not MssStrategy.POD_MTU:
        seen = f"{realserver.mss.value} keeps packets small enough, not the pods' MTU"
        yield _finding(realserver, _limit(service, realserver), Verdict.SKIP, seen)
        return
    limit = _limit(service, realserver)
    yield _pods(service, realserver, facts, limit)
    yield from _new_pods(realserver, facts, limit)


def _limit(service: Service, realserver: Realserver) -> int:
    return min(packet_limit_for(virtual, realserver) for virtual in service.virtual_services)


def _pods(service: Service, realserver: Realserver, facts: Facts, limit: int) -> Finding:
    devices = facts.named("cali")
    pods = () if isinstance(facts.pods, Unknown) else facts.pods
    ends = [(device, *_end(device, pods)) for device in devices]
    large = [(pod, device, end) for device, pod, end in ends if end is not None and end.mtu > limit]
    unread = [device for device, _, end in ends if end is None]
    if large:
        return _too_large(service, realserver, facts, limit, large)
    if unread or not devices:
        return _not_seen(realserver, facts, limit, unread)
    largest = max(end.mtu for _, _, end in ends if end is not None)
    return _finding(realserver, limit, Verdict.PASS, f"{len(devices)} pods, {largest} bytes at most")


def _end(device: Device, pods: Sequence[Pod]) -> tuple[Pod | None, Device | None]:
    return next(((pod, end) for pod in pods if (end := pod.end_of(device)) is not None), (None, None))


def _too_large(
    service: Service,
    realserver: Realserver,
    facts: Facts,
    limit: int,
    large: Sequence[tuple[Pod | None, Device, Device]],
) -> Finding:
    """They block when a rule hands them the service's packets; not every kube-proxy lets that be seen."""
    named = [f"{pod.name if pod else '?'} ({device.name}, {end.mtu})" for pod, device, end in large]
    more = f" and {len(named) - SHOWN} more" if len(named) > SHOWN else ""
    seen = f"too large: {', '.join(named[:SHOWN])}{more}"
    remedy = "restart these pods, once the CNI's MTU is right: kubectl delete pod POD"
    if all(_says_less(service, pod, limit) for pod, _, _ in large):
        seen = f"{seen}; but their default routes say a smaller MSS, until they are made again"
        return _finding(realserver, limit, Verdict.WARN, seen, remedy)
    if any(_gets_packets(service, facts, end) for _, _, end in large):
        return _finding(
            realserver, limit, Verdict.FAIL, f"{seen}; a rule hands them the service's packets", remedy
        )
    return _finding(realserver, limit, Verdict.WARN, f"{seen}; the probe's MSS decides", remedy)


def _says_less(service: Service, pod: Pod | None, limit: int) -> bool:
    """Whether its routes lower the MSS as far as is needed; no route helps UDP."""
    virtuals = service.virtual_services
    return pod is not None and all(
        virtual.protocol == "tcp"
        and pod.says_at_most(virtual.vip.version, mss_for_mtu(virtual.vip.version, limit))
        for virtual in virtuals
    )


def _gets_packets(service: Service, facts: Facts, end: Device) -> bool:
    """Whether a rule gives the service's packets to this pod."""
    addresses = [str(held.ip) for held in end.addresses if not held.ip.is_link_local]
    rules = [
        rule
        for virtual_service in service.virtual_services
        for rule in _dnat_rules(facts, packet_for(virtual_service, facts))
    ]
    return any(_names(rule, address) for rule in rules for address in addresses)


def _dnat_rules(facts: Facts, packet: Packet) -> list[str]:
    """The rules that may give a packet another destination, as text."""
    chains = facts.firewall.ends("prerouting", packet, PacketState(None), "nat")
    return [end.text for ends in chains for end in ends if end.effect is Effect.DNAT]


def _names(rule: str, address: str) -> bool:
    return re.search(rf"(?<![\w.:]){re.escape(address)}(?![\w.])", rule) is not None


def _not_seen(realserver: Realserver, facts: Facts, limit: int, unread: Sequence[Device]) -> Finding:
    large = [f"{device.name} ({device.mtu})" for device in unread if device.mtu > limit]
    if isinstance(facts.pods, Unknown):
        seen = facts.pods.reason
    elif not unread:
        seen = "no cali devices are to be seen"
    else:
        seen = f"the pods' ends of {len(unread)} devices cannot be seen"
    ends = f"; this host's ends are too large: {', '.join(large[:SHOWN])}" if large else ""
    remedy = "look by hand: nsenter -t PID -n ip link show eth0"
    return _finding(realserver, limit, Verdict.WARN, f"{seen}{ends}; the probe's MSS decides", remedy)


def _new_pods(realserver: Realserver, facts: Facts, limit: int) -> Iterator[Finding]:
    for path, mtu in facts.cni_mtu.items():
        if mtu > limit:
            seen = f"{path} gives new pods {mtu} bytes"
            yield _finding(
                realserver, limit, Verdict.WARN, seen, f"set its mtu to {limit}, where Calico manages it"
            )


def _finding(realserver: Realserver, limit: int, verdict: Verdict, seen: str, remedy: str = "") -> Finding:
    wanted = f"{limit} bytes at most on every pod's own end"
    return Finding(CHECK, realserver.host, verdict, seen, wanted, remedy)
