"""Is the inventory sound? Everything that loading finds, and whether the files agree with each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.inventory.folder import CLUSTERS, DIRECTORS, HOSTS, NODES, Folder
from ferryman.inventory.membership import nobody, sharers
from ferryman.inventory.problems import Problem, nearest, similar

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ferryman.inventory.schema import CatalogService


def lint(path: Path) -> list[Problem]:
    """Every problem of the inventory in a folder, errors and warnings, by file and line."""
    folder = Folder.read(path)
    found = {*folder.problems, *_services(folder), *_hosts(folder), *_clusters(folder)}
    return sorted(found | {*_unused_directors(folder), *_files(folder)})


def _services(folder: Folder) -> Iterator[Problem]:
    for name, entry in folder.services.items():
        yield from _addresses(folder, name, entry)
        if entry.lvs is not None:
            yield from _flag(folder, name, entry)
        for site in entry.sites:
            yield from _at_site(folder, name, entry, site)


def _addresses(folder: Folder, name: str, entry: CatalogService) -> Iterator[Problem]:
    for site in entry.ip:
        if site not in entry.sites:
            message = f"is not among the service's sites, {nearest(site, entry.sites)}"
            yield folder.service_problem(name, ("ip", site), message, severity="warn")


def _flag(folder: Folder, name: str, entry: CatalogService) -> Iterator[Problem]:
    assert entry.lvs is not None
    flagged = entry.lvs.ipip_encapsulation or []
    for index, site in enumerate(flagged):
        keys = ("lvs", "ipip_encapsulation", index)
        if site not in entry.sites:
            yield folder.service_problem(
                name, keys, f"the service is not at {site}, {nearest(site, entry.sites)}"
            )
        if site in flagged[:index]:
            message = f"names {site} a second time, expected each site once"
            yield folder.service_problem(name, keys, message, severity="warn")


def _at_site(folder: Folder, name: str, entry: CatalogService, site: str) -> Iterator[Problem]:
    lvs = entry.lvs
    if lvs is None or not lvs.enabled:
        return
    if not entry.ip.get(site):
        yield folder.service_problem(
            name, ("ip",), f"has no address for {site}, expected {site}: {{LABEL: address}}"
        )
    yield from sharers(folder, name, site)
    # A site that a file says nothing of may be kept elsewhere: only what contradicts is a mistake.
    for problem in nobody(folder, name, lvs, site):
        silent = site not in folder.nodes if ".conftool." in problem.where else site not in folder.directors
        if not silent:
            yield problem


def _hosts(folder: Folder) -> Iterator[Problem]:
    used = {host for clusters in folder.nodes.values() for hosts in clusters.values() for host in hosts}
    used |= {
        entry.host for classes in folder.directors.values() for found in classes.values() for entry in found
    }
    for host, entry in folder.hosts.items():
        if host not in used:
            close = similar(host, sorted(used))
            hint = f", did you mean {' or '.join(close)}?" if close else ""
            message = f"is no realserver and no director{hint}"
            yield folder.problem(HOSTS, (host,), message, severity="warn")
        if entry.cluster is not None and entry.cluster not in folder.clusters:
            message = f"{CLUSTERS} has no cluster {entry.cluster}, {nearest(entry.cluster, folder.clusters)}"
            yield folder.problem(HOSTS, (host, "cluster"), message)
        if entry.cluster is not None and entry.kind != "kubernetes":
            message = (
                f"is {entry.cluster!r} on a host of kind {entry.kind}, expected kind: kubernetes beside it"
            )
            yield folder.problem(HOSTS, (host, "cluster"), message)


def _clusters(folder: Folder) -> Iterator[Problem]:
    used = {entry.cluster for entry in folder.hosts.values()}
    for name in folder.clusters:
        if name not in used:
            yield folder.problem(CLUSTERS, (name,), f"no host of {HOSTS} belongs to it", severity="warn")


def _unused_directors(folder: Folder) -> Iterator[Problem]:
    used = {
        (site, entry.lvs.class_)
        for entry in folder.services.values()
        if entry.lvs is not None
        for site in entry.sites
    }
    for site, classes in folder.directors.items():
        for name in classes:
            if (site, name) not in used:
                message = f"no service of class {name} is at {site}"
                yield folder.problem(DIRECTORS, (site, name), message, severity="warn")


def _files(folder: Folder) -> Iterator[Problem]:
    """A site's nodes in a file that nobody reads, or in none at all."""
    for file in sorted((folder.path / NODES).glob("*.yml")):
        message = f"is not read, expected {file.stem}.yaml"
        yield Problem(f"{NODES}/{file.name}", 0, "", message, severity="warn")
    balanced = {
        site
        for entry in folder.services.values()
        if entry.lvs is not None and entry.lvs.enabled
        for site in entry.sites
    }
    for site in sorted(balanced - folder.nodes.keys()):
        name = f"{NODES}/{site}.yaml"
        if not any(problem.file == name for problem in folder.problems):
            message = f"is missing, so services at {site} have no realservers"
            yield Problem(name, 0, "", message, severity="warn")
