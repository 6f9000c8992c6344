"""Putting faults in and taking them out; which are in is kept in the lab's folder, and goes with the lab."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ferryman.errors import LabError
from ferryman.lab import topology
from ferryman.lab.control import console
from ferryman.lab.faults.registry import FAULTS
from ferryman.lab.machine import require

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ferryman.lab.faults.fault import Fault
    from ferryman.lab.paths import LabPaths

_SEEN_WITHIN_S = 10
"""Three times the interval of the lab's health checks, and one that fails is tried once more."""


@dataclass(frozen=True, slots=True, order=True)
class PutFault:
    """A fault that is in."""

    name: str
    host: str

    def __str__(self) -> str:
        return f"{self.name} on {self.host}"


def active(place: LabPaths) -> tuple[PutFault, ...]:
    """The faults that are in, in the order in which they were put."""
    if not place.faults.exists():
        return ()
    return tuple(PutFault(**entry) for entry in json.loads(place.faults.read_text()))


def put(place: LabPaths, name: str, host: str | None = None) -> PutFault:
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


def clear(place: LabPaths, name: str | None = None, host: str | None = None) -> tuple[PutFault, ...]:
    """Take faults out again, the last put first: those with this name, on this host, or all; what was taken.

    With the last one gone, the directors' health checks are given time to take their realservers back.

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
        if taken and not active(place):
            _let_health_checks_see(place)
    return taken


def _let_health_checks_see(place: LabPaths) -> None:
    # Not for ever: whoever tries the lab may have taken a realserver out of a table by hand.
    names = " ".join(director.name for director in topology.DIRECTORS)
    filled = f"timeout {_SEEN_WITHIN_S} ip netns exec $director sh /lab/$director/filled.sh"
    console(place, topology.ROUTER.name, f"for director in {names}; do {filled} || :; done")


def _fault(name: str) -> Fault:
    try:
        return FAULTS[name]
    except KeyError:
        raise LabError(f"{name}: is no fault of the lab; it has {', '.join(FAULTS)}") from None


def _write(place: LabPaths, faults: Iterable[PutFault]) -> None:
    place.faults.write_text(json.dumps([{"name": fault.name, "host": fault.host} for fault in faults]))
