"""The inventory as a whole: which services there are, and the hosts of each."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from ferryman.configfile import expanded
from ferryman.errors import InventoryError
from ferryman.inventory.dns import Resolve, addresses_of, first_of, system_resolver
from ferryman.inventory.hosts import HostBuilder
from ferryman.inventory.problems import Problem, errors_of, nearest
from ferryman.model import Kind, Realserver, Service, VirtualService

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ferryman.hosts.hosts import HostAddress
    from ferryman.inventory.folder import Folder
    from ferryman.inventory.needed import Needed
    from ferryman.inventory.schema import CatalogService, ClusterEntry, DirectorEntry, HostEntry, Lvs
    from ferryman.model import Address, Director

T = TypeVar("T")
V = TypeVar("V")
LOOKUPS_AT_A_TIME = 16
"""Names that are looked up at once: one dead name server must not cost its timeout once for each host."""


class Inventory:
    """An inventory, read at one moment; a fault is an error only for those who ask for what is faulty."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder

    @classmethod
    def load(cls, folder: Path) -> Inventory:
        """Read every file; what they say is judged entry by entry, as it is asked for.

        Raises:
            InventoryError: There is no such folder.
        """
        from ferryman.inventory.document import Unreadable  # noqa: PLC0415  # YAML and pydantic stay out of start-up
        from ferryman.inventory.folder import Folder  # noqa: PLC0415

        try:
            return cls(Folder.read(folder))
        except Unreadable as error:
            raise InventoryError([str(problem) for problem in error.problems]) from error

    @classmethod
    def of_texts(cls, texts: Mapping[str, str]) -> Inventory:
        """An inventory that is in no folder, by the names of its files there."""
        from ferryman.inventory.folder import Folder  # noqa: PLC0415  # YAML and pydantic stay out of start-up

        return cls(Folder(Path(), {name: text.encode("utf-8") for name, text in texts.items()}))

    def part(
        self, needed: Iterable[Needed], clusters: Iterable[str] = (), hosts: Iterable[str] = ()
    ) -> dict[str, str]:
        """The files of an inventory that has what these services, clusters and hosts need: ``extract``."""
        from ferryman.inventory.extract import extract  # noqa: PLC0415  # as above

        return extract(self._folder, needed, clusters, hosts)

    @property
    def names(self) -> tuple[str, ...]:
        """Every service, in the catalog's order.

        Raises:
            InventoryError: There is no catalog that could be read.
        """
        _raise(self._folder.services.trouble)
        return tuple(self._folder.services)

    @property
    def sites(self) -> tuple[str, ...]:
        """Every site that a service is at, by name."""
        entries = self._folder.services.readable()
        return tuple(sorted({site for _, entry in entries for site in entry.sites}))

    @property
    def clusters(self) -> Mapping[str, ClusterEntry]:
        """The Kubernetes clusters, by name; a kubeconfig's path is relative to the inventory's folder.

        One with a fault raises InventoryError where it is asked for.
        """
        return Translated(self._folder.clusters, lambda _, entry: _with_whole_path(self._folder.path, entry))

    def cluster(self, name: str) -> ClusterEntry:
        """A Kubernetes cluster that has an API server to ask.

        Raises:
            InventoryError: There is none of this name, it has faults, or no API server.
        """
        from ferryman.inventory.folder import CLUSTERS  # noqa: PLC0415  # as above

        if name not in self.clusters:
            near = nearest(name, self.clusters)
            raise InventoryError([f"{self._folder.path / CLUSTERS}: has no cluster {name}, {near}"])
        entry = self.clusters[name]
        if not entry.has_api_server:
            problem = self._folder.problem(
                CLUSTERS, (name,), "names no API server, expected api or kubeconfig beside the other keys"
            )
            raise InventoryError([str(problem)])
        return entry

    def host_addresses(self) -> Mapping[str, HostAddress]:
        """How the hosts of hosts.yaml are reached; any other host is reached by its name.

        One with a fault raises InventoryError where it is asked for.
        """
        from ferryman.hosts.hosts import HostAddress  # noqa: PLC0415  # for those who connect alone

        def reached(name: str, entry: HostEntry) -> HostAddress:
            address = entry.address or entry.address6
            port = entry.port if "port" in entry.model_fields_set else None
            jump = None if entry.jump is None else tuple(entry.jump)
            return HostAddress(
                name, str(address) if address else None, port, entry.user, jump=jump, sudo=entry.sudo
            )

        return Translated(self._folder.hosts, reached)

    def addresses_of(self, host: str, resolve: Resolve = system_resolver) -> tuple[Address, ...]:
        """The addresses of any host, one of each family at most: of hosts.yaml, or what ``resolve`` says.

        Raises:
            InventoryError: Nobody knows the name, or its entry has faults.
        """
        entry = self._folder.hosts.get(host)
        known = [each for each in (entry.address, entry.address6) if each is not None] if entry else []
        if known:
            return tuple(known)
        try:
            found = addresses_of(host, resolve)
        except OSError as error:
            message = f"cannot be looked up ({error.strerror or error}), expected its address here"
            problem = self._folder.problem("hosts.yaml", (host,), f"{message}, or in DNS")
            raise InventoryError([str(problem)]) from error
        firsts = (first_of(found, family) for family in (IPv4Address, IPv6Address))
        return tuple(each for each in firsts if each is not None)

    def cluster_of(self, host: str) -> str | None:
        """The Kubernetes cluster that a host is a node of; None of any other host.

        Raises:
            InventoryError: Its entry has faults.
        """
        entry = self._folder.hosts.get(host)
        return entry.cluster if entry is not None and entry.kind == Kind.KUBERNETES.value else None

    @property
    def hosts(self) -> frozenset[str]:
        """Every host that is a realserver, a director or in hosts.yaml, as far as the files can be read."""
        return frozenset(self._folder.used_hosts() | set(self._folder.hosts))

    def director_entries(self, host: str) -> Iterator[tuple[str, str, DirectorEntry]]:
        """Site, class and entry wherever this host is a director, as far as they can be read."""
        for site in self._folder.director_sites:
            for lvs_class, entries in self._folder.directors(site).readable():
                yield from ((site, lvs_class, entry) for entry in entries if entry.host == host)

    def names_in(self, cluster: str, site: str) -> tuple[str, ...]:
        """The services whose realservers are in a conftool cluster, and that could be migrated.

        Raises:
            InventoryError: There is none, or one that says that it is in the cluster has a fault.
        """
        from ferryman.inventory import membership  # noqa: PLC0415  # pydantic stays out of start-up

        services = self._folder.services
        members = [name for name in services if services.mentions(name, cluster)]
        known = {
            name: entry.lvs.conftool.cluster for name, entry in services.readable() if entry.lvs is not None
        }
        found = [name for name in known if known[name] == cluster]
        doubtful = [*found, *(name for name in members if name not in known)]
        faults = [problem for name in doubtful for problem in services.faults(name)]
        _raise([*faults, *services.unread_with(cluster)])
        found = [name for name in found if not any(membership.obstacles(self._folder, name, site))]
        if not found:
            near = nearest(cluster, sorted(set(known.values())))
            message = f"no service of cluster {cluster!r} can be reached at {site}, {near}"
            raise InventoryError([str(self._folder.problem("services.yaml", (), message)), *self._unseen()])
        return tuple(found)

    def service(
        self,
        name: str,
        site: str,
        *,
        only: Sequence[str] = (),
        begun: bool = False,
        resolve: Resolve = system_resolver,
    ) -> Service:
        """One service at one site, fit to be migrated, with its realservers and directors.

        ``only`` names the realservers that are meant; also some that are out of the pool. ``begun`` is for a
        run that has begun: the service's state, and others on its address, do not block its rollback.

        Addresses in hosts.yaml win over what ``resolve`` says; only missing ones are looked up. A director
        that cannot be looked up has no address: it is reached by its name all the same.

        Raises:
            InventoryError: There is no such service (with the nearest names), or something about it or about
                its hosts blocks the migration; with every such thing, and nothing about others.
        """
        from ferryman.inventory import membership  # noqa: PLC0415  # pydantic stays out of start-up

        entry, lvs, faults = self._balanced(name, site, begun=begun)
        hosts = list(only) or membership.realservers_of(self._folder, lvs, site)
        directors = membership.directors_of(self._folder, lvs, site)
        named = [*hosts, *(director.host for director in directors)]
        _raise([*faults, *membership.faults_of_hosts(self._folder, named)])
        builder = HostBuilder(self._folder, frozenset(type(vip) for vip in entry.ip[site].values()), resolve)
        realservers, directors_found = self._hosts(builder, hosts, directors)
        return Service(
            name=name,
            site=site,
            encryption=entry.encryption,
            lvs_class=lvs.class_,
            encapsulated=site in (lvs.ipip_encapsulation or ()),
            virtual_services=tuple(_virtual_services(name, site, entry, lvs)),
            realservers=realservers,
            directors=directors_found,
            probe_paths=_probe_paths(entry),
        )

    def _balanced(self, name: str, site: str, *, begun: bool) -> tuple[CatalogService, Lvs, list[Problem]]:
        """A service's entry and its lvs section, and what blocks its migration.

        Raises:
            InventoryError: There is none that could be judged any further.
        """
        from ferryman.inventory import membership  # noqa: PLC0415  # pydantic stays out of start-up

        folder, services = self._folder, self._folder.services
        faults = services.faults(name)
        entry = services.read(name)
        if name not in services and not (services.trouble or services.cut(name)):
            message = f"no service is called {name!r}, {nearest(name, services)}"
            raise InventoryError([str(folder.problem("services.yaml", (), message)), *self._unseen()])
        if entry is None:
            _raise(faults)
        assert entry is not None, "what cannot be read has a fault"
        faults += membership.obstacles(folder, name, site, begun=begun)
        lvs = entry.lvs
        if lvs is None:
            _raise(faults)
        assert lvs is not None, "obstacles names a service without lvs"
        faults += membership.faults_of_nodes(folder, lvs, site)
        return entry, lvs, [*faults, *membership.faults_of_directors(folder, lvs, site)]

    def _unseen(self) -> list[str]:
        """The parts of the catalog that cannot be read, any of which may be the one that was meant."""
        return [
            f"{problem}; it may be the one that was meant"
            for problem in errors_of(self._folder.services.unseen)
        ]

    def _hosts(
        self, builder: HostBuilder, hosts: list[str], entries: list[DirectorEntry]
    ) -> tuple[tuple[Realserver, ...], tuple[Director, ...]]:
        with ThreadPoolExecutor(LOOKUPS_AT_A_TIME) as pool:
            realservers, directors = pool.map(builder.realserver, hosts), pool.map(builder.director, entries)
            found = list(realservers)
            _raise(host for host in found if isinstance(host, Problem))
            return tuple(host for host in found if isinstance(host, Realserver)), tuple(directors)


class Translated(Mapping[str, V], Generic[T, V]):
    """Entries as something else, each made when it is asked for."""

    def __init__(self, entries: Mapping[str, T], translate: Callable[[str, T], V]) -> None:
        self._entries = entries
        self._translate = translate

    def __getitem__(self, name: str) -> V:
        return self._translate(name, self._entries[name])

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


def _with_whole_path(folder: Path, entry: ClusterEntry) -> ClusterEntry:
    if entry.kubeconfig is None:
        return entry
    # Several files have colons between them, as in $KUBECONFIG.
    named = [str(folder / expanded(Path(each))) for each in entry.kubeconfig.split(":") if each]
    return entry.model_copy(update={"kubeconfig": ":".join(named)})


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
