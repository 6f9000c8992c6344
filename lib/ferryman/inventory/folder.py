"""Reading an inventory's folder, entry by entry, so that one bad entry hides no other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ferryman.inventory.document import CATALOG_KEY, Document, Unreadable, read
from ferryman.inventory.problems import KeyPath, Problem, Severity, shown
from ferryman.inventory.schema import (
    CatalogService,
    ClusterEntry,
    DirectorEntry,
    HostEntry,
    M,
    NodesOfCluster,
    checked,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SERVICES, DIRECTORS, HOSTS, CLUSTERS, NODES = (
    "services.yaml",
    "directors.yaml",
    "hosts.yaml",
    "clusters.yaml",
    "nodes",
)


@dataclass(slots=True)
class Folder:
    """What an inventory's files say, as far as they could be read, and everything wrong with them."""

    path: Path
    services: dict[str, CatalogService] = field(default_factory=dict)
    nodes: dict[str, dict[str, NodesOfCluster]] = field(default_factory=dict)
    """SITE: CLUSTER: HOST: [SERVICE, …]; only the sites that have a file."""
    directors: dict[str, dict[str, list[DirectorEntry]]] = field(default_factory=dict)
    hosts: dict[str, HostEntry] = field(default_factory=dict)
    clusters: dict[str, ClusterEntry] = field(default_factory=dict)
    documents: dict[str, Document] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> Folder:
        """Read every file of the folder; what is wrong with them is in ``problems``."""
        folder = cls(path)
        if not path.is_dir():
            folder.problems.append(
                Problem(str(path), 0, "", "is no directory, expected the inventory's folder")
            )
            return folder
        folder._read_services()
        folder._read_all_nodes()
        folder._read_directors()
        folder.hosts = folder._entries(HOSTS, HostEntry)
        folder.clusters = folder._entries(CLUSTERS, ClusterEntry)
        return folder

    def problem(self, file: str, keys: KeyPath, message: str, severity: Severity = "error") -> Problem:
        """A problem at a key path of a file that was read, or of the file itself when it was not."""
        hidden = 1 if file == SERVICES else 0
        document = self.documents.get(file)
        if document is None:
            return Problem(file, 0, "", message, severity)
        return document.problem(keys, message, hidden=hidden, severity=severity)

    def service_problem(
        self, name: str, keys: KeyPath, message: str, severity: Severity = "error"
    ) -> Problem:
        """A problem inside a service's entry of the catalog."""
        return self.problem(SERVICES, (CATALOG_KEY, name, *keys), message, severity)

    def _document(self, name: str, *, needed: bool = False) -> dict[Any, Any]:
        """A file's data; an empty mapping when it cannot be read, or need not be there and is not."""
        file = self.path / name
        if not needed and not file.exists() and not file.is_symlink():
            return {}
        try:
            self.documents[name] = read(file, name)
        except Unreadable as error:
            self.problems += error.problems
            return {}
        data: dict[Any, Any] = self.documents[name].data
        return data

    def _checked(self, file: str, keys: KeyPath, model: type[M], value: object) -> M | None:
        entry, faults = checked(model, value)
        self.problems += [self.problem(file, (*keys, *inside), message) for inside, message in faults]
        return entry

    def _mapping(self, file: str, keys: KeyPath, value: object, expected: str) -> dict[str, Any]:
        """The value when it is a mapping whose keys are strings; what is not, is a problem and left out."""
        if not isinstance(value, dict):
            self.problems.append(self.problem(file, keys, f"is {shown(value)}, expected {expected}"))
            return {}
        for key in value:
            if not isinstance(key, str):
                message = f"the key is {shown(key)}, expected a name; quote it"
                self.problems.append(self.problem(file, (*keys, str(key)), message))
        return {key: inside for key, inside in value.items() if isinstance(key, str)}

    def _entries(self, file: str, model: type[M]) -> dict[str, M]:
        entries = self._mapping(file, (), self._document(file), "a mapping")
        read = {name: self._checked(file, (name,), model, value or {}) for name, value in entries.items()}
        return {name: entry for name, entry in read.items() if entry is not None}

    def _read_services(self) -> None:
        data = self._document(SERVICES, needed=True)
        if SERVICES not in self.documents:
            return
        if CATALOG_KEY not in data:
            message = f"has no key {CATALOG_KEY}, expected the service catalog below it"
            self.problems.append(Problem(SERVICES, 1, "", message))
            return
        expected = "a mapping SERVICE: {…}"
        for name, value in self._mapping(SERVICES, (CATALOG_KEY,), data[CATALOG_KEY], expected).items():
            entry = self._checked(SERVICES, (CATALOG_KEY, name), CatalogService, value)
            if entry is not None:
                self.services[name] = entry

    def _read_all_nodes(self) -> None:
        for file in sorted((self.path / NODES).glob("*.yaml")):
            if not file.name.startswith("."):
                self._read_nodes(file.stem, f"{NODES}/{file.name}")

    def _read_nodes(self, site: str, file: str) -> None:
        data = self._document(file)
        if file not in self.documents:
            return
        if site not in data:
            message = f"has no key {site}, expected the site that the file is named after"
            self.problems.append(Problem(file, 1, "", message))
            return
        for other in data.keys() - {site}:
            message = f"is in {file}, expected the site {site} alone there"
            self.problems.append(self.problem(file, (str(other),), message))
        clusters = self._mapping(file, (site,), data[site], "a mapping CLUSTER: {HOST: [SERVICE, …]}")
        self.nodes[site] = {name: self._nodes_of(file, site, name, value) for name, value in clusters.items()}

    def _nodes_of(self, file: str, site: str, cluster: str, value: object) -> NodesOfCluster:
        hosts = self._mapping(file, (site, cluster), value or {}, "a mapping HOST: [SERVICE, …]")
        for host, services in hosts.items():
            if services is not None and not _names(services):
                message = f"is {shown(services)}, expected a list of service names"
                self.problems.append(self.problem(file, (site, cluster, host), message))
        return {host: services for host, services in hosts.items() if services is None or _names(services)}

    def _read_directors(self) -> None:
        sites = self._mapping(DIRECTORS, (), self._document(DIRECTORS), "a mapping")
        for site, value in sites.items():
            classes = self._mapping(DIRECTORS, (site,), value, "a mapping CLASS: [DIRECTOR, …]")
            self.directors[site] = {
                name: list(self._class(site, name, found)) for name, found in classes.items()
            }

    def _class(self, site: str, name: str, value: object) -> Iterator[DirectorEntry]:
        keys = (site, name)
        if not isinstance(value, list) or not value:
            message = f"is {shown(value)}, expected a list of directors, each {{host, role, driver}}"
            self.problems.append(self.problem(DIRECTORS, keys, message))
            return
        found = [
            self._checked(DIRECTORS, (*keys, index), DirectorEntry, item) for index, item in enumerate(value)
        ]
        self.problems += self._director_clashes(keys, found)
        yield from (entry for entry in found if entry is not None)

    def _director_clashes(self, keys: KeyPath, found: list[DirectorEntry | None]) -> Iterator[Problem]:
        """One primary and no more: the order of a crossing, secondaries first, hangs on it."""
        entries = [(index, entry) for index, entry in enumerate(found) if entry is not None]
        hosts: dict[str, int] = {}
        for index, entry in entries:
            if hosts.setdefault(entry.host, index) != index:
                message = f"is {entry.host!r} again, expected each director once"
                yield self.problem(DIRECTORS, (*keys, index, "host"), message)
        primaries = [(index, entry.host) for index, entry in entries if entry.role == "primary"]
        for index, host in primaries[1:]:
            message = f"is a second primary ({host}, after {primaries[0][1]}), expected one only"
            yield self.problem(DIRECTORS, (*keys, index, "role"), message)
        if not primaries and len(entries) == len(found):
            yield self.problem(DIRECTORS, keys, "has no primary, expected one director with role: primary")


def _names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)
