"""MSS and MTU: packets that are accepted, and are too large for the tunnel once they are full."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.encapsulation import ETHERNET_MTU
from ferryman.lab import topology
from ferryman.lab.faults.fault import DIRECTORS, NODES, REALSERVERS, SERVERS, Fault, Script, always, pods_of

if TYPE_CHECKING:
    from ferryman.lab.topology import Host

_FLUSH = "\n".join(
    f"{family}tables-legacy -t mangle -F {chain}"
    for family in ("ip", "ip6")
    for chain in ("OUTPUT", "POSTROUTING")
)


def _pod_mtu(inside: int, outside: int, *, pods: slice = slice(None)) -> Script:
    """The MTU of the pods' own ends, and of the node's."""

    def script(host: Host) -> str:
        return "\n".join(
            f"ip -n {pod.name} link set eth0 mtu {inside}\nip link set {pod.interface} mtu {outside}"
            for pod in pods_of(host)[pods]
        )

    return script


def _pods(name: str, description: str, inside: int, outside: int, *, pods: slice = slice(None)) -> Fault:
    mtu = topology.POD_MTU_BYTES
    return Fault(name, description, NODES, _pod_mtu(inside, outside, pods=pods), _pod_mtu(mtu, mtu))


def _clamp(host: Host) -> str:
    """As the host was booted; what it restores replaces the whole table."""
    return (
        f"iptables-legacy-restore -T mangle /lab/{host.name}/iptables\n"
        f"ip6tables-legacy-restore -T mangle /lab/{host.name}/ip6tables"
    )


def _clamps(
    name: str,
    description: str,
    mss: tuple[int, int] = topology.CLAMPED_MSS_BYTES,
    sources: tuple[str, str] = topology.VIP_NETWORKS,
    chain: str = "OUTPUT",
) -> Fault:
    """A fault that replaces the clamp that the server was booted with by another one."""
    lines = [
        f"{family}tables-legacy -t mangle -A {chain} -s {source} -p tcp --tcp-flags SYN,RST SYN "
        f"-j TCPMSS --set-mss {size}"
        for family, source, size in zip(("ip", "ip6"), sources, mss, strict=True)
    ]
    return Fault(name, description, SERVERS, always("\n".join([_FLUSH, *lines])), _clamp)


def _nic(name: str, description: str, roles: frozenset[topology.HostRole], mtu: int) -> Fault:
    put, clear = (always(f"ip link set eth0 mtu {size}") for size in (mtu, ETHERNET_MTU))
    return Fault(name, description, roles, put, clear)


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
        topology.POD_MTU_BYTES,
    ),
    _pods(
        "pod-mtu-1500-outside",
        "harmless: the node's ends have an MTU of 1500; the pods' own are right",
        topology.POD_MTU_BYTES,
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
        "the clamp was started before the service was added: it knows web's VIPs alone",
        sources=("10.99.0.1", "fd99::1"),
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
    _nic("director-mtu-small", "the director's eth0 takes 1400 bytes", DIRECTORS, 1400),
)
