"""A topology in the image of an inventory: the same names, roles, ports, schedulers, flags and services.

Addresses are the lab's own. No name is looked up and no address of the inventory is used, but to say what
stands for it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ferryman.errors import InventoryError, LabError
from ferryman.inventory.problems import shown
from ferryman.lab.topology.data import of_parts
from ferryman.lab.topology.differences import differences
from ferryman.lab.topology.names import SERVICE_FORM, host_name, is_service_name
from ferryman.lab.topology.values import Likeness, Mapped
from ferryman.lab.topology.vips import Vips
from ferryman.lab.topology.wanted import Source, Wanted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ferryman.lab.topology.data import KeyPath
    from ferryman.lab.topology.values import DriverName, Topology
    from ferryman.model import Address

REALSERVERS_EACH = 3
"""How many realservers of each service a lab has, unless more or fewer are asked for."""
OWN_DIRECTORS = ("lvs1", "lvs2")
"""The directors of a lab that is made after an inventory without any."""
_KEPT: Mapping[str, DriverName] = {
    "ipvsadm": "ipvsadm",
    "keepalived": "keepalived",
    "liberica": "keepalived",
    "pybal": "keepalived",
}
"""By the inventory's driver, the one that the lab has in its place; ipvsadm for every other one."""
_KEYS: Mapping[str | int, KeyPath] = {
    "class": ("lvs", "class"),
    "directors": ("lvs", "class"),
    "protocol": ("lvs", "protocol"),
    "realservers": ("lvs", "conftool"),
    "scheduler": ("lvs", "scheduler"),
    "scheduler_flags": ("lvs", "scheduler_flag"),
    "vips": ("ip",),
}
"""By the key of a service's data: where that stands in the catalog, when not under the same key."""


def from_inventory(
    path: Path, site: str, services: Sequence[str] = (), *, realservers: int | None = None
) -> Topology:
    """The topology; see ``ferryman.lab.topology.from_inventory``."""
    if not is_service_name(site):
        raise LabError(f"the site {shown(site)} cannot be a lab's, expected {SERVICE_FORM}")
    made = _Made(Source(path, site), realservers or REALSERVERS_EACH)
    if services:
        made.add_all(list(dict.fromkeys(services)))
    else:
        made.add_what_fits()
    return made.topology()


class _Made:
    """A topology as far as it is made: services are added as long as the whole still fits a lab."""

    def __init__(self, source: Source, realservers: int) -> None:
        self._source = source
        self._most = realservers
        self._wanted: list[Wanted] = []
        self._left_out: dict[str, list[str]] = {}
        """Services by the reason."""
        self._names: dict[str, str] = {}
        self._vips: dict[Address, Address] = {}
        self._free = Vips(())

    def add_all(self, names: Sequence[str]) -> None:
        """Add these services.

        Raises:
            InventoryError: One of them is not there, or could not be migrated; with everything wrong.
            LabError: The lab cannot have one of them.
        """
        problems: list[str] = []
        for name in names:
            try:
                self._wanted.append(self._source.wanted(name))
            except InventoryError as error:
                problems += error.problems
        if problems:
            raise InventoryError(list(dict.fromkeys(problems)))
        self._whole()

    def add_what_fits(self) -> None:
        """Add every service of the site that the lab can have, in the catalog's order.

        Raises:
            LabError: It can have none of them.
        """
        for name in self._source.balanced:
            try:
                self._wanted.append(self._source.wanted(name))
            except InventoryError as error:
                self._leave_out(name, error.problems[0])
                continue
            try:
                self._whole()
            except LabError as error:
                self._wanted.pop()
                self._leave_out(name, str(error).splitlines()[0])
        if not self._wanted:
            reasons = "\n".join(self._services_left_out())
            raise LabError(f"no service at {self._source.site} can be in a lab\n{reasons}".strip())

    def topology(self) -> Topology:
        """What is made, with what it was made after."""
        lab = self._whole()
        names = {host: name for host, name in self._names.items() if name in lab.by_name}
        likeness = Likeness(
            str(self._source.folder.path.resolve()),
            tuple(self._mapped(lab, names)),
            tuple(differences(self._source, self._wanted, names, _driver)),
            (*self._services_left_out(), *self._hosts_left_out()),
        )
        return replace(lab, likeness=likeness)

    def _whole(self) -> Topology:
        hosts = {host: self._host_name(host) for wanted in self._wanted for host in self._hosts_of(wanted)}
        directors: dict[str, dict[str, Any]] = {}
        realservers: dict[str, dict[str, Any]] = {}
        for wanted in self._wanted:
            for own in self._directors(wanted):
                entry = {"name": own["host"], "role": own["role"], "driver": own["driver"]}
                directors.setdefault(own["host"], entry)
            for host in self._realservers(wanted):
                realservers.setdefault(host, self._realserver(wanted, host, hosts[host]))
        data = {
            "site": self._source.site,
            "directors": list(directors.values()),
            "realservers": list(realservers.values()),
            "services": [self._service(wanted) for wanted in self._wanted],
        }
        return of_parts(data, self._where)

    def _service(self, wanted: Wanted) -> dict[str, Any]:
        entry, lvs = wanted.entry, wanted.lvs
        data = {
            "name": wanted.name,
            "port": entry.port,
            "protocol": lvs.protocol,
            "vips": {label: str(self._vip(vip)) for label, vip in wanted.vips.items()},
            "scheduler": lvs.scheduler,
            "scheduler_flags": list(lvs.scheduler_flag),
            "realservers": [self._host_name(host) for host in self._realservers(wanted)],
            "directors": self._directors(wanted),
            "forwarding": "ipip" if self._source.site in (lvs.ipip_encapsulation or ()) else "direct",
            "encryption": entry.encryption,
            "class": lvs.class_,
            "cluster": lvs.conftool.cluster,
            "pool": lvs.conftool.service,
        }
        probes = [probe for probe in entry.probes if probe.type == "http" and probe.post_json is None]
        paths = list(dict.fromkeys(probe.path or "/" for probe in probes))
        return {**data, "paths": paths}

    def _realserver(self, wanted: Wanted, host: str, name: str) -> dict[str, Any]:
        entry = wanted.hosts.get(host)
        kind = "kubernetes" if entry is not None and entry.kind == "kubernetes" else "server"
        cluster = {"cluster": entry.cluster} if entry is not None and entry.cluster else {}
        return {"name": name, "kind": kind, **cluster}

    def _directors(self, wanted: Wanted) -> list[dict[str, Any]]:
        if not self._source.has_directors:
            return [
                {"host": self._host_name(host), "role": role, "driver": "keepalived"}
                for host, role in zip(OWN_DIRECTORS, ("primary", "secondary"), strict=True)
            ]
        return [
            {
                "host": self._host_name(entry.host),
                "role": entry.role,
                "driver": _driver(entry.driver),
                "ipip_enabled": entry.ipip_enabled,
            }
            for entry in wanted.directors
        ]

    def _realservers(self, wanted: Wanted) -> list[str]:
        return list(wanted.realservers[: self._most])

    def _hosts_of(self, wanted: Wanted) -> list[str]:
        own = [entry.host for entry in wanted.directors] or list(OWN_DIRECTORS)
        return [*own, *self._realservers(wanted)]

    def _host_name(self, host: str) -> str:
        if host not in self._names:
            self._names[host] = host_name(host, set(self._names.values()))
        return self._names[host]

    def _vip(self, vip: Address) -> Address:
        if vip not in self._vips:
            self._vips[vip] = self._free.address(f"ipv{vip.version}")
        return self._vips[vip]

    def _where(self, path: KeyPath) -> str:
        """The inventory's file, line and key for a key of the data."""
        if path[:1] != ("services",) or len(path) == 1:
            return f"the lab's {path[0]}"
        index, *inside = path[1:]
        assert isinstance(index, int)
        keys = (*_KEYS.get(inside[0], (inside[0],)), *inside[1:]) if inside else ()
        problem = self._source.folder.service_problem(self._wanted[index].name, keys, "")
        return str(problem)

    def _mapped(self, lab: Topology, names: Mapping[str, str]) -> list[Mapped]:
        found = []
        for host, name in names.items():
            here = lab.by_name[name]
            entry = next((wanted.hosts[host] for wanted in self._wanted if host in wanted.hosts), None)
            given = (entry.address, entry.address6) if entry is not None else ()
            there = [] if host == name else [shown(host)]
            there += [str(address) for address in given if address is not None]
            what = "director" if here.role == "director" else "realserver"
            found.append(Mapped(what, name, ", ".join(there), f"{here.address}, {here.address6}"))
        for wanted in self._wanted:
            for label, vip in wanted.vips.items():
                name = f"{wanted.name} {_plain(label)}"
                found.append(Mapped("vip", name, str(vip), str(self._vips[vip])))
        return found

    def _leave_out(self, name: str, reason: str) -> None:
        self._left_out.setdefault(reason, []).append(_plain(name))

    def _services_left_out(self) -> list[str]:
        return [f"{', '.join(names)}: {reason}" for reason, names in self._left_out.items()]

    def _hosts_left_out(self) -> list[str]:
        counts = [(wanted.name, len(wanted.realservers), self._most) for wanted in self._wanted]
        return [f"{name}: {has - most} of its {has} realservers" for name, has, most in counts if has > most]


def _driver(driver: str) -> DriverName:
    return _KEPT.get(driver, "ipvsadm")


def _plain(name: str) -> str:
    return name if is_service_name(name) else shown(name)
