"""What each of a lab's hosts starts from: its ip batch, start script, rules, and its daemons' files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.lab import daemons
from ferryman.lab.batches import address_line, on_link, persisted, start_script, text
from ferryman.lab.boot_files import persistent_files
from ferryman.lab.node_files import node, speaks_ipv6
from ferryman.lab.router import router
from ferryman.lab.segment import segment_addresses, tunnels
from ferryman.lab.topology import values

if TYPE_CHECKING:
    from ferryman.lab.topology import Host, Pod, Topology


def of_host(lab: Topology, host: Host) -> dict[str, str]:
    """The files of a host with an sshd, by their paths below the lab's root."""
    make = {
        "router": router,
        "director": _director,
        "server": _server,
        "node": node,
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
    if speaks_ipv6(lab, pod.node):
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
        f"lab/{name}/ip": text([*segment_addresses(lab, host), *tunnels()]),
        f"lab/{name}/iptables": clamp,
        f"lab/{name}/ip6tables": clamp6,
        f"lab/{name}/nginx.conf": daemons.nginx_conf(name, plain, tls),
        f"lab/{name}/start.sh": start_script(
            name, sysctl=sysctl, late={"ipv4/conf/ipip0/rp_filter": 0}, commands=started
        ),
        f"etc/netns/{name}/sysctl.d/70-ferryman.conf": persisted(sysctl, default=0),
    }


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
        f"lab/{name}/ip": text(segment_addresses(lab, host)),
        f"lab/{name}/ipvs": daemons.ipvs_rules(lab, name),
        f"lab/{name}/start.sh": start_script(name, sysctl={REUSE: 3}, late={}, commands=started),
        f"lab/{name}/filled.sh": daemons.table_filled(lab, name),
        f"etc/netns/{name}/sysctl.d/70-ferryman.conf": f"net/{REUSE} = 3\n",
    }
    made |= {f"{folder}/{file}": content for file, content in daemons.keepalived_files(lab, name).items()}
    return made
