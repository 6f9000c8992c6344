"""What a Kubernetes node of the lab starts from: its devices to pods, and rules as kube-proxy writes them."""

from __future__ import annotations

import json
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

from ferryman.lab import daemons
from ferryman.lab.batches import address_line, persisted, start_script, text
from ferryman.lab.boot_files import persistent_files
from ferryman.lab.segment import segment_addresses, tunnels
from ferryman.lab.topology import values

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ferryman.lab.topology import Host, LabService, Pod, Topology
    from ferryman.model import Address

    Family = type[IPv4Address | IPv6Address]

CNI_FILE = "10-calico.conflist"
MASQUERADED = "0x4000/0x4000"
"""kube-proxy's mark of packets that leave with the node's own address for a source."""


def node(lab: Topology, host: Host) -> dict[str, str]:
    """A Kubernetes worker: no VIP of its own, DNAT to pods, strict rp_filter wherever none is set."""
    name, pods = host.name, lab.pods_of(host.name)
    sysctl = {
        "ipv4/ip_forward": 1,
        "ipv4/conf/all/rp_filter": 0,
        "ipv4/conf/default/rp_filter": 1,
    }
    late = {"ipv4/conf/ipip0/rp_filter": 0}
    for pod in pods:
        late |= {f"ipv4/{key}": value for key, value in pod_settings(pod).items()}
    both = speaks_ipv6(lab, name)
    lines = [*segment_addresses(lab, host), *tunnels()]
    for pod in pods:
        lines += pod_lines(pod, both=both)
    lines += _ways_to_other_pods(lab, host, both=both)
    started = [f"iptables-legacy-restore /lab/{name}/iptables"]
    made = {f"lab/{name}/iptables": _rules(lab, host, IPv4Address)}
    if both:
        # Its default route is the one that it is given: a router takes none from others.
        sysctl["ipv6/conf/all/forwarding"] = 1
        started.append(f"ip6tables-legacy-restore /lab/{name}/ip6tables")
        made[f"lab/{name}/ip6tables"] = _rules(lab, host, IPv6Address)
    return (
        made
        | persistent_files(lab, host)
        | {
            f"lab/{name}/ip": text(lines),
            f"lab/{name}/start.sh": start_script(
                name, sysctl=sysctl, late=late, commands=[*started, daemons.sshd_command(name)]
            ),
            f"etc/netns/{name}/sysctl.d/70-ferryman.conf": persisted(sysctl, default=1),
            f"etc/netns/{name}/cni/net.d/{CNI_FILE}": cni_text(values.POD_MTU_BYTES),
            f"etc/cni/net.d/{CNI_FILE}": "",  # where it is laid over, there must be something
        }
    )


def cni_text(mtu: int) -> str:
    """The node's CNI configuration as Calico's install-cni writes it: the MTU in bytes that new pods get."""
    plugin = {"type": "calico", "datastore_type": "kubernetes", "mtu": mtu, "ipam": {"type": "calico-ipam"}}
    return (
        f"{json.dumps({'name': 'k8s-pod-network', 'cniVersion': '0.3.1', 'plugins': [plugin]}, indent=1)}\n"
    )


def speaks_ipv6(lab: Topology, node: str) -> bool:
    """Whether a service of this node has an IPv6 VIP; where none has, its pods have no IPv6."""
    return any(isinstance(vip, IPv6Address) for service in lab.services_of(node) for vip in service.vips)


def pod_settings(pod: Pod) -> dict[str, int]:
    """The settings of a node's device to a pod as Calico has them, by their path below /proc/sys/net/ipv4."""
    return {
        f"conf/{pod.interface}/rp_filter": 1,
        f"conf/{pod.interface}/proxy_arp": 1,
        f"neigh/{pod.interface}/proxy_delay": 0,
    }


def pod_lines(pod: Pod, *, both: bool) -> list[str]:
    """The node's end of a pod's pair and the ways there, for ``ip -batch``; ``both``: of both families."""
    lines = [f"link set {pod.interface} up", f"route add {pod.address} dev {pod.interface} scope link"]
    if both:
        lines += [
            address_line(f"{values.POD_GATEWAYS[1]}/64", pod.interface),
            f"route add {pod.address6} dev {pod.interface}",
        ]
    return lines


def _ways_to_other_pods(lab: Topology, host: Host, *, both: bool) -> Iterator[str]:
    """Routes to other nodes' pods that a service wants here; those beyond the router it knows itself."""
    for pod in lab.shared_pods:
        there = lab.by_name[pod.node]
        if there != host and there.is_far == host.is_far:
            yield f"route add {pod.address} via {there.address}"
            if both:
                yield f"route add {pod.address6} via {there.address6}"


def _rules(lab: Topology, host: Host, family: Family) -> str:
    """VIP and node port to pods, each with the same chance, as kube-proxy writes it in its mode iptables."""
    services = lab.services_of(host.name)
    local = [service for service in services if service.traffic_policy == "Local"]
    chains: dict[str, tuple[list[LabService], Sequence[Pod], bool]] = {}
    for name, encryption in (("KUBE-SEP", False), ("KUBE-SEP-TLS", True)):
        those = [service for service in local if service.encryption is encryption]
        if those and lab.pods_of(host.name):
            chains[name] = those, lab.pods_of(host.name), encryption
    shared = [service for service in services if service.traffic_policy == "Cluster"]
    for number, service in enumerate(shared, 1):
        everywhere = lab.endpoints_of(service, host.name)
        chains[f"KUBE-EXT-{number}"] = [service], everywhere, service.encryption
    lines = ["*nat", *(f":{name} - [0:0]" for name in chains)]
    for name, (those, _, _) in chains.items():
        lines += [
            f"-A PREROUTING -d {address}/{address.max_prefixlen} -p tcp --dport {port} -j {name}"
            for address, port in _asked_for(those, host, family)
        ]
    for name, (those, pods, encryption) in chains.items():
        if those[0].traffic_policy == "Cluster":
            lines.append(f"-A {name} -j MARK --set-xmark {MASQUERADED}")
        lines += _chances(name, pods, values.POD_TLS_PORT if encryption else values.POD_PORT, family)
    if shared:
        lines.append(f"-A POSTROUTING -m mark --mark {MASQUERADED} -j MASQUERADE")
    lines.append("COMMIT")
    if local and not lab.pods_of(host.name):
        lines += _dropped(_asked_for(local, host, family))
    return text(lines)


def _asked_for(services: Sequence[LabService], host: Host, family: Family) -> list[tuple[Address, int]]:
    """The addresses and ports that services are asked for on a node: their VIPs and the node's own."""
    own: Address = host.address if family is IPv4Address else host.address6
    return [
        (address, service.port)
        for service in services
        for address in (*(vip for vip in service.vips if isinstance(vip, family)), own)
    ]


def _chances(chain: str, pods: Sequence[Pod], port: int, family: Family) -> Iterator[str]:
    for left, pod in zip(range(len(pods), 0, -1), pods, strict=True):
        chance = f" -m statistic --mode random --probability {1 / left:.5f}" if left > 1 else ""
        target = f"{pod.address}:{port}" if family is IPv4Address else f"[{pod.address6}]:{port}"
        yield f"-A {chain} -p tcp{chance} -j DNAT --to-destination {target}"


def _dropped(asked_for: Sequence[tuple[Address, int]]) -> list[str]:
    """What a node without a pod of its own does with packets for a Service whose policy is Local.

    Source: kube-proxy's "has no local endpoints", pkg/proxy/iptables/proxier.go.
    """
    return [
        "*filter",
        *(
            f"-A {chain} -d {address}/{address.max_prefixlen} -p tcp --dport {port} -j DROP"
            for address, port in asked_for
            for chain in ("INPUT", "FORWARD")
        ),
        "COMMIT",
    ]
