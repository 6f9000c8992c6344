"""What becomes of a packet once it is unwrapped: the VIP, DNAT, and who listens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.lab import daemons
from ferryman.lab.faults.fault import (
    NODES,
    REALSERVERS,
    SERVERS,
    Fault,
    Needs,
    Script,
    always,
    rules_of,
    settings,
    stop,
)
from ferryman.lab.topology.values import CLAMPED_MSS_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferryman.lab.topology import Host, Topology


def _vips(verb: str, *, version: tuple[int, ...] = (4, 6), device: str = "lo") -> Script:
    def script(lab: Topology, host: Host) -> str:
        vips = (f"{vip}/{vip.max_prefixlen}" for vip in lab.vips_of(host) if vip.version in version)
        return "\n".join(f"ip addr {verb} {vip} dev {device} nodad" for vip in vips)

    return script


def _has_vip(version: int) -> Needs:
    return lambda lab, host: any(vip.version == version for vip in lab.vips_of(host))


def _both(*scripts: Script) -> Script:
    return lambda lab, host: "\n".join(script(lab, host) for script in scripts)


def _without(device: str) -> Script:
    script = _vips("del", version=(4,), device=device)
    return lambda lab, host: "\n".join(
        f"{line} 2>/dev/null || true" for line in script(lab, host).splitlines()
    )


def _dnat(lab: Topology, host: Host) -> Iterator[str]:
    """To the host's own address; the clamp knows answers by their source, which is that address now."""
    for service in lab.services_of(host.name):
        for vip in service.vips:
            if vip.version == 4:  # noqa: PLR2004  # IPv4
                yield f"PREROUTING -t nat -d {vip} -p tcp --dport {service.port} -j DNAT --to {host.address}"
    mss, _ = CLAMPED_MSS_BYTES
    yield f"OUTPUT -t mangle -s {host.address} -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --set-mss {mss}"


_put_dnat, _clear_dnat = rules_of(_dnat)


def _listeners(lab: Topology, host: Host) -> list[str]:
    """The namespaces that run an nginx for this host: its own, or its pods'."""
    return [host.name] if host.role == "server" else [pod.name for pod in lab.pods_of(host.name)]


def _stop_listeners(lab: Topology, host: Host) -> str:
    return "\n".join(stop(f"/run/nginx-{name}.pid") for name in _listeners(lab, host))


def _start_listeners(lab: Topology, host: Host) -> str:
    return "\n".join(
        f"[ -e /run/nginx-{name}.pid ] || {{ rm -f /run/nginx-{name}.sock; "
        f"ip netns exec {name} {daemons.nginx_command(name)}; }}"
        for name in _listeners(lab, host)
    )


def _signal_listeners(signal: str) -> Script:
    return lambda lab, host: "\n".join(
        f"kill -{signal} $(cat /run/nginx-{name}.pid)" for name in _listeners(lab, host)
    )


def _listens(name: str, description: str, where: Script) -> Fault:
    """A server whose nginx listens there instead; sed puts the port in, and whether it speaks TLS."""

    def put(lab: Topology, host: Host) -> str:
        file = f"/lab/{host.name}/nginx.conf"
        edit = rf"s/listen \[::\]:([0-9]+) ipv6only=off( ssl)?;/{where(lab, host)}/"
        kept = f"[ -e {file}.before ] || cp {file} {file}.before"
        return (
            f"{kept}\nsed -E -i '{edit}' {file}\n{_stop_listeners(lab, host)}\n{_start_listeners(lab, host)}"
        )

    def clear(lab: Topology, host: Host) -> str:
        file = f"/lab/{host.name}/nginx.conf"
        restored = f"[ ! -e {file}.before ] || mv -f {file}.before {file}"
        return f"{restored}\n{_stop_listeners(lab, host)}\n{_start_listeners(lab, host)}"

    return Fault(name, description, SERVERS, put, clear)


def _nat(_lab: Topology, host: Host) -> str:
    return f"iptables-legacy-restore -T nat /lab/{host.name}/iptables"


FAULTS = (
    Fault(
        "vip-missing",
        "the VIPs are not on the server's loopback",
        SERVERS,
        _vips("del"),
        _vips("replace"),
    ),
    Fault(
        "vip-missing-ipv6",
        "the IPv6 VIPs are not on the server's loopback; the IPv4 ones are",
        SERVERS,
        _vips("del", version=(6,)),
        _vips("replace", version=(6,)),
        _has_vip(6),
    ),
    Fault(
        "vip-on-eth0",
        "harmless for tunnels: the VIPs are on eth0, which answers for them on its network",
        SERVERS,
        _both(_vips("del", version=(4,)), _vips("add", version=(4,), device="eth0")),
        _both(_without("eth0"), _vips("replace", version=(4,))),
        _has_vip(4),
    ),
    Fault(
        "vip-by-dnat",
        "harmless: the IPv4 VIPs are on no device of the server, but DNAT rules take their packets",
        SERVERS,
        _both(_put_dnat, _vips("del", version=(4,))),
        _both(_clear_dnat, _vips("replace", version=(4,))),
        _has_vip(4),
    ),
    Fault(
        "dnat-missing",
        "the node has no rule that hands the VIP's packets to a pod",
        NODES,
        always("iptables-legacy -t nat -F PREROUTING"),
        _nat,
    ),
    Fault(
        "arp-answers",
        "the server answers ARP for the VIP (arp_ignore 0): only a rollback suffers",
        SERVERS,
        settings({"ipv4/conf/all/arp_ignore": 0, "ipv4/conf/all/arp_announce": 0}),
        settings({"ipv4/conf/all/arp_ignore": 1, "ipv4/conf/all/arp_announce": 2}),
    ),
    Fault(
        "forwards-strangers",
        "the server forwards what is not for it (ip_forward 1), so whoever reaches its tunnel is sent on",
        SERVERS,
        settings({"ipv4/ip_forward": 1}),
        settings({"ipv4/ip_forward": 0}),
    ),
    Fault(
        "listener-closed",
        "nothing listens on the service's port",
        REALSERVERS,
        _stop_listeners,
        _start_listeners,
    ),
    Fault(
        "listener-hung",
        "the service is stopped (SIGSTOP): the kernel still takes connections for it, and requests hang",
        REALSERVERS,
        _signal_listeners("STOP"),
        _signal_listeners("CONT"),
    ),
    _listens(
        "listener-elsewhere",
        "the service listens on the server's own addresses, not on the VIP: health checks stay green",
        lambda _lab, host: rf"listen {host.address}:\1\2; listen [{host.address6}]:\1\2;",
    ),
    _listens(
        "listener-ipv4-only",
        "the service listens on IPv4 alone",
        always(r"listen 0.0.0.0:\1\2;"),
    ),
    Fault(
        "syn-cookies",
        "harmless: every SYN is answered with a cookie (tcp_syncookies 2)",
        SERVERS,
        settings({"ipv4/tcp_syncookies": 2}),
        settings({"ipv4/tcp_syncookies": 1}),
    ),
    Fault(
        "no-timestamps",
        "harmless: TCP timestamps and selective acknowledgements are off",
        REALSERVERS,
        settings({"ipv4/tcp_timestamps": 0, "ipv4/tcp_sack": 0}),
        settings({"ipv4/tcp_timestamps": 1, "ipv4/tcp_sack": 1}),
    ),
)
