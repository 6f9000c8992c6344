"""The inventory as a whole: which services there are, and everybody who takes part in one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from ferryman.errors import InventoryError
from ferryman.inventory.participants import Participants
from ferryman.inventory.problems import Problem, errors_of, nearest
from ferryman.inventory.resolve import Resolve, system_resolver
from ferryman.model import Realserver, Service, VirtualService

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ferryman.fleet.hosts import HostAddress
    from ferryman.inventory.folder import Folder
    from ferryman.inventory.schema import CatalogService, ClusterEntry, DirectorEntry, HostEntry, Lvs
    from ferryman.model import Director

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
        """The Kubernetes clusters, by name; a kubeconfig's path is relative to the inventory's folder."""
        return {name: _with_whole_path(self._folder.path, one) for name, one in self._folder.clusters.items()}

    def host_addresses(self) -> Mapping[str, HostAddress]:
        """How the hosts of hosts.yaml are reached; any other host is reached by its name."""
        from ferryman.fleet.hosts import HostAddress  # noqa: PLC0415  # for those who connect alone

        def reached(name: str, entry: HostEntry) -> HostAddress:
            address = entry.address or entry.address6
            return HostAddress(name, str(address) if address else None, entry.port, entry.user)

        return {name: reached(name, entry) for name, entry in self._folder.hosts.items()}

    def names_in(self, cluster: str, site: str) -> tuple[str, ...]:
        """The services whose realservers are in a conftool cluster, and that could be taken across.

        Raises:
            InventoryError: There is none.
        """
        from ferryman.inventory import membership  # noqa: PLC0415  # pydantic stays out of start-up

        found = [
            name
            for name, entry in self._folder.services.items()
            if entry.lvs is not None
            and entry.lvs.conftool.cluster == cluster
            and not any(membership.obstacles(self._folder, name, site))
        ]
        if not found:
            known = sorted({one.lvs.conftool.cluster for one in self._folder.services.values() if one.lvs})
            message = f"no service of cluster {cluster!r} can be reached at {site}, {nearest(cluster, known)}"
            raise InventoryError([str(self._folder.problem("services.yaml", (), message))])
        return tuple(found)

    def service(
        self,
        name: str,
        site: str,
        *,
        only: Sequence[str] = (),
        resolve: Resolve = system_resolver,
    ) -> Service:
        """One service at one site, fit to be taken across, with everybody who takes part in it.

        ``only`` names the realservers that are meant; also some that are out of the pool.

        Addresses in hosts.yaml win over what ``resolve`` says; only missing ones are looked up. A director
        that cannot be looked up has no address: it is reached by its name all the same.

        Raises:
            InventoryError: There is no such service (with the nearest names), or something about it or about
                those who take part in it is in the way; with every such thing.
        """
        from ferryman.inventory import membership  # noqa: PLC0415  # pydantic stays out of start-up

        entry = self._entry(name)
        _raise(membership.obstacles(self._folder, name, site))
        lvs = entry.lvs
        assert lvs is not None, "obstacles speaks up for a service without lvs"
        maker = Participants(self._folder, frozenset(type(vip) for vip in entry.ip[site].values()), resolve)
        realservers, directors = self._participants(
            maker,
            list(only) or membership.realservers_of(self._folder, lvs, site),
            membership.directors_of(self._folder, lvs, site),
        )
        return Service(
            name=name,
            site=site,
            encryption=entry.encryption,
            lvs_class=lvs.class_,
            encapsulated=site in (lvs.ipip_encapsulation or ()),
            virtual_services=tuple(_virtual_services(name, site, entry, lvs)),
            realservers=realservers,
            directors=directors,
            probe_paths=_probe_paths(entry),
        )

    def _entry(self, name: str) -> CatalogService:
        if name not in self._folder.services:
            message = f"no service is called {name!r}, {nearest(name, self._folder.services)}"
            raise InventoryError([str(self._folder.problem("services.yaml", (), message))])
        return self._folder.services[name]

    def _participants(
        self, maker: Participants, hosts: list[str], entries: list[DirectorEntry]
    ) -> tuple[tuple[Realserver, ...], tuple[Director, ...]]:
        with ThreadPoolExecutor(LOOKUPS_AT_A_TIME) as pool:
            realservers, directors = pool.map(maker.realserver, hosts), pool.map(maker.director, entries)
            found = list(realservers)
            _raise(one for one in found if isinstance(one, Problem))
            return tuple(one for one in found if isinstance(one, Realserver)), tuple(directors)


def _with_whole_path(folder: Path, entry: ClusterEntry) -> ClusterEntry:
    if entry.kubeconfig is None:
        return entry
    return entry.model_copy(update={"kubeconfig": str(folder / Path(entry.kubeconfig).expanduser())})


def _raise(problems: Iterable[Problem]) -> None:
    errors = errors_of(problems)
    if errors:
        raise InventoryError([str(problem) for problem in errors])


def _virtual_services(name: str, site: str, entry: CatalogService, lvs: Lvs) -> list[VirtualService]:
    return [
        VirtualService(name, label, lvs.protocol, vip, entry.port, lvs.scheduler, tuple(lvs.scheduler_flag))
        for label, vip in entry.ip[site].items()
    ]


def _probe_paths(entry: CatalogService) -> tuple[str, ...]:
    """Paths of the catalog's HTTP probes; those that post something are not for a plain GET."""
    probes = [probe for probe in entry.probes if probe.type == "http" and probe.post_json is None]
    return tuple(dict.fromkeys(probe.path or "/" for probe in probes))
