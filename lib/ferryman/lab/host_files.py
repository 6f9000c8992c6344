"""What each of a lab's hosts starts from: its ip batch, start script, rules, and its daemons' files."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

from ferryman.lab import daemons
from ferryman.lab.batches import address_line, on_link, persisted, start_script, text
from ferryman.lab.boot_files import persistent_files
from ferryman.lab.router import router
from ferryman.lab.topology import values

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ferryman.lab.topology import Host, Pod, Topology
    from ferryman.model import Address


def of_host(lab: Topology, host: Host) -> dict[str, str]:
    """The files of a host with an sshd, by their paths below the lab's root."""
    make = {
        "router": router,
        "director": _director,
        "server": _server,
        "node": _node,
        "client": _alone,
        "bastion": _alone,
    }[host.role]
    return make(lab, host)


def of_pod(lab: Topology, pod: Pod) -> dict[str, str]:
    """The files of a pod, by their paths below the lab's root."""
    gateway, gateway6 = values.POD_GATEWAYS
    lines = [
        "link set lo up",
        "link set eth0 up",
        f"addr add {pod.address}/32 dev eth0",
        f"route add {gateway} dev eth0 scope link",
        f"route add default via {gateway} dev eth0",
    ]
    if _speaks_ipv6(lab, pod.node):
        lines += [
            address_line(f"{pod.address6}/128", "eth0"),
            f"route add default via {gateway6} dev eth0",
        ]
    services = lab.services_of(pod.node)
    tls = [values.POD_TLS_PORT] if any(service.encryption for service in services) else []
    return {
        f"lab/{pod.name}/ip": text(lines),
        f"lab/{pod.name}/nginx.conf": daemons.nginx_conf(pod.name, [values.POD_PORT], tls),
        f"lab/{pod.name}/start.sh": start_script(
            pod.name, sysctl={}, late={}, commands=[daemons.nginx_command(pod.name)]
        ),
    }


def tunnels() -> list[str]:
    """The decapsulators, as Katran and Wikimedia set them up: they take packets from any peer."""
    return [
        "link add name ipip0 type ipip external",
        "link add name ipip60 type ip6tnl external",
        "link set ipip0 up",
        "link set ipip60 up",
        "addr add 127.0.0.42/32 dev ipip0",
    ]


def _segment_addresses(lab: Topology, host: Host) -> list[str]:
    gateway, gateway6 = values.SEGMENT_GATEWAYS
    return [
        "link set lo up",
        "link set eth0 up",
        *(address_line(on_link(address), "eth0") for address in (host.address, host.address6)),
        *(address_line(f"{vip}/{vip.max_prefixlen}", "lo") for vip in lab.vips_of(host)),
        f"route add default via {gateway}",
        f"route add default via {gateway6}",
    ]


def _alone(_lab: Topology, host: Host) -> dict[str, str]:
    gateway, gateway6 = values.ALONE[host]
    lines = [
        "link set lo up",
        "link set eth0 up",
        *(address_line(on_link(address), "eth0") for address in (host.address, host.address6)),
        f"route add default via {gateway}",
        f"route add default via {gateway6}",
    ]
    start = start_script(host.name, sysctl={}, late={}, commands=[daemons.sshd_command(host.name)])
    return {f"lab/{host.name}/ip": text(lines), f"lab/{host.name}/start.sh": start}


def _server(lab: Topology, host: Host) -> dict[str, str]:
    sysctl = {"ipv4/conf/all/arp_ignore": 1, "ipv4/conf/all/arp_announce": 2, "ipv4/conf/all/rp_filter": 0}
    services = lab.services_of(host.name)
    plain, tls = (
        list(dict.fromkeys(service.port for service in services if service.encryption is encrypted))
        for encrypted in (False, True)
    )
    clamp, clamp6 = (
        f"*mangle\n-A OUTPUT -s {network} -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --set-mss {mss}\nCOMMIT\n"
        for network, mss in zip(values.VIP_NETWORKS, values.CLAMPED_MSS_BYTES, strict=True)
    )
    name = host.name
    started = [
        f"iptables-legacy-restore /lab/{name}/iptables",
        f"ip6tables-legacy-restore /lab/{name}/ip6tables",
        daemons.sshd_command(name),
        daemons.nginx_command(name),
    ]
    return persistent_files(lab, host) | {
        f"lab/{name}/ip": text([*_segment_addresses(lab, host), *tunnels()]),
        f"lab/{name}/iptables": clamp,
        f"lab/{name}/ip6tables": clamp6,
        f"lab/{name}/nginx.conf": daemons.nginx_conf(name, plain, tls),
        f"lab/{name}/start.sh": start_script(
            name, sysctl=sysctl, late={"ipv4/conf/ipip0/rp_filter": 0}, commands=started
        ),
        f"etc/netns/{name}/sysctl.d/70-ferryman.conf": persisted(sysctl, default=0),
    }


def _node(lab: Topology, host: Host) -> dict[str, str]:
    """A Kubernetes worker: no VIP of its own, DNAT to pods, strict rp_filter wherever none is set."""
    name, pods = host.name, lab.pods_of(host.name)
    sysctl = {
        "ipv4/ip_forward": 1,
        "ipv4/conf/all/rp_filter": 0,
        "ipv4/conf/default/rp_filter": 1,
    }
    late = {"ipv4/conf/ipip0/rp_filter": 0}
    for pod in pods:
        late |= {
            f"ipv4/conf/{pod.interface}/rp_filter": 1,
            f"ipv4/conf/{pod.interface}/proxy_arp": 1,
            f"ipv4/neigh/{pod.interface}/proxy_delay": 0,
        }
    lines = [*_segment_addresses(lab, host), *tunnels()]
    for pod in pods:
        lines += [f"link set {pod.interface} up", f"route add {pod.address} dev {pod.interface} scope link"]
    started = [f"iptables-legacy-restore /lab/{name}/iptables"]
    made = {f"lab/{name}/iptables": _dnat(lab, host, pods, IPv4Address)}
    if _speaks_ipv6(lab, name):
        # Its default route is the one that it is given: a router takes none from others.
        sysctl["ipv6/conf/all/forwarding"] = 1
        for pod in pods:
            lines += [
                address_line(f"{values.POD_GATEWAYS[1]}/64", pod.interface),
                f"route add {pod.address6} dev {pod.interface}",
            ]
        started.append(f"ip6tables-legacy-restore /lab/{name}/ip6tables")
        made[f"lab/{name}/ip6tables"] = _dnat(lab, host, pods, IPv6Address)
    return (
        made
        | persistent_files(lab, host)
        | {
            f"lab/{name}/ip": text(lines),
            f"lab/{name}/start.sh": start_script(
                name, sysctl=sysctl, late=late, commands=[*started, daemons.sshd_command(name)]
            ),
            f"etc/netns/{name}/sysctl.d/70-ferryman.conf": persisted(sysctl, default=1),
        }
    )


def _speaks_ipv6(lab: Topology, node: str) -> bool:
    """Whether a service of this node has an IPv6 VIP; where none has, its pods have no IPv6."""
    return any(isinstance(vip, IPv6Address) for service in lab.services_of(node) for vip in service.vips)


def _dnat(lab: Topology, host: Host, pods: Sequence[Pod], family: type[IPv4Address | IPv6Address]) -> str:
    """VIP and node port to one of the node's pods, each with the same chance, as kube-proxy writes it."""
    services = lab.services_of(host.name)
    chains = {
        "KUBE-SEP": ([service for service in services if not service.encryption], values.POD_PORT),
        "KUBE-SEP-TLS": ([service for service in services if service.encryption], values.POD_TLS_PORT),
    }
    chains = {name: chain for name, chain in chains.items() if chain[0] or name == "KUBE-SEP"}
    own: Address = host.address if family is IPv4Address else host.address6
    lines = ["*nat", *(f":{name} - [0:0]" for name in chains)]
    for name, (those, _) in chains.items():
        for service in those:
            vips = [vip for vip in service.vips if isinstance(vip, family)]
            lines += [
                f"-A PREROUTING -d {address}/{address.max_prefixlen} -p tcp --dport {service.port} -j {name}"
                for address in (*vips, own)
            ]
    for name, (_, port) in chains.items():
        for left, pod in zip(range(len(pods), 0, -1), pods, strict=True):
            chance = f" -m statistic --mode random --probability {1 / left:.5f}" if left > 1 else ""
            target = f"{pod.address}:{port}" if family is IPv4Address else f"[{pod.address6}]:{port}"
            lines.append(f"-A {name} -p tcp{chance} -j DNAT --to-destination {target}")
    return text([*lines, "COMMIT"])


REUSE = "ipv4/vs/conn_reuse_mode"
"""At 3, whoever comes back on a connection in FIN_WAIT is scheduled anew: none lingers in its old way."""


def _director(lab: Topology, host: Host) -> dict[str, str]:
    name = host.name
    folder = f"etc/netns/{name}/keepalived"
    filled = f"/bin/sh /lab/{name}/filled.sh &"
    started = [
        f"ipvsadm -R </lab/{name}/ipvs",
        daemons.keepalived_command(name),
        filled,
        daemons.sshd_command(name),
    ]
    made = {
        f"lab/{name}/ip": text(_segment_addresses(lab, host)),
        f"lab/{name}/ipvs": daemons.ipvs_rules(lab, name),
        f"lab/{name}/start.sh": start_script(name, sysctl={REUSE: 3}, late={}, commands=started),
        f"lab/{name}/filled.sh": daemons.table_filled(lab, name),
        f"etc/netns/{name}/sysctl.d/70-ferryman.conf": f"net/{REUSE} = 3\n",
    }
    made |= {f"{folder}/{file}": content for file, content in daemons.keepalived_files(lab, name).items()}
    return made
