"""What can be put wrong in the lab, each by name: how it is put in, and how it is taken out again.

Faults go in through the console, so one that shuts a host's own sshd can be taken out again. Which are in is
kept in the lab's folder, and is gone with the lab.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ferryman.errors import LabError
from ferryman.lab import daemons, render, topology
from ferryman.lab.control import console
from ferryman.lab.machine import require

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ferryman.lab.place import LabPlace
    from ferryman.lab.topology import Host, HostRole

_REALSERVERS: frozenset[HostRole] = frozenset({"server", "node"})
_SERVERS: frozenset[HostRole] = frozenset({"server"})
_NODES: frozenset[HostRole] = frozenset({"node"})
_DIRECTORS: frozenset[HostRole] = frozenset({"director"})
_NOT_ROUTER: frozenset[HostRole] = _REALSERVERS | _DIRECTORS | {"client"}

Script = Callable[["Host"], str]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong that the lab can put into a host; both scripts are for the host's own shell."""

    name: str
    description: str
    roles: frozenset[HostRole]
    """Where it makes sense."""
    put: Script
    clear: Script

    @property
    def hosts(self) -> tuple[str, ...]:
        """The hosts that it can be put into; the first is the one meant when none is named."""
        return tuple(host.name for host in topology.HOSTS if host.role in self.roles)


@dataclass(frozen=True, slots=True, order=True)
class PutFault:
    """A fault that is in."""

    name: str
    host: str

    def __str__(self) -> str:
        return f"{self.name} on {self.host}"


def active(place: LabPlace) -> tuple[PutFault, ...]:
    """The faults that are in, in the order in which they were put."""
    if not place.faults.exists():
        return ()
    return tuple(PutFault(**entry) for entry in json.loads(place.faults.read_text()))


def put(place: LabPlace, name: str, host: str | None = None) -> PutFault:
    """Put a fault into a host, the first that it fits when none is named; twice is harmless.

    Raises:
        LabError: There is no lab, no such fault, or the fault does not fit the host.
    """
    fault = _fault(name)
    chosen = host or fault.hosts[0]
    if chosen not in fault.hosts:
        raise LabError(f"{name}: does not fit {chosen}; it fits {', '.join(fault.hosts)}")
    wanted = PutFault(name, chosen)
    require(place)
    with place.locked():
        already = active(place)
        if wanted not in already:
            # Written first: what went in half-way can be taken out, for every way out fits a sound host.
            _write(place, (*already, wanted))
            console(place, chosen, fault.put(topology.BY_NAME[chosen]))
    return wanted


def clear(place: LabPlace, name: str | None = None, host: str | None = None) -> tuple[PutFault, ...]:
    """Take faults out again, the last put first: those with this name, on this host, or all; what was taken.

    Raises:
        LabError: There is no lab, no such fault, or it could not be taken out.
    """
    if name is not None:
        _fault(name)
    require(place)
    with place.locked():
        taken = tuple(
            one for one in reversed(active(place)) if name in (None, one.name) and host in (None, one.host)
        )
        for one in taken:
            console(place, one.host, _fault(one.name).clear(topology.BY_NAME[one.host]))
            _write(place, (other for other in active(place) if other != one))
    return taken


def _fault(name: str) -> Fault:
    try:
        return FAULTS[name]
    except KeyError:
        raise LabError(f"{name}: is no fault of the lab; it has {', '.join(FAULTS)}") from None


def _write(place: LabPlace, faults: Iterable[PutFault]) -> None:
    place.faults.write_text(json.dumps([{"name": fault.name, "host": fault.host} for fault in faults]))


def _always(script: str) -> Script:
    return lambda _: script


def _rp_filter(device: str, value: int) -> Script:
    return _always(f"echo {value} >/proc/sys/net/ipv4/conf/{device}/rp_filter")


def _make_tunnels(_: Host) -> str:
    batch = "\n".join(render.tunnels())
    return (
        f"ip link show ipip0 >/dev/null 2>&1 || ip -batch - <<'EOF'\n{batch}\nEOF\n"
        "echo 0 >/proc/sys/net/ipv4/conf/ipip0/rp_filter"
    )


def _vips(verb: str) -> Script:
    def script(host: Host) -> str:
        vips = (f"{vip}/{vip.max_prefixlen}" for vip in topology.vips_of(host))
        return "\n".join(f"ip addr {verb} {vip} dev lo" for vip in vips)

    return script


def _pods_of(host: Host) -> list[topology.Pod]:
    return [pod for pod in topology.PODS if pod.node == host.name]


def _listeners(host: Host) -> list[str]:
    """Whoever runs an nginx for this host: itself, or its pods."""
    return [host.name] if host.role == "server" else [pod.name for pod in _pods_of(host)]


def _stop(pid_file: str) -> str:
    return (
        f'pid=$(cat {pid_file} 2>/dev/null || true)\nif [ -n "$pid" ] && kill "$pid" 2>/dev/null; then\n'
        f'    while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done\nfi\nrm -f {pid_file}'
    )


def _stop_listeners(host: Host) -> str:
    return "\n".join(_stop(f"/run/nginx-{name}.pid") for name in _listeners(host))


def _start_listeners(host: Host) -> str:
    return "\n".join(
        f"[ -e /run/nginx-{name}.pid ] || {{ rm -f /run/nginx-{name}.sock; "
        f"ip netns exec {name} {daemons.nginx_command(name)}; }}"
        for name in _listeners(host)
    )


_TUNNELLED = (("iptables-legacy", 4), ("ip6tables-legacy", 41))


def _drop_tunnelled(_: Host) -> str:
    return "\n".join(f"{program} -I INPUT -p {number} -j DROP" for program, number in _TUNNELLED)


def _accept_tunnelled(_: Host) -> str:
    return "\n".join(
        f"{program} -D INPUT -p {number} -j DROP 2>/dev/null || true" for program, number in _TUNNELLED
    )


def _pod_mtu(mtu_bytes: int) -> Script:
    def script(host: Host) -> str:
        return "\n".join(
            f"ip -n {pod.name} link set eth0 mtu {mtu_bytes}\nip link set {pod.interface} mtu {mtu_bytes}"
            for pod in _pods_of(host)
        )

    return script


def _clamp(host: Host) -> str:
    return (
        f"iptables-legacy-restore -T mangle /lab/{host.name}/iptables\n"
        f"ip6tables-legacy-restore -T mangle /lab/{host.name}/ip6tables"
    )


def _stop_sshd(host: Host) -> str:
    return _stop(f"/run/sshd-{host.name}.pid")


def _start_sshd(host: Host) -> str:
    """It returns before it listens; its pid file comes after."""
    pid_file = f"/run/sshd-{host.name}.pid"
    command = daemons.sshd_command(host.name)
    return f"[ -e {pid_file} ] || {command}\nuntil [ -e {pid_file} ]; do sleep 0.1; done"


def _change_host_key(host: Host) -> str:
    key = f"/lab/{host.name}/ssh_host_ed25519_key"
    made = f"[ -e {key}.before ] || {{ mv {key} {key}.before; ssh-keygen -q -t ed25519 -N '' -f {key}; }}"
    return f"{made}\n{_stop_sshd(host)}\n{_start_sshd(host)}"


def _restore_host_key(host: Host) -> str:
    key = f"/lab/{host.name}/ssh_host_ed25519_key"
    return f"[ ! -e {key}.before ] || mv -f {key}.before {key}\n{_stop_sshd(host)}\n{_start_sshd(host)}"


def _signal_keepalived(signal: str) -> Script:
    def script(host: Host) -> str:
        pids = f"/run/keepalived-{host.name}.pid /run/keepalived-{host.name}.checkers.pid"
        return f"kill -{signal} $(cat {pids})"

    return script


_BROKEN_FILE = "/etc/keepalived/services/zz-broken.conf"

_FLIP_WATCH = """\
mkfifo /run/{name}.wait 2>/dev/null || true
cat >/run/{name}.sh <<'EOF'
table=/proc/$(cat /run/sshd-{director}.pid)/net/ip_vs
IFS='
'
set -f
tunnelled() {{
    count=0
    # In one piece: bash reads lines by seeking back, and this table does not bear that.
    read -r -d '' lines <$table
    for line in $lines; do
        case $line in {patterns}) count=$((count + 1)) ;; esac
    done
}}
exec 3<>/run/{name}.wait
tunnelled
before=$count
echo armed >/run/{name}.armed
until [ $count -gt $before ]; do
    read -r -t 0.05 -u 3 nothing
    tunnelled
done
echo 1 >/proc/sys/net/ipv4/conf/ipip0/rp_filter
EOF
setsid bash /run/{name}.sh </dev/null >/run/{name}.log 2>&1 &
echo $! >/run/{name}.pid
until [ -e /run/{name}.armed ]; do sleep 0.1; done
"""
"""A loop in the host's namespace that reads the secondary director's table through that director's sshd."""


def _watch_name(host: Host) -> str:
    return f"breaks-after-flip-{host.name}"


def _arm(host: Host) -> str:
    """Strict filtering as soon as the secondary director has one more tunnel to this host than it has now.

    The table's addresses are in hexadecimal; the watch wakes every 50 ms without forking.
    """
    address = f"{int(host.address):08X}"
    address6 = host.address6.exploded
    patterns = f'*"-> {address}:"*Tunnel*|*"-> [{address6}]:"*Tunnel*'
    return _FLIP_WATCH.format(name=_watch_name(host), director=topology.SECONDARY.name, patterns=patterns)


def _disarm(host: Host) -> str:
    name = _watch_name(host)
    return (
        f"kill $(cat /run/{name}.pid) 2>/dev/null || true\nrm -f /run/{name}.*\n"
        "echo 0 >/proc/sys/net/ipv4/conf/ipip0/rp_filter"
    )


ALL = (
    Fault(
        "rp-filter-strict",
        "ipip0 drops what it unwraps: net.ipv4.conf.ipip0.rp_filter = 1",
        _REALSERVERS,
        _rp_filter("ipip0", 1),
        _rp_filter("ipip0", 0),
    ),
    Fault(
        "rp-filter-all-strict",
        "net.ipv4.conf.all.rp_filter = 1, which overrides the 0 of ipip0",
        _REALSERVERS,
        _rp_filter("all", 1),
        _rp_filter("all", 0),
    ),
    Fault(
        "ipip0-down",
        "the decapsulator is there, but down",
        _REALSERVERS,
        _always("ip link set ipip0 down"),
        _always("ip link set ipip0 up"),
    ),
    Fault(
        "ipip0-absent",
        "there is no decapsulator at all",
        _REALSERVERS,
        _always("ip link del ipip0\nip link del ipip60"),
        _make_tunnels,
    ),
    Fault(
        "vip-missing",
        "the VIPs are not on the server's loopback",
        _SERVERS,
        _vips("del"),
        _vips("replace"),
    ),
    Fault(
        "listener-closed",
        "nothing listens on the service's port",
        _REALSERVERS,
        _stop_listeners,
        _start_listeners,
    ),
    Fault(
        "firewall-proto4",
        "a firewall drops encapsulated packets, IP protocols 4 and 41",
        _REALSERVERS,
        _drop_tunnelled,
        _accept_tunnelled,
    ),
    Fault(
        "pod-mtu-1500",
        "pods that were never restarted: their MTU is 1500, their MSS 1460",
        _NODES,
        _pod_mtu(1500),
        _pod_mtu(topology.POD_MTU_BYTES),
    ),
    Fault(
        "clamp-missing",
        "the server does not clamp its MSS, which is 1460 then",
        _SERVERS,
        _always("iptables-legacy -t mangle -F OUTPUT\nip6tables-legacy -t mangle -F OUTPUT"),
        _clamp,
    ),
    Fault("sshd-down", "the host takes no SSH connections", _NOT_ROUTER, _stop_sshd, _start_sshd),
    Fault(
        "host-key-changed",
        "the host greets with an SSH key that nobody knows",
        _NOT_ROUTER,
        _change_host_key,
        _restore_host_key,
    ),
    Fault(
        "director-frozen",
        "keepalived is stopped (SIGSTOP): it takes reloads and does nothing",
        _DIRECTORS,
        _signal_keepalived("STOP"),
        _signal_keepalived("CONT"),
    ),
    Fault(
        "keepalived-wrong-config",
        "a syntax error in a file that keepalived.conf includes",
        _DIRECTORS,
        _always(f"echo 'virtual_server 10.99.0.99 {{ lvs_sched' >{_BROKEN_FILE}"),
        _always(f"rm -f {_BROKEN_FILE}"),
    ),
    Fault(
        "breaks-after-flip",
        "all is well until the secondary director tunnels one more service to the host; then rp_filter is 1",
        _REALSERVERS,
        _arm,
        _disarm,
    ),
)
FAULTS = {fault.name: fault for fault in ALL}
