"""Putting faults in and taking them out; which are in is kept in the lab's folder, and goes with the lab."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ferryman.errors import LabError
from ferryman.lab.control import console
from ferryman.lab.faults.registry import FAULTS
from ferryman.lab.machine import topology_of
from ferryman.lab.topology import ROUTER

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ferryman.lab.faults.fault import Fault
    from ferryman.lab.paths import LabPaths
    from ferryman.lab.topology import Topology

_SEEN_WITHIN_S = 10
"""Three times the interval of the lab's health checks, and one that fails is tried once more."""


@dataclass(frozen=True, slots=True, order=True)
class ActiveFault:
    """A fault that was put into a host and not taken out yet."""

    name: str
    host: str

    def __str__(self) -> str:
        return f"{self.name} on {self.host}"


def active(paths: LabPaths) -> tuple[ActiveFault, ...]:
    """The active faults, in the order in which they were put in."""
    if not paths.faults.exists():
        return ()
    return tuple(ActiveFault(**entry) for entry in json.loads(paths.faults.read_text()))


def put(paths: LabPaths, name: str, host: str | None = None) -> ActiveFault:
    """Put a fault into a host, the first that it fits when none is named; twice is harmless.

    Raises:
        LabError: There is no lab, no such fault, or the fault does not fit the host.
    """
    fault = _fault(name)
    lab = topology_of(paths)
    fitting = fault.hosts(lab)
    if not fitting:
        raise LabError(f"{name}: fits no host of the lab that is up")
    chosen = host or fitting[0]
    if chosen not in fitting:
        raise LabError(f"{name}: does not fit {chosen}; it fits {', '.join(fitting)}")
    wanted = ActiveFault(name, chosen)
    with paths.locked():
        already = active(paths)
        if wanted not in already:
            # Written first: what went in half-way can be cleared, for each clearing script fits a sound host.
            _write(paths, (*already, wanted))
            console(paths, chosen, fault.put(lab, lab.by_name[chosen]))
    return wanted


def clear(paths: LabPaths, name: str | None = None, host: str | None = None) -> tuple[ActiveFault, ...]:
    """Take faults out again, the last put first: those with this name, on this host, or all.

    Returns what was taken out. With the last one gone, the directors' health checks are given time to take
    their realservers back.

    Raises:
        LabError: There is no lab, no such fault, or it could not be taken out.
    """
    if name is not None:
        _fault(name)
    lab = topology_of(paths)
    with paths.locked():
        taken = tuple(
            fault
            for fault in reversed(active(paths))
            if name in (None, fault.name) and host in (None, fault.host)
        )
        for fault in taken:
            console(paths, fault.host, _fault(fault.name).clear(lab, lab.by_name[fault.host]))
            _write(paths, (other for other in active(paths) if other != fault))
        if taken and not active(paths):
            _let_health_checks_see(paths, lab)
    return taken


def _let_health_checks_see(paths: LabPaths, lab: Topology) -> None:
    # Not for ever: whoever tries the lab may have taken a realserver out of a table by hand.
    names = " ".join(director.name for director in lab.directors)
    filled = f"timeout {_SEEN_WITHIN_S} ip netns exec $director sh /lab/$director/filled.sh"
    console(paths, ROUTER.name, f"for director in {names}; do {filled} || :; done")


def _fault(name: str) -> Fault:
    try:
        return FAULTS[name]
    except KeyError:
        raise LabError(f"{name}: is no fault of the lab; it has {', '.join(FAULTS)}") from None


def _write(paths: LabPaths, faults: Iterable[ActiveFault]) -> None:
    paths.faults.write_text(json.dumps([{"name": fault.name, "host": fault.host} for fault in faults]))
