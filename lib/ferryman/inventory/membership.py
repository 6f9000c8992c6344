"""The realservers and directors of a service at a site, and what blocks a service's migration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.inventory.folder import DIRECTORS, NODES
from ferryman.inventory.problems import nearest, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ferryman.inventory.folder import Folder
    from ferryman.inventory.problems import Problem
    from ferryman.inventory.schema import DirectorEntry, Lvs


def realservers_of(folder: Folder, lvs: Lvs, site: str) -> list[str]:
    """The hosts that conftool lists for the service, in file order."""
    return list(folder.pool(site, lvs.conftool.cluster, lvs.conftool.service))


def directors_of(folder: Folder, lvs: Lvs, site: str) -> list[DirectorEntry]:
    """The directors of the service's class: secondaries first, each in file order."""
    entries = folder.directors(site).read(lvs.class_)
    return sorted(entries or (), key=lambda entry: entry.role == "primary")


def faults_of_nodes(folder: Folder, lvs: Lvs, site: str) -> list[Problem]:
    """What is wrong with the hosts that conftool lists for the service, or may be meant to list."""
    hosts, service = folder.nodes(site, lvs.conftool.cluster), lvs.conftool.service
    found = [problem for host in hosts if hosts.mentions(host, service) for problem in hosts.faults(host)]
    return [*hosts.trouble, *found, *hosts.unread_with(service)]


def faults_of_directors(folder: Folder, lvs: Lvs, site: str) -> list[Problem]:
    """What is wrong with the directors of the service's class."""
    return folder.directors(site).faults(lvs.class_)


def faults_of_hosts(folder: Folder, hosts: Iterable[str]) -> Iterator[Problem]:
    """What is wrong with how these hosts, and the Kubernetes clusters that they are nodes of, are reached."""
    for host in hosts:
        yield from folder.hosts.faults(host)
        entry = folder.hosts.read(host)
        if entry is not None and entry.cluster is not None:
            yield from folder.clusters.faults(entry.cluster)


def obstacles(
    folder: Folder, name: str, site: str, *, begun: bool = False, directors: bool = True
) -> Iterator[Problem]:
    """Everything in the inventory that blocks the service's migration at the site.

    A run that has begun is blocked only by what it cannot do without: it may have to roll back. With
    ``directors`` false it does not matter whether the service has any.
    """
    entry = folder.services.read(name)
    assert entry is not None, "whoever asks has read it"
    if entry.state != "production" and not begun:
        yield folder.service_problem(name, ("state",), f"is {shown(entry.state)}, expected 'production'")
    if site not in entry.sites:
        message = f"the service is not at {site}, {nearest(site, entry.sites)}"
        yield folder.service_problem(name, ("sites",), message)
    elif not entry.ip.get(site):
        message = f"has no address for {site}, expected {site}: {{LABEL: address}}"
        yield folder.service_problem(name, ("ip",), message)
    if entry.lvs is None:
        message = "has no lvs section, expected a service behind load balancers"
        yield folder.service_problem(name, (), message)
        return
    if not entry.lvs.enabled and not begun:
        yield folder.service_problem(name, ("lvs", "enabled"), "is false, expected true")
    if site in entry.sites:
        yield from nobody(folder, name, entry.lvs, site, directors=directors)
        yield from sharers(folder, name, site) if not begun else ()


def nobody(folder: Folder, name: str, lvs: Lvs, site: str, *, directors: bool = True) -> Iterator[Problem]:
    """No realservers, or no directors where that matters, at a site."""
    if not realservers_of(folder, lvs, site) and not faults_of_nodes(folder, lvs, site):
        file, conftool = f"{NODES}/{site}.yaml", lvs.conftool
        message = f"has no realservers at {site}: {_lacking_nodes(folder, lvs, site, file)}"
        keys = ("lvs", "conftool", "service" if conftool.cluster in folder.node_clusters(site) else "cluster")
        yield folder.service_problem(name, keys, message)
        yield from folder.node_clusters(site).unseen if keys[-1] == "cluster" else ()
    if not directors:
        return
    if not directors_of(folder, lvs, site) and not faults_of_directors(folder, lvs, site):
        message = f"has no directors at {site}: {_lacking_directors(folder, lvs, site)}"
        yield folder.service_problem(name, ("lvs", "class"), message)


def sharers(folder: Folder, name: str, site: str) -> Iterator[Problem]:
    """Other services that a director cannot tell from this one."""
    for (vip, port, protocol), other in folder.shared(site).get(name, ()):
        message = (
            f"{protocol} {vip} port {port} at {site} belongs to {name} and to {other}, "
            "expected one service on an address and port"
        )
        yield folder.service_problem(name, ("ip", site), message)


def _lacking_nodes(folder: Folder, lvs: Lvs, site: str, file: str) -> str:
    conftool, clusters = lvs.conftool, folder.node_clusters(site)
    if site not in folder.node_sites:
        return f"there is no {file}, expected nodes of cluster {conftool.cluster} there"
    if conftool.cluster not in clusters:
        return f"{file} has no cluster {conftool.cluster}, {nearest(conftool.cluster, clusters)}"
    hosts = folder.nodes(site, conftool.cluster)
    known = nearest(conftool.service, sorted({name for _, names in hosts.readable() for name in names}))
    return f"in {file} no host of {conftool.cluster} has service {conftool.service}, {known}"


def _lacking_directors(folder: Folder, lvs: Lvs, site: str) -> str:
    if not folder.director_sites:
        return f"there is no {DIRECTORS}, expected directors of class {lvs.class_} there"
    if site not in folder.director_sites:
        return f"{DIRECTORS} has no site {site}, {nearest(site, folder.director_sites)}"
    return f"{DIRECTORS} has no class {lvs.class_} there, {nearest(lvs.class_, folder.directors(site))}"
