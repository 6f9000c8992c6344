"""A node's pods made again, as a restart makes them: another namespace, another pair of devices, another MTU.

The kernel is the lab's and the pod's address stays, so that the node's rules still lead there; all the rest
is new. What Kubernetes would decide (whether a pod may go, and when) is not decided here.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING

from ferryman.errors import LabError
from ferryman.lab.batches import settings, text
from ferryman.lab.control import console
from ferryman.lab.machine import topology_of
from ferryman.lab.node_files import CNI_FILE, cni_text, pod_lines, pod_settings, speaks_ipv6
from ferryman.lab.topology import ROUTER
from ferryman.lab.topology.state import to_json

if TYPE_CHECKING:
    from ferryman.lab.paths import LabPaths
    from ferryman.lab.topology import Pod, Topology

_AGAIN = """\
nsenter --target 1 --mount --net /bin/sh -e <<'END'
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
for pid in $(ip netns pids {pod.name}); do kill -KILL "$pid" 2>/dev/null || :; done
while [ -n "$(ip netns pids {pod.name})" ]; do sleep 0.1; done
ip netns del {pod.name}
# The kernel takes a namespace down by and by; the node's end of the pair goes with it.
while ip -n {pod.node} link show dev {pod.interface} >/dev/null 2>&1; do sleep 0.1; done
rm -f /run/nginx-{pod.name}.*
ip netns add {pod.name}
ip link add name {new} mtu {mtu} netns {pod.node} type veth peer name eth0 mtu {mtu} netns {pod.name}
ip netns exec {pod.node} /bin/sh -e <<'NODE'
ip -batch - <<'LINES'
{lines}LINES
{settings}
NODE
ip netns exec {pod.name} /bin/sh /lab/{pod.name}/start.sh
END
"""
_MTU = re.compile(r'"mtu": *(\d+)')


def recreate(paths: LabPaths, name: str, mtu: int | None = None) -> Pod:
    """Delete a pod of the lab that is up and make it again, with this MTU in bytes or its node's CNI's.

    Connections to it end. The pod that it is now differs in the name of the node's device; faults that are in
    for the old device go with it.

    Raises:
        LabError: There is no lab, no such pod, or it could not be made again.
    """
    with paths.locked():
        lab = topology_of(paths)
        pod = _pod(lab, name)
        size = cni_mtu(paths, pod.node) if mtu is None else mtu
        made = replace(pod, interface=f"cali{secrets.randbits(44):011x}")
        script = _AGAIN.format(
            pod=pod,
            new=made.interface,
            mtu=size,
            lines=text(pod_lines(made, both=speaks_ipv6(lab, pod.node))),
            settings="\n".join(settings({f"ipv4/{key}": value for key, value in pod_settings(made).items()})),
        )
        console(paths, ROUTER.name, script)
        pods = tuple(made if other.name == name else other for other in lab.pods)
        paths.topology.write_text(to_json(replace(lab, pods=pods)))
    return made


def cni_mtu(paths: LabPaths, node: str) -> int:
    """The MTU in bytes that a node's CNI gives to new pods.

    Raises:
        LabError: There is no lab, no such host, or its configuration says none.
    """
    said = console(paths, node, f"cat /etc/cni/net.d/{CNI_FILE}")
    if (found := _MTU.search(said)) is None:
        raise LabError(f"{node}: /etc/cni/net.d/{CNI_FILE}: says no MTU")
    return int(found[1])


def set_cni_mtu(paths: LabPaths, node: str, mtu: int) -> None:
    """Have a node's CNI give this MTU in bytes to new pods; those that are there keep theirs.

    Raises:
        LabError: There is no lab, or no such host.
    """
    console(paths, node, f"cat >/etc/cni/net.d/{CNI_FILE} <<'END'\n{cni_text(mtu)}END")


def _pod(lab: Topology, name: str) -> Pod:
    for pod in lab.pods:
        if pod.name == name:
            return pod
    known = ", ".join(pod.name for pod in lab.pods) or "none"
    raise LabError(f"{name}: is no pod of the lab; it has {known}")
