"""Directors: keepalived that does not follow, and IPVS tables that differ from each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.lab.faults.fault import DIRECTORS, Fault, Script, always
from ferryman.lab.topology.values import SEGMENT_NETWORKS
from ferryman.model import host_port

if TYPE_CHECKING:
    from collections.abc import Callable

    from ferryman.lab.topology import Host, LabService, Topology

_BROKEN_FILE = "/etc/keepalived/services/zz-broken.conf"
_NOBODY = 249
"""The end of an address that no realserver of a small lab has."""


def _signal_keepalived(signal: str) -> Script:
    def script(_lab: Topology, host: Host) -> str:
        pids = f"/run/keepalived-{host.name}.pid /run/keepalived-{host.name}.checkers.pid"
        return f"kill -{signal} $(cat {pids})"

    return script


def _has_keepalived(lab: Topology, host: Host) -> object:
    return lab.kept_by("keepalived", host.name)


class _Edit:
    """What an edit of one service's table is made of: no daemon keeps that table, so what is edited stays."""

    def __init__(self, lab: Topology, host: Host) -> None:
        self.lab = lab
        self.host = host.name
        self.service: LabService = lab.kept_by("ipvsadm", host.name)[0]
        self.virtual = f"-t {host_port(self.service.vips[0], self.service.port)}"
        flags = self.service.scheduler_flags
        self.scheduler = f"-s {self.service.scheduler}{' -b ' if flags else ''}{','.join(flags)}"
        self.method = self.service.forwarding.value

    @property
    def first(self) -> str:
        """The service's first destination."""
        return self._destination(self.service.realservers[0])

    @property
    def unlisted(self) -> str:
        """A destination that is none of the service's."""
        others = (host.name for host in (*self.lab.nodes, *self.lab.servers))
        other = next((name for name in others if name not in self.service.realservers), None)
        if other is not None:
            return self._destination(other)
        network = SEGMENT_NETWORKS[self.service.vips[0].version == 6]  # noqa: PLR2004  # IPv6
        return f"{self.virtual} -r {host_port(network[_NOBODY], self.service.port)}"

    def _destination(self, name: str) -> str:
        address = self.lab.realserver_address(name, self.service.vips[0])
        return f"{self.virtual} -r {host_port(address, self.service.port)}"


def _table(name: str, description: str, put: Callable[[_Edit], str], clear: Callable[[_Edit], str]) -> Fault:
    """An edit of the table of the first service that ipvsadm sets; both give the arguments of ipvsadm."""
    return Fault(
        name,
        f"a service of ipvsadm: {description}",
        DIRECTORS,
        lambda lab, host: f"ipvsadm {put(_Edit(lab, host))}",
        lambda lab, host: f"ipvsadm {clear(_Edit(lab, host))} 2>/dev/null || true",
        lambda lab, host: lab.kept_by("ipvsadm", host.name),
    )


def _sound(edit: _Edit) -> str:
    return f"-e {edit.first} {edit.method} -w 1"


def _sound_scheduler(edit: _Edit) -> str:
    return f"-E {edit.virtual} {edit.scheduler}"


FAULTS = (
    Fault(
        "director-frozen",
        "keepalived is stopped (SIGSTOP): it takes reloads and does nothing",
        DIRECTORS,
        _signal_keepalived("STOP"),
        _signal_keepalived("CONT"),
        _has_keepalived,
    ),
    Fault(
        "keepalived-wrong-config",
        "a syntax error in a file that keepalived.conf includes",
        DIRECTORS,
        always(f"echo 'virtual_server 10.99.0.99 {{ lvs_sched' >{_BROKEN_FILE}"),
        always(f"rm -f {_BROKEN_FILE}"),
        _has_keepalived,
    ),
    _table(
        "ipvs-weight",
        "one destination has another weight",
        lambda edit: f"-e {edit.first} {edit.method} -w 5",
        _sound,
    ),
    _table(
        "ipvs-drained",
        "one destination has the weight 0",
        lambda edit: f"-e {edit.first} {edit.method} -w 0",
        _sound,
    ),
    _table("ipvs-scheduler", "another scheduler", lambda edit: f"-E {edit.virtual} -s rr", _sound_scheduler),
    _table(
        "ipvs-persistent",
        "clients stick",
        lambda edit: f"-E {edit.virtual} {edit.scheduler} -p 300",
        _sound_scheduler,
    ),
    _table(
        "ipvs-extra",
        "a destination that nobody listed",
        lambda edit: f"-a {edit.unlisted} -g -w 1",
        lambda edit: f"-d {edit.unlisted}",
    ),
    _table(
        "ipvs-missing",
        "a destination is missing",
        lambda edit: f"-d {edit.first}",
        lambda edit: f"-a {edit.first} {edit.method} -w 1",
    ),
    _table(
        "ipvs-tunnelled",
        "one destination is tunnelled already",
        lambda edit: f"-e {edit.first} -i -w 1",
        _sound,
    ),
    _table(
        "ipvs-masqueraded",
        "one destination is masqueraded",
        lambda edit: f"-e {edit.first} -m -w 1",
        _sound,
    ),
    _table(
        "ipvs-absent",
        "there is no such virtual service",
        lambda edit: f"-D {edit.virtual}",
        lambda edit: f"-R </lab/{edit.host}/ipvs",
    ),
)
