"""Directors: keepalived that does not follow, and IPVS tables that differ from each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.lab import topology
from ferryman.lab.faults.fault import DIRECTORS, Fault, Script, always
from ferryman.model import host_port

if TYPE_CHECKING:
    from ferryman.lab.topology import Host

_BROKEN_FILE = "/etc/keepalived/services/zz-broken.conf"
_SERVICE = next(service for service in topology.SERVICES if service.driver == "ipvsadm")
"""No daemon keeps its table, so what is edited there stays."""
_VIP = host_port(_SERVICE.vips[0], _SERVICE.port)


def _signal_keepalived(signal: str) -> Script:
    def script(host: Host) -> str:
        pids = f"/run/keepalived-{host.name}.pid /run/keepalived-{host.name}.checkers.pid"
        return f"kill -{signal} $(cat {pids})"

    return script


def _destination(host: str, port: int = _SERVICE.port) -> str:
    return f"-t {_VIP} -r {host_port(topology.BY_NAME[host].address, port)}"


_FIRST = _destination(_SERVICE.realservers[0])
_UNLISTED = _destination(topology.NODES[0].name)


def _table(name: str, description: str, put: str, clear: str) -> Fault:
    """An edit of one service's table; both are arguments of ipvsadm."""
    sound = f"ipvsadm {clear} 2>/dev/null || true"
    return Fault(name, f"{_SERVICE.name}: {description}", DIRECTORS, always(f"ipvsadm {put}"), always(sound))


FAULTS = (
    Fault(
        "director-frozen",
        "keepalived is stopped (SIGSTOP): it takes reloads and does nothing",
        DIRECTORS,
        _signal_keepalived("STOP"),
        _signal_keepalived("CONT"),
    ),
    Fault(
        "keepalived-wrong-config",
        "a syntax error in a file that keepalived.conf includes",
        DIRECTORS,
        always(f"echo 'virtual_server 10.99.0.99 {{ lvs_sched' >{_BROKEN_FILE}"),
        always(f"rm -f {_BROKEN_FILE}"),
    ),
    _table(
        "ipvs-weight", "one destination has another weight", f"-e {_FIRST} -g -w 5", f"-e {_FIRST} -g -w 1"
    ),
    _table(
        "ipvs-drained", "one destination has the weight 0", f"-e {_FIRST} -g -w 0", f"-e {_FIRST} -g -w 1"
    ),
    _table(
        "ipvs-scheduler", "another scheduler", f"-E -t {_VIP} -s rr", f"-E -t {_VIP} -s {_SERVICE.scheduler}"
    ),
    _table(
        "ipvs-persistent",
        "clients stick",
        f"-E -t {_VIP} -s {_SERVICE.scheduler} -p 300",
        f"-E -t {_VIP} -s {_SERVICE.scheduler}",
    ),
    _table("ipvs-extra", "a destination that nobody listed", f"-a {_UNLISTED} -g -w 1", f"-d {_UNLISTED}"),
    _table("ipvs-missing", "a destination is missing", f"-d {_FIRST}", f"-a {_FIRST} -g -w 1"),
    _table(
        "ipvs-tunnelled",
        "one destination is tunnelled already",
        f"-e {_FIRST} -i -w 1",
        f"-e {_FIRST} -g -w 1",
    ),
    _table(
        "ipvs-masqueraded", "one destination is masqueraded", f"-e {_FIRST} -m -w 1", f"-e {_FIRST} -g -w 1"
    ),
    _table("ipvs-absent", "there is no such virtual service", f"-D -t {_VIP}", "-R </lab/ipvs"),
)
