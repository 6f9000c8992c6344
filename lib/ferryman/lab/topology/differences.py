"""Where a lab differs from the inventory that it is made after, in sentences for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.encapsulation import ETHERNET_MTU
from ferryman.inventory.problems import shown
from ferryman.lab.topology.names import is_service_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from ferryman.inventory.schema import HostEntry
    from ferryman.lab.topology.wanted import Source, Wanted

_SHOWN = 4
"""Names that a sentence has at most."""
_ALWAYS = (
    "realservers: the lab's web server answers for every service, with a certificate of the lab",
    "SSH: as root on port 22, with the lab's keys and without jump hosts",
)


def differences(
    source: Source, wanted: Sequence[Wanted], names: Mapping[str, str], kept: Callable[[str], str]
) -> Iterator[str]:
    """What is not as in the inventory, each with the reason.

    Args:
        source: The inventory.
        wanted: The services that the lab has.
        names: The name in the lab of each host that it has.
        kept: The driver that the lab has in the place of one of the inventory's.
    """
    if not source.has_directors:
        yield "the inventory has no directors.yaml: two directors of the lab's own, with keepalived"
    yield from _drivers(wanted, names, kept)
    changed = [shown(host) for host, name in names.items() if host != name]
    if changed:
        yield f"{_some(changed)}: not a name that a host of the lab can have; the map says what it is called"
    unlisted = {
        host for each in wanted for host in each.realservers if host in names and host not in each.hosts
    }
    if unlisted:
        yield (
            f"{_some(sorted(map(_plain, unlisted)))}: not in hosts.yaml, so plain servers with the VIPs on "
            "lo; for nodes of Kubernetes it must say kind: kubernetes"
        )
    entries = {host: entry for each in wanted for host, entry in each.hosts.items()}
    if wide := [host for host, entry in entries.items() if _has_other_room(source, entry)]:
        yield f"{_some(map(_plain, wide))}: mss and path_mtu are the lab's; links take {ETHERNET_MTU} bytes"
    clusters = {entry.cluster for entry in entries.values() if entry.cluster}
    if clusters:
        yield f"{_some(map(_plain, sorted(clusters)))}: no API server; pods' MTU and stage are the lab's"
    sources = {entry.host for each in wanted for entry in each.directors if entry.outer_sources}
    if sources:
        yield f"{_some(map(_plain, sorted(sources)))}: outer packets come from the director's own address"
    yield from _ALWAYS


def _drivers(wanted: Sequence[Wanted], names: Mapping[str, str], kept: Callable[[str], str]) -> Iterator[str]:
    hosts: dict[str, dict[str, None]] = {}
    for each in wanted:
        for entry in each.directors:
            hosts.setdefault(entry.driver, {})[names[entry.host]] = None
    for driver, those in hosts.items():
        if kept(driver) != driver:
            yield (
                f"{_some(those)}: the software of the driver {_plain(driver)} does not run in the lab; "
                f"{kept(driver)} is in its place"
            )


def _has_other_room(source: Source, entry: HostEntry) -> bool:
    cluster = source.folder.clusters.read(entry.cluster) if entry.cluster else None
    rooms = [room for room in (entry, cluster) if room is not None]
    return any(room.mss == "jumbo" or room.path_mtu not in (None, ETHERNET_MTU) for room in rooms)


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    more = len(listed) - _SHOWN
    return ", ".join(listed[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _plain(name: str) -> str:
    return name if is_service_name(name) else shown(name)
