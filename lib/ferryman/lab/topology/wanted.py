"""What an inventory says of the services that a lab is to have: read as it is, and nothing looked up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ferryman.errors import InventoryError
from ferryman.inventory import membership
from ferryman.inventory.document import Unreadable
from ferryman.inventory.folder import DIRECTORS, Folder
from ferryman.inventory.problems import errors_of, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from ferryman.inventory.problems import Problem
    from ferryman.inventory.schema import CatalogService, DirectorEntry, HostEntry, Lvs
    from ferryman.model import Address


@dataclass(frozen=True, slots=True)
class Wanted:
    """One service as the inventory has it at the site."""

    name: str
    entry: CatalogService
    lvs: Lvs
    vips: dict[str, Address]
    """By label."""
    realservers: Sequence[str]
    directors: Sequence[DirectorEntry]
    """The primary first; empty where the inventory has no directors at all."""
    hosts: dict[str, HostEntry]
    """What hosts.yaml says of them, as far as it says anything."""


class Source:
    """An inventory that a lab is made after, at one site."""

    def __init__(self, path: Path, site: str) -> None:
        """Read it.

        Raises:
            InventoryError: It cannot be read, or has no such site.
        """
        try:
            self.folder = Folder.read(path)
        except Unreadable as error:
            raise InventoryError([str(problem) for problem in error.problems]) from error
        self.site = site
        _raise(self.folder.services.trouble)
        sites = {site for _, entry in self.folder.services.readable() for site in entry.sites}
        if site not in sites:
            message = f"no service is at site {site!r}, {nearest(site, sorted(sites))}"
            raise InventoryError([str(self.folder.problem("services.yaml", (), message))])

    @property
    def has_directors(self) -> bool:
        """Whether there is a directors.yaml: an inventory without one says nothing about directors."""
        return self.folder.document(DIRECTORS) is not None or bool(self.folder.director_sites.trouble)

    @property
    def balanced(self) -> list[str]:
        """The services that are at the site and behind load balancers, in the catalog's order."""
        return [
            name
            for name, entry in self.folder.services.readable()
            if self.site in entry.sites and entry.lvs is not None
        ]

    def wanted(self, name: str) -> Wanted:
        """One service.

        Raises:
            InventoryError: There is none, or it could not be migrated at this site; with everything wrong.
        """
        folder, site = self.folder, self.site
        faults = folder.services.faults(name)
        entry = folder.services.read(name)
        if name not in folder.services and not faults:
            message = f"no service is called {name!r}, {nearest(name, folder.services)}"
            raise InventoryError([str(folder.problem("services.yaml", (), message))])
        if entry is None:
            _raise(faults)
        assert entry is not None, "what cannot be read has a fault"
        faults += membership.obstacles(folder, name, site, directors=self.has_directors)
        lvs = entry.lvs
        _raise(faults)
        assert lvs is not None, "obstacles names a service without lvs"
        realservers = membership.realservers_of(folder, lvs, site)
        directors = membership.directors_of(folder, lvs, site)
        named = [*realservers, *(director.host for director in directors)]
        faults = [
            *membership.faults_of_nodes(folder, lvs, site),
            *(membership.faults_of_directors(folder, lvs, site) if self.has_directors else ()),
            *membership.faults_of_hosts(folder, named),
        ]
        _raise(faults)
        hosts = {host: found for host in named if (found := folder.hosts.read(host)) is not None}
        vips = dict(entry.ip[site])
        primary_first = [*directors[-1:], *directors[:-1]]
        return Wanted(name, entry, lvs, vips, realservers, primary_first, hosts)


def _raise(problems: Iterable[Problem]) -> None:
    if errors := errors_of(problems):
        raise InventoryError([str(problem) for problem in errors])
