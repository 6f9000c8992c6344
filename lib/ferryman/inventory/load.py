"""The inventory as a whole: which services there are, and everybody who takes part in one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv6Address
from types import MappingProxyType
from typing import TYPE_CHECKING

from ferryman.errors import InventoryError
from ferryman.inventory.problems import Problem, errors_of, nearest
from ferryman.inventory.resolve import Resolve, first_of, system_resolver
from ferryman.model import Director, Kind, Realserver, Role, Service, VirtualService

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from ferryman.fleet.hosts import HostAddress
    from ferryman.inventory.folder import Folder
    from ferryman.inventory.schema import CatalogService, ClusterEntry, DirectorEntry, HostEntry, Lvs
    from ferryman.model import Address

Family = type[IPv4Address] | type[IPv6Address]
LOOKUPS_AT_A_TIME = 16
"""Names that are looked up at once: one dead name server must not cost its timeout for each host."""


class Inventory:
    """An inventory without errors."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder

    @classmethod
    def load(cls, folder: Path) -> Inventory:
        """Read and check every file.

        Raises:
            InventoryError: With every problem of every file, in order.
        """
        from ferryman.inventory.folder import Folder  # noqa: PLC0415  # pydantic stays out of start-up

        read = Folder.read(folder)
        _raise(read.problems)
        return cls(read)

    @property
    def names(self) -> tuple[str, ...]:
        """Every service, in the catalog's order."""
        return tuple(self._folder.services)

    @property
    def sites(self) -> tuple[str, ...]:
        """Every site that a service is at, by name."""
        return tuple(sorted({site for entry in self._folder.services.values() for site in entry.sites}))

    @property
    def clusters(self) -> Mapping[str, ClusterEntry]:
        """The Kubernetes clusters, by name."""
        return MappingProxyType(self._folder.clusters)

    def host_addresses(self) -> Mapping[str, HostAddress]:
        """How the hosts of hosts.yaml are reached; any other host is reached by its name."""
        from ferryman.fleet.hosts import HostAddress  # noqa: PLC0415  # for those who connect alone

        def reached(name: str, entry: HostEntry) -> HostAddress:
            address = entry.address or entry.address6
            return HostAddress(name, str(address) if address else None, entry.port, entry.user)

        return {name: reached(name, entry) for name, entry in self._folder.hosts.items()}

    def service(self, name: str, site: str, *, resolve: Resolve = system_resolver) -> Service:
        """One service at one site, fit to be taken across, with everybody who takes part in it.

        Addresses in hosts.yaml win over what ``resolve`` says; only missing ones are looked up.

        Raises:
            InventoryError: There is no such service (with the nearest names), or something about it or about
                those who take part in it is in the way; with every such thing.
        """
        from ferryman.inventory import membership  # noqa: PLC0415  # pydantic stays out of start-up

        entry = self._entry(name)
        _raise(membership.obstacles(self._folder, name, site))
        lvs = entry.lvs
        assert lvs is not None, "obstacles speaks up for a service without lvs"
        hosts = membership.realservers_of(self._folder, lvs, site)
        directors = membership.directors_of(self._folder, lvs, site)
        families = {type(vip) for vip in entry.ip[site].values()}
        return Service(
            name=name,
            site=site,
            encryption=entry.encryption,
            lvs_class=lvs.class_,
            encapsulated=site in (lvs.ipip_encapsulation or ()),
            virtual_services=tuple(_virtual_services(name, site, entry, lvs)),
            realservers=self._realservers(hosts, families, resolve),
            directors=tuple(_director(found) for found in directors),
            probe_paths=_probe_paths(entry),
        )

    def _entry(self, name: str) -> CatalogService:
        if name not in self._folder.services:
            message = f"no service is called {name!r}, {nearest(name, self._folder.services)}"
            raise InventoryError([str(self._folder.problem("services.yaml", (), message))])
        return self._folder.services[name]

    def _realservers(
        self, hosts: list[str], families: set[Family], resolve: Resolve
    ) -> tuple[Realserver, ...]:
        with ThreadPoolExecutor(LOOKUPS_AT_A_TIME) as pool:
            found = list(pool.map(lambda host: self._realserver(host, families, resolve), hosts))
        _raise(one for one in found if isinstance(one, Problem))
        return tuple(one for one in found if isinstance(one, Realserver))

    def _realserver(self, host: str, families: set[Family], resolve: Resolve) -> Realserver | Problem:
        entry = self._folder.hosts.get(host)
        known: dict[Family, Address | None] = {
            IPv4Address: entry.address if entry else None,
            IPv6Address: entry.address6 if entry else None,
        }
        missing = {family for family in families if known[family] is None}
        try:
            answer = resolve(host) if missing else ()
        except OSError as error:
            return self._unreachable(host, f"{host} cannot be looked up ({error.strerror or error})", missing)
        for family in missing:
            known[family] = first_of(answer, family)
        missing = {family for family in families if known[family] is None}
        if missing:
            return self._unreachable(
                host, f"{host} has no {' and no '.join(map(_word, _sorted(missing)))}", missing
            )
        kind = Kind(entry.kind) if entry else Kind.SERVER
        four, six = known[IPv4Address], known[IPv6Address]
        assert not isinstance(four, IPv6Address)
        assert not isinstance(six, IPv4Address)
        return Realserver(host, kind, four, six, entry.cluster if entry else None)

    def _unreachable(self, host: str, what: str, missing: set[Family]) -> Problem:
        keys = " and ".join("address" if family is IPv4Address else "address6" for family in _sorted(missing))
        message = f"{what}, expected one for the service's VIP; give {keys} of {host} here, or in DNS"
        return self._folder.problem("hosts.yaml", (host,), message)


def _raise(problems: Iterable[Problem]) -> None:
    errors = errors_of(problems)
    if errors:
        raise InventoryError([str(problem) for problem in errors])


def _sorted(families: set[Family]) -> list[Family]:
    return sorted(families, key=lambda family: family.__name__)


def _word(family: Family) -> str:
    return "IPv4 address" if family is IPv4Address else "IPv6 address"


def _virtual_services(name: str, site: str, entry: CatalogService, lvs: Lvs) -> list[VirtualService]:
    return [
        VirtualService(name, label, lvs.protocol, vip, entry.port, lvs.scheduler, tuple(lvs.scheduler_flag))
        for label, vip in entry.ip[site].items()
    ]


def _director(entry: DirectorEntry) -> Director:
    return Director(entry.host, Role(entry.role), entry.driver, dict(entry.model_extra or {}))


def _probe_paths(entry: CatalogService) -> tuple[str, ...]:
    """Paths of the catalog's HTTP probes; those that post something are not for a plain GET."""
    probes = [probe for probe in entry.probes if probe.type == "http" and probe.post_json is None]
    return tuple(dict.fromkeys(probe.path or "/" for probe in probes))
