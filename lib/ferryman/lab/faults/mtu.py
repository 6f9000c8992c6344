"""MSS and MTU: packets that are accepted, and are too large for the tunnel once they are full."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.encapsulation import ETHERNET_MTU
from ferryman.lab.faults.fault import (
    DIRECTORS,
    NODES,
    REALSERVERS,
    SERVERS,
    Fault,
    Script,
    always,
    always_fits,
    rules,
)
from ferryman.lab.topology.values import CLAMPED_MSS_BYTES, POD_MTU_BYTES, ROUTER, VIP_NETWORKS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from ipaddress import IPv4Network, IPv6Network

    from ferryman.lab.topology import Host, HostRole, Topology
    from ferryman.model import Address

_FLUSH = "\n".join(
    f"{family}tables-legacy -t mangle -F {chain}"
    for family in ("ip", "ip6")
    for chain in ("OUTPUT", "POSTROUTING")
)


def _pod_mtu(inside: int, outside: int, *, pods: slice = slice(None)) -> Script:
    """The MTU of the pods' own ends, and of the node's."""

    def script(lab: Topology, host: Host) -> str:
        return "\n".join(
            f"ip -n {pod.name} link set eth0 mtu {inside}\nip link set {pod.interface} mtu {outside}"
            for pod in lab.pods_of(host.name)[pods]
        )

    return script


def _pods(name: str, description: str, inside: int, outside: int, *, pods: slice = slice(None)) -> Fault:
    mtu = POD_MTU_BYTES
    return Fault(name, description, NODES, _pod_mtu(inside, outside, pods=pods), _pod_mtu(mtu, mtu))


def _clamp(_lab: Topology, host: Host) -> str:
    """As the host was booted; what it restores replaces the whole table."""
    return (
        f"iptables-legacy-restore -T mangle /lab/{host.name}/iptables\n"
        f"ip6tables-legacy-restore -T mangle /lab/{host.name}/ip6tables"
    )


def _clamps(
    name: str,
    description: str,
    mss: tuple[int, int] = CLAMPED_MSS_BYTES,
    *,
    chain: str = "OUTPUT",
    first_alone: bool = False,
) -> Fault:
    """A fault that replaces the clamp that the server was booted with by another one.

    With ``first_alone`` it knows the VIPs of the server's first service, and no others.
    """

    def put(lab: Topology, host: Host) -> str:
        lines = [
            f"{family}tables-legacy -t mangle -A {chain} -s {source} -p tcp --tcp-flags SYN,RST SYN "
            f"-j TCPMSS --set-mss {size}"
            for family, version, size in zip(("ip", "ip6"), (4, 6), mss, strict=True)
            for source in sources(lab, host, version)
        ]
        return "\n".join([_FLUSH, *lines])

    def sources(lab: Topology, host: Host, version: int) -> list[str]:
        known: Iterable[Address | IPv4Network | IPv6Network] = VIP_NETWORKS
        if first_alone:
            known = lab.services_of(host.name)[0].vips
        return [str(source) for source in known if source.version == version]

    return Fault(name, description, SERVERS, put, _clamp, _has_others if first_alone else always_fits)


def _has_others(lab: Topology, host: Host) -> bool:
    """Whether a server has VIPs beside those of its first service."""
    first, *others = lab.services_of(host.name) or (None,)
    return any(set(other.vips) - set(first.vips) for other in others if first)


def _nic(name: str, description: str, roles: frozenset[HostRole], mtu: int) -> Fault:
    put, clear = (always(f"ip link set eth0 mtu {size}") for size in (mtu, ETHERNET_MTU))
    return Fault(name, description, roles, put, clear)


def _lost(name: str, description: str, way: str, *matches: str) -> Fault:
    """A link beyond the host that loses what is too large for it, and tells nobody.

    It is the router's end of the host's link, so that nothing on the host shows it: ``police`` drops what is
    longer than its ``mtu``, of a packet that the kernel will cut only later the parts. Other packets pass, or
    the host could not be asked over SSH.
    """

    def put(lab: Topology, host: Host) -> str:
        tc, device = _TC, lab.devices[host.name]
        lines = [
            f"{tc} filter add dev {device} {way} prio {number} {match} "
            f"action police mtu {_LINK_MTU} conform-exceed drop/pass"
            for number, match in enumerate(matches, 1)
        ]
        return "\n".join([f"{tc} qdisc replace dev {device} clsact", *lines])

    def clear(lab: Topology, host: Host) -> str:
        return f"{_TC} qdisc del dev {lab.devices[host.name]} clsact 2>/dev/null || true"

    return Fault(name, description, REALSERVERS, put, clear)


_TC = f"ip netns exec {ROUTER.name} tc"
_LINK_MTU = 1300
"""Bytes: less than any full-size packet of the lab's services, and more than a small request."""


FAULTS = (
    _pods("pod-mtu-1500", "pods that were never restarted: their MTU is 1500, their MSS 1460", 1500, 1500),
    _pods(
        "pod-mtu-1500-one-pod",
        "one pod of the node was never restarted: its MTU is 1500; the others are right",
        1500,
        1500,
        pods=slice(1),
    ),
    _pods(
        "pod-mtu-1500-inside",
        "the pods' own ends have an MTU of 1500; the node's ends look right",
        1500,
        POD_MTU_BYTES,
    ),
    _pods(
        "pod-mtu-1500-outside",
        "harmless: the node's ends have an MTU of 1500; the pods' own are right",
        POD_MTU_BYTES,
        1500,
    ),
    _pods("pod-mtu-1480", "harmless for IPv4: the pods' MTU is 1480, their MSS 1440", 1480, 1480),
    Fault(
        "clamp-missing",
        "the server does not clamp its MSS, which is 1460 then",
        SERVERS,
        always(_FLUSH),
        _clamp,
    ),
    _clamps(
        "clamp-old-list",
        "the clamp was started before the service was added: it knows the VIPs of the first service alone",
        first_alone=True,
    ),
    _clamps("clamp-too-large", "the server clamps to 1450, which does not fit", mss=(1450, 1430)),
    _clamps("clamp-ipv4-only", "the server clamps its IPv4 MSS alone", mss=(1440, 1440)),
    _clamps("clamp-low", "harmless: the server clamps to less than it must", mss=(1200, 1200)),
    _clamps("clamp-postrouting", "harmless: the server clamps in POSTROUTING", chain="POSTROUTING"),
    _nic(
        "nic-mtu-small",
        "the realserver's eth0 takes 1400 bytes, less than an outer packet",
        REALSERVERS,
        1400,
    ),
    _nic("nic-mtu-jumbo", "harmless: the realserver's eth0 takes jumbo frames", REALSERVERS, 9000),
    _lost(
        "black-hole-in",
        "full-size encapsulated packets get lost on the way to the realserver, and no ICMP says so",
        "egress",
        "protocol ip u32 match ip protocol 4 0xff",
        "protocol ipv6 u32 match ip6 protocol 41 0xff",
    ),
    _lost(
        "black-hole-out",
        "full-size answers of the VIPs get lost on their way from the realserver, and no ICMP says so",
        "ingress",
        *(
            f"protocol {family} u32 match {word} src {network}"
            for family, word, network in zip(("ip", "ipv6"), ("ip", "ip6"), VIP_NETWORKS, strict=True)
        ),
    ),
    Fault(
        "fragmentation-needed-lost",
        "harmless while all is small: the director's ICMP that says so when a packet is too large is lost",
        DIRECTORS,
        *rules(
            "OUTPUT -p icmp --icmp-type fragmentation-needed -j DROP",
            "ip6: OUTPUT -p icmpv6 --icmpv6-type packet-too-big -j DROP",
        ),
    ),
    _nic("director-mtu-small", "the director's eth0 takes 1400 bytes", DIRECTORS, 1400),
)
