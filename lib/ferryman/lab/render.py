"""A lab's topology as the files that its hosts boot from: ip batches, sysctl, sshd, nginx, keepalived.

Everything is text made from a ``Topology``. In the lab, ``/lab/HOST/`` holds what a host starts from and
``/etc/netns/HOST/`` what ``ip netns exec`` lays over /etc for it: its own /etc/keepalived and /etc/sysctl.d.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.lab import daemons, host_files
from ferryman.lab.batches import address_line, on_link, text
from ferryman.lab.topology import values

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ferryman.lab.topology import Topology

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


def modules(lab: Topology) -> list[str]:
    """What the lab's kernel loads."""
    schedulers = sorted({f"ip_vs_{service.scheduler}" for service in lab.services} - set(MODULES))
    return [*MODULES, *schedulers]


def files(lab: Topology, host_keys: Mapping[str, str], authorized_key: str) -> dict[str, str]:
    """Every file that the lab boots from, by its path below the lab's root."""
    made = {
        "etc/passwd": _PASSWD,
        "etc/shadow": "root:*:20000:0:99999:7:::\nsshd:*:20000:0:99999:7:::\n",
        "etc/group": "root:x:0:\nnogroup:x:65534:\n",
        "etc/resolv.conf": "",
        "etc/hosts": _hosts_file(lab),
        "lab/authorized_keys": authorized_key,
        "lab/links": _links(lab),
        "lab/starts": "".join(
            f"netns exec {name} /bin/sh /lab/{name}/start.sh\n" for name in _start_order(lab)
        ),
    }
    for host in lab.hosts:
        made[f"lab/{host.name}/ssh_host_ed25519_key"] = host_keys[host.name]
        made[f"lab/{host.name}/sshd_config"] = daemons.sshd_config(host.name)
        made |= host_files.of_host(lab, host)
    for pod in lab.pods:
        made |= host_files.of_pod(lab, pod)
    return made


_PASSWD = "".join(
    f"{line}\n"
    for line in (
        "root:x:0:0:root:/root:/bin/sh",
        "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin",
        "sshd:x:103:65534::/run/sshd:/usr/sbin/nologin",
    )
)


def control_batch(lab: Topology) -> str:
    """The devices and routes of the control namespace, for ``ip -batch``; lab0 is the lab kernel's end."""
    sources = [values.traffic_sources(rank) for rank in (0, *(lab.secondary_ranks or (1,)))]
    lines = ["link set lo up", "link add control0 type veth peer name lab0"]
    lines += [address_line(on_link(address), "control0") for pair in sources for address in pair]
    lines += ["link set control0 up", "link set lab0 up"]
    gateway, gateway6 = values.CONTROL_GATEWAYS
    source, source6 = values.CONTROL_ADDRESSES
    lines.append(f"route add default via {gateway} dev control0 src {source}")
    lines.append(f"route add default via {gateway6} dev control0 src {source6}")
    return text(lines)


def _start_order(lab: Topology) -> Iterator[str]:
    """Realservers before directors, so that the first health check finds them listening."""
    yield values.ROUTER.name
    yield from (pod.name for pod in lab.pods)
    yield from (host.name for host in (*lab.nodes, *lab.servers))
    yield from (host.name for host in lab.directors)
    yield from (host.name for host in values.ALONE)


def _hosts_file(lab: Topology) -> str:
    lines = ["127.0.0.1 localhost"]
    for host in lab.hosts:
        lines += [f"{host.address} {host.name}", f"{host.address6} {host.name}"]
    return text(lines)


def _links(lab: Topology) -> str:
    """The namespaces and what joins them: each host's eth0 ends in the router, named after the host."""
    router = values.ROUTER.name
    lines = [f"netns add {name}" for name in _start_order(lab)]
    lines.append(f"link set vec0 netns {router}")
    lines += [
        f"link add name {device} netns {router} type veth peer name eth0 netns {name}"
        for name, device in lab.devices.items()
    ]
    lines += [
        f"link add name {pod.interface} mtu {values.POD_MTU_BYTES} netns {pod.node} type veth "
        f"peer name eth0 mtu {values.POD_MTU_BYTES} netns {pod.name}"
        for pod in lab.pods
    ]
    return text(lines)
