"""The lab's topology as the files that its hosts boot from: ip batches, sysctl, sshd, nginx, keepalived.

Everything is text made from ``topology.py``. In the lab, ``/lab/HOST/`` holds what a host starts from and
``/etc/netns/HOST/`` what ``ip netns exec`` lays over /etc for it: its own /etc/keepalived and /etc/sysctl.d.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Interface, ip_interface
from typing import TYPE_CHECKING

from ferryman.lab import daemons, topology

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ferryman.lab.topology import Host, Pod
    from ferryman.model import Address

MODULES = (
    "ipip",
    "ip6_tunnel",
    "veth",
    "bridge",
    "ip_vs",
    "ip_vs_mh",
    "ip_vs_wrr",
    "ip_vs_rr",
    "nf_conntrack",
    "iptable_filter",
    "iptable_nat",
    "iptable_mangle",
    "ip6table_filter",
    "ip6table_mangle",
    "xt_nat",
    "xt_tcpudp",
    "xt_statistic",
    "xt_TCPMSS",
)
"""What the lab's kernel loads, in one call: a call for each costs seconds in the guest."""

FSTAB = """\
proc /mnt/root/proc proc defaults 0 0
sysfs /mnt/root/sys sysfs defaults 0 0
devtmpfs /mnt/root/dev devtmpfs defaults 0 0
run /mnt/root/run tmpfs mode=755 0 0
tmp /mnt/root/tmp tmpfs mode=1777 0 0
root /mnt/root/root tmpfs mode=700 0 0
lab /mnt/root/lab tmpfs mode=755 0 0
"""
"""What stage 1 mounts into the new root, in one call. An empty /root keeps slow shell start-up files out."""


def files(host_keys: Mapping[str, str], authorized_key: str) -> dict[str, str]:
    """Every file that the lab boots from, by its path below the lab's root."""
    made = {
        "etc/passwd": _PASSWD,
        "etc/shadow": "root:*:20000:0:99999:7:::\nsshd:*:20000:0:99999:7:::\n",
        "etc/group": "root:x:0:\nnogroup:x:65534:\n",
        "etc/resolv.conf": "",
        "etc/hosts": _hosts_file(),
        "lab/authorized_keys": authorized_key,
        "lab/links": _links(),
        "lab/starts": "".join(f"netns exec {name} /bin/sh /lab/{name}/start.sh\n" for name in _start_order()),
        "lab/ipvs": daemons.ipvs_rules(),
    }
    for host in topology.HOSTS:
        made[f"lab/{host.name}/ssh_host_ed25519_key"] = host_keys[host.name]
        made[f"lab/{host.name}/sshd_config"] = daemons.sshd_config(host.name)
        made |= _host_files(host)
    for pod in topology.PODS:
        made |= _pod_files(pod)
    return made


_PASSWD = "".join(
    f"{line}\n"
    for line in (
        "root:x:0:0:root:/root:/bin/sh",
        "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin",
        "sshd:x:103:65534::/run/sshd:/usr/sbin/nologin",
    )
)


def control_batch() -> str:
    """The devices and routes of the control namespace, for ``ip -batch``; lab0 is the lab kernel's end."""
    addresses = (*topology.CONTROL_ADDRESSES, *topology.CANARY_ADDRESSES)
    lines = ["link set lo up", "link add control0 type veth peer name lab0"]
    lines += [_address(_on_link(address), "control0") for address in addresses]
    lines += ["link set control0 up", "link set lab0 up"]
    gateway, gateway6 = topology.CONTROL_GATEWAYS
    source, source6 = topology.CONTROL_ADDRESSES
    lines.append(f"route add default via {gateway} dev control0 src {source}")
    lines.append(f"route add default via {gateway6} dev control0 src {source6}")
    return _text(lines)


def _text(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _on_link(address: Address) -> str:
    return f"{address}/24" if isinstance(address, IPv4Address) else f"{address}/64"


def _address(address: str, device: str) -> str:
    """One line of a batch; without duplicate address detection, so that it can be used at once."""
    nodad = " nodad" if isinstance(ip_interface(address), IPv6Interface) else ""
    return f"addr add {address} dev {device}{nodad}"


def _start_order() -> Iterator[str]:
    """Realservers before directors, so that the first health check finds them listening."""
    yield topology.ROUTER.name
    yield from (pod.name for pod in topology.PODS)
    yield from (host.name for host in (*topology.NODES, *topology.SERVERS))
    yield from (host.name for host in topology.DIRECTORS)
    yield from (host.name for host in topology.ALONE)


def _hosts_file() -> str:
    lines = ["127.0.0.1 localhost"]
    for host in topology.HOSTS:
        lines += [f"{host.address} {host.name}", f"{host.address6} {host.name}"]
    return _text(lines)


def _links() -> str:
    """The namespaces and what joins them: each host's eth0 ends in the router, named after the host."""
    router = topology.ROUTER.name
    lines = [f"netns add {name}" for name in _start_order()]
    lines.append(f"link set vec0 netns {router}")
    lines += [
        f"link add {host.name} netns {router} type veth peer name eth0 netns {host.name}"
        for host in (*topology.SEGMENT, *topology.ALONE)
    ]
    lines += [
        f"link add {pod.interface} mtu {topology.POD_MTU_BYTES} netns {pod.node} type veth "
        f"peer name eth0 mtu {topology.POD_MTU_BYTES} netns {pod.name}"
        for pod in topology.PODS
    ]
    return _text(lines)


def _host_files(host: Host) -> dict[str, str]:
    make = {
        "router": _router,
        "director": _director,
        "server": _server,
        "node": _node,
        "client": _alone,
        "bastion": _alone,
    }[host.role]
    return make(host)


def _start(name: str, *, sysctl: Mapping[str, int], late: Mapping[str, int], commands: list[str]) -> str:
    """A host's start script; ``late`` are the settings of devices that its ip batch makes."""
    common = {"ipv6/conf/all/accept_dad": 0, "ipv6/conf/default/accept_dad": 0}
    lines = [
        "set -e",
        f"exec </dev/null >/lab/log/{name}.start 2>&1",
        *_settings(common | dict(sysctl)),
        f"ip -batch /lab/{name}/ip",
        *_settings(late),
    ]
    return _text([*lines, *commands])


def _settings(values: Mapping[str, int]) -> list[str]:
    return [f"echo {value} >/proc/sys/net/{key}" for key, value in values.items()]


def _segment_addresses(host: Host) -> list[str]:
    gateway, gateway6 = topology.SEGMENT_GATEWAYS
    return [
        "link set lo up",
        "link set eth0 up",
        *(_address(_on_link(address), "eth0") for address in (host.address, host.address6)),
        *(_address(f"{vip}/{vip.max_prefixlen}", "lo") for vip in topology.vips_of(host)),
        f"route add default via {gateway}",
        f"route add default via {gateway6}",
    ]


def _router(host: Host) -> dict[str, str]:
    segment = [other.name for other in topology.SEGMENT]
    lines = ["link set lo up", "link add br0 type bridge forward_delay 0 mcast_snooping 0"]
    lines += [f"link set {name} master br0 up" for name in segment]
    lines += ["link set br0 up", "link set vec0 up"]
    lines += [f"link set {other.name} up" for other in topology.ALONE]
    for device, addresses in (
        ("br0", topology.SEGMENT_GATEWAYS),
        ("vec0", topology.CONTROL_GATEWAYS),
        *((other.name, gateways) for other, gateways in topology.ALONE.items()),
    ):
        lines += [_address(_on_link(address), device) for address in addresses]
    lines += _vip_routes()
    sysctl = {"ipv4/ip_forward": 1, "ipv6/conf/all/forwarding": 1}
    # A batch takes rules for IPv4 alone: ip infers the family of a route, but not that of a rule.
    rule = f"ip -6 rule add from {topology.CANARY_ADDRESSES[1]} to {topology.VIP_NETWORKS[1]} lookup 2"
    start = _start(host.name, sysctl=sysctl, late={}, commands=[rule, daemons.sshd_command(host.name)])
    return {f"lab/{host.name}/ip": _text(lines), f"lab/{host.name}/start.sh": start}


def _vip_routes() -> Iterator[str]:
    """VIPs go to the primary director; what comes from the canary addresses, to the secondary."""
    first, second = topology.DIRECTORS
    ways = ((first.address, second.address), (first.address6, second.address6))
    for network, canary, (primary, secondary) in zip(
        topology.VIP_NETWORKS, topology.CANARY_ADDRESSES, ways, strict=True
    ):
        yield f"route add {network} via {primary}"
        yield f"route add {network} via {secondary} table 2"
        if isinstance(canary, IPv4Address):
            yield f"rule add from {canary} to {network} lookup 2"


def _alone(host: Host) -> dict[str, str]:
    gateway, gateway6 = topology.ALONE[host]
    lines = [
        "link set lo up",
        "link set eth0 up",
        *(_address(_on_link(address), "eth0") for address in (host.address, host.address6)),
        f"route add default via {gateway}",
        f"route add default via {gateway6}",
    ]
    start = _start(host.name, sysctl={}, late={}, commands=[daemons.sshd_command(host.name)])
    return {f"lab/{host.name}/ip": _text(lines), f"lab/{host.name}/start.sh": start}


def tunnels() -> list[str]:
    """The decapsulators, as Katran and Wikimedia set them up: they take packets from any peer."""
    return [
        "link add name ipip0 type ipip external",
        "link add name ipip60 type ip6tnl external",
        "link set ipip0 up",
        "link set ipip60 up",
        "addr add 127.0.0.42/32 dev ipip0",
    ]


def _server(host: Host) -> dict[str, str]:
    sysctl = {"ipv4/conf/all/arp_ignore": 1, "ipv4/conf/all/arp_announce": 2, "ipv4/conf/all/rp_filter": 0}
    ports = [service.port for service in topology.services_of(host.name)]
    clamp, clamp6 = (
        f"*mangle\n-A OUTPUT -s {network} -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --set-mss {mss}\nCOMMIT\n"
        for network, mss in zip(topology.VIP_NETWORKS, topology.CLAMPED_MSS_BYTES, strict=True)
    )
    name = host.name
    started = [
        f"iptables-legacy-restore /lab/{name}/iptables",
        f"ip6tables-legacy-restore /lab/{name}/ip6tables",
        daemons.sshd_command(name),
        daemons.nginx_command(name),
    ]
    return {
        f"lab/{name}/ip": _text([*_segment_addresses(host), *tunnels()]),
        f"lab/{name}/iptables": clamp,
        f"lab/{name}/ip6tables": clamp6,
        f"lab/{name}/nginx.conf": daemons.nginx_conf(name, ports),
        f"lab/{name}/start.sh": _start(
            name, sysctl=sysctl, late={"ipv4/conf/ipip0/rp_filter": 0}, commands=started
        ),
        f"etc/netns/{name}/sysctl.d/70-ferryman.conf": _persisted(sysctl, default=0),
    }


def _persisted(sysctl: Mapping[str, int], *, default: int) -> str:
    """The settings as they would come back after a reboot."""
    kept = {**sysctl, "ipv4/conf/default/rp_filter": default, "ipv4/conf/ipip0/rp_filter": 0}
    return _text([f"net.{key.replace('/', '.')} = {value}" for key, value in kept.items()])


def _node(host: Host) -> dict[str, str]:
    """A Kubernetes worker: no VIP of its own, DNAT to pods, strict rp_filter wherever none is set."""
    pods = [pod for pod in topology.PODS if pod.node == host.name]
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
    lines = [*_segment_addresses(host), *tunnels()]
    for pod in pods:
        lines += [f"link set {pod.interface} up", f"route add {pod.address} dev {pod.interface} scope link"]
    name = host.name
    return {
        f"lab/{name}/ip": _text(lines),
        f"lab/{name}/iptables": _dnat(host, pods),
        f"lab/{name}/start.sh": _start(
            name,
            sysctl=sysctl,
            late=late,
            commands=[f"iptables-legacy-restore /lab/{name}/iptables", daemons.sshd_command(name)],
        ),
        f"etc/netns/{name}/sysctl.d/70-ferryman.conf": _persisted(sysctl, default=1),
    }


def _dnat(host: Host, pods: list[Pod]) -> str:
    """VIP and node port to one of the node's pods, each with the same chance, as kube-proxy writes it."""
    lines = ["*nat", ":KUBE-SEP - [0:0]"]
    for service in topology.services_of(host.name):
        lines += [
            f"-A PREROUTING -d {address}/32 -p tcp --dport {service.port} -j KUBE-SEP"
            for address in (*service.vips, host.address)
        ]
    for left, pod in zip(range(len(pods), 0, -1), pods, strict=True):
        chance = f" -m statistic --mode random --probability {1 / left:.5f}" if left > 1 else ""
        target = f"{pod.address}:{topology.POD_PORT}"
        lines.append(f"-A KUBE-SEP -p tcp{chance} -j DNAT --to-destination {target}")
    return _text([*lines, "COMMIT"])


def _pod_files(pod: Pod) -> dict[str, str]:
    lines = [
        "link set lo up",
        "link set eth0 up",
        f"addr add {pod.address}/32 dev eth0",
        f"route add {topology.POD_GATEWAY} dev eth0 scope link",
        f"route add default via {topology.POD_GATEWAY} dev eth0",
    ]
    return {
        f"lab/{pod.name}/ip": _text(lines),
        f"lab/{pod.name}/nginx.conf": daemons.nginx_conf(pod.name, [topology.POD_PORT]),
        f"lab/{pod.name}/start.sh": _start(
            pod.name, sysctl={}, late={}, commands=[daemons.nginx_command(pod.name)]
        ),
    }


REUSE = "ipv4/vs/conn_reuse_mode"
"""At 3, whoever comes back on a connection in FIN_WAIT is scheduled anew: none lingers in its old way."""


def _director(host: Host) -> dict[str, str]:
    name = host.name
    folder = f"etc/netns/{name}/keepalived"
    filled = f"/bin/sh /lab/{name}/filled.sh &"
    started = ["ipvsadm -R </lab/ipvs", daemons.keepalived_command(name), filled, daemons.sshd_command(name)]
    made = {
        f"lab/{name}/ip": _text(_segment_addresses(host)),
        f"lab/{name}/start.sh": _start(name, sysctl={REUSE: 3}, late={}, commands=started),
        f"lab/{name}/filled.sh": daemons.table_filled(name),
        f"etc/netns/{name}/sysctl.d/70-ferryman.conf": f"net/{REUSE} = 3\n",
    }
    made |= {f"{folder}/{file}": text for file, text in daemons.keepalived_files(name).items()}
    return made
