"""An inventory's folder: its files, read at once, and their entries, judged as they are asked for."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from ferryman.inventory.document import (
    CATALOG_DEPTH,
    CATALOG_KEY,
    Document,
    Unreadable,
    bytes_of,
    parse_mapping,
)
from ferryman.inventory.entries import Entries, Source
from ferryman.inventory.forwarded import forwarded, shared
from ferryman.inventory.problems import KeyPath, Problem, Severity, shown
from ferryman.inventory.schema import CatalogService, ClusterEntry, DirectorEntry, HostEntry, M, checked
from ferryman.inventory.yaml_nodes import below, key_name, pairs
from ferryman.names import EXPECTED, is_host, is_name
from ferryman.permissions import ENTER, READ, denied
from ferryman.trust import untrusted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from ferryman.inventory.entries import Judge
    from ferryman.inventory.forwarded import Endpoint, Forwarded

T = TypeVar("T")

SERVICES, DIRECTORS, HOSTS, CLUSTERS, NODES = (
    "services.yaml",
    "directors.yaml",
    "hosts.yaml",
    "clusters.yaml",
    "nodes",
)
_DEPTHS = {SERVICES: CATALOG_DEPTH, DIRECTORS: 2, HOSTS: 1, CLUSTERS: 1}
_NODES_DEPTH = 3
"""How many keys lead to an entry of each file."""


class Folder:
    """What an inventory's files say; of what is wrong with them, what is asked for."""

    def __init__(self, path: Path, content: Mapping[str, bytes | Unreadable]) -> None:
        self.path = path
        self._content = content
        self._documents: dict[str, Document | None] = {}
        self._unreadable: dict[str, tuple[Problem, ...]] = {}
        self._nodes: dict[tuple[str, str], Entries[list[str]]] = {}
        self._directors: dict[str, Entries[list[DirectorEntry]]] = {}
        self._pools: dict[tuple[str, str], dict[str, list[str]]] = {}
        self._shared: dict[str, dict[str, list[tuple[Endpoint, str]]]] = {}

    @classmethod
    def read(cls, path: Path) -> Folder:
        """Read the bytes of every file at once, so that all is of one moment; none is parsed yet.

        Raises:
            Unreadable: There is no such folder, it may not be looked into, or somebody else may put
                something there.
        """
        for folder in (path, path / NODES):
            if obstacle := denied(folder, READ | ENTER):
                raise Unreadable(Problem(str(folder), 0, "", f"cannot be looked into: {obstacle}"))
            if reason := untrusted(folder):
                raise Unreadable(Problem(str(folder), 0, "", f"is not trusted: {reason}"))
        if not path.is_dir():
            raise Unreadable(Problem(str(path), 0, "", "is no directory, expected the inventory's folder"))
        names = [name for name in _DEPTHS if name == SERVICES or _is_there(path / name)]
        files = sorted((path / NODES).glob("*.yaml"))
        names += [f"{NODES}/{file.name}" for file in files if not file.name.startswith(".")]
        return cls(path, {name: _content(path / name, name) for name in names})

    @cached_property
    def services(self) -> Entries[CatalogService]:
        """The services of services.yaml, by name."""
        source = self._source(SERVICES, CATALOG_KEY, "expected the service catalog below it")
        return Entries(source, (CATALOG_KEY,), _as(CatalogService), expected="a mapping SERVICE: {…}")

    @cached_property
    def hosts(self) -> Entries[HostEntry]:
        """How hosts are reached, by host, from hosts.yaml."""
        return Entries(self._source(HOSTS), (), _as_or_empty(HostEntry), is_named=is_host)

    @cached_property
    def clusters(self) -> Entries[ClusterEntry]:
        """The Kubernetes clusters of clusters.yaml, by name."""
        return Entries(self._source(CLUSTERS), (), _as_or_empty(ClusterEntry))

    @cached_property
    def director_sites(self) -> Entries[object]:
        """The sites that directors.yaml has directors of."""
        return Entries(self._source(DIRECTORS), (), _whatever)

    def directors(self, site: str) -> Entries[list[DirectorEntry]]:
        """The classes of directors at a site."""
        if site not in self._directors:
            source, expected = self._source(DIRECTORS), "a mapping CLASS: [DIRECTOR, …]"
            self._directors[site] = Entries(source, (site,), _directors, expected=expected)
        return self._directors[site]

    @property
    def node_sites(self) -> list[str]:
        """The sites that have a file of nodes, as far as it can be read."""
        files = [name for name in self._content if name.startswith(f"{NODES}/")]
        return [name.removeprefix(f"{NODES}/").removesuffix(".yaml") for name in files if self.document(name)]

    def node_clusters(self, site: str) -> Entries[object]:
        """The conftool clusters that a site's file of nodes lists."""
        expected = "a mapping CLUSTER: {HOST: [SERVICE, …]}"
        return Entries(self._source_of_nodes(site), (site,), _whatever, expected=expected)

    def used_hosts(self) -> set[str]:
        """Every host that is a realserver or a director somewhere, as far as the files can be read."""
        realservers = {
            host
            for site in self.node_sites
            for cluster in self.node_clusters(site)
            for host in self.nodes(site, cluster)
        }
        directors = {
            entry.host
            for site in self.director_sites
            for _, entries in self.directors(site).readable()
            for entry in entries
        }
        return realservers | directors

    def nodes(self, site: str, cluster: str) -> Entries[list[str]]:
        """The hosts of a conftool cluster at a site, with the services that each is in the pool for."""
        if (site, cluster) not in self._nodes:
            source, expected = self._source_of_nodes(site), "a mapping HOST: [SERVICE, …]"
            found = Entries(
                source, (site, cluster), _services, expected=expected, nullable=True, is_named=is_host
            )
            self._nodes[site, cluster] = found
        return self._nodes[site, cluster]

    def pool(self, site: str, cluster: str, service: str) -> Sequence[str]:
        """The hosts of a conftool cluster that a service of it is in the pool on, in file order."""
        if (site, cluster) not in self._pools:
            pools = self._pools[site, cluster] = {}
            for host, services in self.nodes(site, cluster).readable():
                for name in dict.fromkeys(services):
                    pools.setdefault(name, []).append(host)
        return self._pools[site, cluster].get(service, ())

    def shared(self, site: str) -> Mapping[str, Sequence[tuple[Endpoint, str]]]:
        """By service, what the directors of a site forward for it and for another one too, faulty or not."""
        if site not in self._shared:
            document = self.document(SERVICES)
            self._shared[site] = shared(document, self._forwarded, site) if document is not None else {}
        return self._shared[site]

    @cached_property
    def _forwarded(self) -> list[Forwarded]:
        document = self.document(SERVICES)
        return forwarded(document) if document is not None else []

    @cached_property
    def problems(self) -> list[Problem]:
        """Everything that is wrong with any entry of any file."""
        found = [*self.services.problems, *self.hosts.problems, *self.clusters.problems]
        found += self.director_sites.problems
        for site in self.director_sites:
            found += self.directors(site).problems
        for file in self._content:
            found += self._problems_of_nodes(file) if file.startswith(f"{NODES}/") else ()
        return sorted(set(found))

    def problem(self, file: str, keys: KeyPath, message: str, severity: Severity = "error") -> Problem:
        """A problem at a key path of a file that was read, or of the file itself when it was not."""
        document = self.document(file)
        if document is None:
            return Problem(file, 0, "", message, severity)
        return document.problem(keys, message, severity)

    def service_problem(
        self, name: str, keys: KeyPath, message: str, severity: Severity = "error"
    ) -> Problem:
        """A problem inside a service's entry of the catalog."""
        return self.problem(SERVICES, (CATALOG_KEY, name, *keys), message, severity)

    def document(self, name: str) -> Document | None:
        """A file, parsed when it is first asked for; None when it is not there, or cannot be read at all."""
        if name not in self._documents:
            self._documents[name] = self._parsed(name)
        return self._documents[name]

    def _parsed(self, name: str) -> Document | None:
        content = self._content.get(name)
        try:
            if isinstance(content, Unreadable):
                raise content
            return None if content is None else parse_mapping(content, name, _DEPTHS.get(name, _NODES_DEPTH))
        except Unreadable as error:
            self._unreadable[name] = error.problems
            return None

    def _source(self, name: str, key: str = "", expected: str = "") -> Source:
        """A file, and what keeps all of it from being read, such as that the key above all is missing."""
        document = self.document(name)
        if document is None or not key or below(document.root, key) or document.cuts_below((key,)):
            return Source(document, self._unreadable.get(name, ()))
        return Source(document, (Problem(name, 1, "", f"has no key {key}, {expected}"),))

    def _source_of_nodes(self, site: str) -> Source:
        return self._source(f"{NODES}/{site}.yaml", site, "expected the site that the file is named after")

    def _problems_of_nodes(self, file: str) -> Iterator[Problem]:
        site = file.removeprefix(f"{NODES}/").removesuffix(".yaml")
        clusters, document = self.node_clusters(site), self.document(file)
        yield from clusters.problems
        if document is None:
            return
        yield from (cut.problem for cut in document.cuts)
        for key, _ in pairs(document.root) if below(document.root, site) is not None else ():
            if key.value != site:
                message = f"is in {file}, expected the site {site} alone there"
                yield document.problem((key_name(key),), message)
        for cluster in clusters:
            yield from self.nodes(site, cluster).problems


def _is_there(file: Path) -> bool:
    return file.exists() or file.is_symlink()


def _content(file: Path, name: str) -> bytes | Unreadable:
    if reason := untrusted(file):
        return Unreadable(Problem(name, 0, "", f"is not trusted: {reason}"))
    try:
        return bytes_of(file, name)
    except Unreadable as error:
        return error


def _as(model: type[M]) -> Judge[M]:
    """What judges an entry by a model."""

    def judge(document: Document, keys: KeyPath, value: object) -> tuple[M | None, list[Problem]]:
        entry, faults = checked(model, value)
        return entry, [document.problem((*keys, *inside), message) for inside, message in faults]

    return judge


def _as_or_empty(model: type[M]) -> Judge[M]:
    """As ``_as``; nothing is an empty mapping."""
    judge = _as(model)
    return lambda document, keys, value: judge(document, keys, {} if value is None else value)


def _whatever(_document: Document, _keys: KeyPath, value: object) -> tuple[object, list[Problem]]:
    """For mappings whose entries are judged one by one below."""
    return value, []


def _services(document: Document, keys: KeyPath, value: object) -> tuple[list[str] | None, list[Problem]]:
    if value is None:
        return [], []
    if isinstance(value, list) and all(isinstance(name, str) for name in value):
        wrong = [index for index, name in enumerate(value) if not is_name(name)]
        found = [
            document.problem((*keys, index), f"is {shown(value[index])}, expected {EXPECTED}")
            for index in wrong
        ]
        return (None if found else value), found
    return None, [document.problem(keys, f"is {shown(value)}, expected a list of service names")]


def _directors(
    document: Document, keys: KeyPath, value: object
) -> tuple[list[DirectorEntry] | None, list[Problem]]:
    if not isinstance(value, list) or not value:
        message = f"is {shown(value)}, expected a list of directors, each {{host, role, driver}}"
        return None, [document.problem(keys, message)]
    judge = _as(DirectorEntry)
    judged = [judge(document, (*keys, index), item) for index, item in enumerate(value)]
    found = [entry for entry, _ in judged]
    problems = [problem for _, faults in judged for problem in faults]
    problems += _director_clashes(document, keys, found)
    return [entry for entry in found if entry is not None], problems


def _director_clashes(
    document: Document, keys: KeyPath, found: list[DirectorEntry | None]
) -> Iterator[Problem]:
    """One primary and no more: the order of a migration, secondaries first, hangs on it."""
    entries = [(index, entry) for index, entry in enumerate(found) if entry is not None]
    hosts: dict[str, int] = {}
    for index, entry in entries:
        if hosts.setdefault(entry.host, index) != index:
            message = f"is {entry.host!r} again, expected each director once"
            yield document.problem((*keys, index, "host"), message)
    primaries = [(index, entry.host) for index, entry in entries if entry.role == "primary"]
    for index, host in primaries[1:]:
        message = f"is a second primary ({host}, after {primaries[0][1]}), expected one only"
        yield document.problem((*keys, index, "role"), message)
    if not primaries and len(entries) == len(found):
        yield document.problem(keys, "has no primary, expected one director with role: primary")
