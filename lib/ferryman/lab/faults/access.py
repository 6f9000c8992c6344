"""Hosts that do not answer as they should: sshd, its key, the link."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.lab import daemons
from ferryman.lab.faults.fault import NOT_ROUTER, REALSERVERS, SERVERS, Fault, always, stop
from ferryman.lab.topology.values import SEGMENT_GATEWAYS, VIP_NETWORKS

if TYPE_CHECKING:
    from ferryman.lab.topology import Host, Topology


def _stop_sshd(_lab: Topology, host: Host) -> str:
    return stop(f"/run/sshd-{host.name}.pid")


def _start_sshd(_lab: Topology, host: Host) -> str:
    """It returns before it listens; its pid file comes after."""
    pid_file = f"/run/sshd-{host.name}.pid"
    command = daemons.sshd_command(host.name)
    return f"[ -e {pid_file} ] || {command}\nuntil [ -e {pid_file} ]; do sleep 0.1; done"


def _change_host_key(lab: Topology, host: Host) -> str:
    key = f"/lab/{host.name}/ssh_host_ed25519_key"
    made = f"[ -e {key}.before ] || {{ mv {key} {key}.before; ssh-keygen -q -t ed25519 -N '' -f {key}; }}"
    return f"{made}\n{_stop_sshd(lab, host)}\n{_start_sshd(lab, host)}"


def _restore_host_key(lab: Topology, host: Host) -> str:
    key = f"/lab/{host.name}/ssh_host_ed25519_key"
    restored = f"[ ! -e {key}.before ] || mv -f {key}.before {key}"
    return f"{restored}\n{_stop_sshd(lab, host)}\n{_start_sshd(lab, host)}"


_ROUTES = "\n".join(f"ip route replace default via {gateway}" for gateway in SEGMENT_GATEWAYS)

FAULTS = (
    Fault("sshd-down", "the host takes no SSH connections", NOT_ROUTER, _stop_sshd, _start_sshd),
    Fault(
        "host-key-changed",
        "the host greets with an SSH key that nobody knows",
        NOT_ROUTER,
        _change_host_key,
        _restore_host_key,
    ),
    Fault(
        "link-down",
        "the host is cut off from its network",
        REALSERVERS,
        always("ip link set eth0 down"),
        # IPv6 addresses and both default routes went with the link
        lambda _lab, host: (
            f"ip link set eth0 up\nip addr replace {host.address6}/64 dev eth0 nodad\n{_ROUTES}"
        ),
    ),
    Fault(
        "vip-no-route-back",
        "a rule leads what the VIPs answer to a table without a route",
        SERVERS,
        always(
            f"ip rule del pref 99 2>/dev/null || true\nip rule add pref 99 from {VIP_NETWORKS[0]} lookup 99\n"
            "ip route replace unreachable default table 99"
        ),
        always(
            "ip rule del pref 99 2>/dev/null || true\n"
            "ip route del unreachable default table 99 2>/dev/null || true"
        ),
    ),
)
