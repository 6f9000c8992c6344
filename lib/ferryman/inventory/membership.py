"""Who takes part in a service at a site, and what keeps a service from being taken across."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.inventory.folder import DIRECTORS, NODES
from ferryman.inventory.problems import nearest, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferryman.inventory.folder import Folder
    from ferryman.inventory.problems import Problem
    from ferryman.inventory.schema import CatalogService, DirectorEntry, Lvs
    from ferryman.model import Address, Protocol

Endpoint = tuple[str, "Address", int, "Protocol"]
"""Site, VIP, port, protocol: what a director forwards by."""


def realservers_of(folder: Folder, lvs: Lvs, site: str) -> list[str]:
    """The hosts that conftool lists for the service, in file order."""
    hosts = folder.nodes.get(site, {}).get(lvs.conftool.cluster, {})
    return [host for host, services in hosts.items() if lvs.conftool.service in (services or ())]


def directors_of(folder: Folder, lvs: Lvs, site: str) -> list[DirectorEntry]:
    """The directors of the service's class: secondaries first, each in file order."""
    entries = folder.directors.get(site, {}).get(lvs.class_, [])
    return sorted(entries, key=lambda entry: entry.role == "primary")


def endpoints(entry: CatalogService, site: str) -> list[Endpoint]:
    """What the directors of a site forward for the service; nothing when it is not behind them."""
    if entry.lvs is None or not entry.lvs.enabled:
        return []
    return [(site, vip, entry.port, entry.lvs.protocol) for vip in entry.ip.get(site, {}).values()]


def obstacles(folder: Folder, name: str, site: str) -> Iterator[Problem]:
    """Everything in the inventory that keeps the service from being taken across at the site."""
    entry = folder.services[name]
    if entry.state != "production":
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
    if not entry.lvs.enabled:
        yield folder.service_problem(name, ("lvs", "enabled"), "is false, expected true")
    if site in entry.sites:
        yield from nobody(folder, name, entry.lvs, site)
        yield from sharers(folder, name, site)


def nobody(folder: Folder, name: str, lvs: Lvs, site: str) -> Iterator[Problem]:
    """No realservers, or no directors, at a site."""
    if not realservers_of(folder, lvs, site):
        file, conftool = f"{NODES}/{site}.yaml", lvs.conftool
        message = f"has no realservers at {site}: {_lacking_nodes(folder, lvs, site, file)}"
        keys = ("lvs", "conftool", "service" if conftool.cluster in folder.nodes.get(site, {}) else "cluster")
        yield folder.service_problem(name, keys, message)
    if not directors_of(folder, lvs, site):
        message = f"has no directors at {site}: {_lacking_directors(folder, lvs, site)}"
        yield folder.service_problem(name, ("lvs", "class"), message)


def sharers(folder: Folder, name: str, site: str) -> Iterator[Problem]:
    """Other services that a director cannot tell from this one."""
    mine = set(endpoints(folder.services[name], site))
    for other, entry in folder.services.items():
        for _, vip, port, protocol in endpoints(entry, site):
            if other != name and (site, vip, port, protocol) in mine:
                message = (
                    f"{protocol} {vip} port {port} at {site} belongs to {name} and to {other}, "
                    "expected one service on an address and port"
                )
                yield folder.service_problem(name, ("ip", site), message)


def _lacking_nodes(folder: Folder, lvs: Lvs, site: str, file: str) -> str:
    conftool = lvs.conftool
    if site not in folder.nodes:
        return f"there is no {file}, expected nodes of cluster {conftool.cluster} there"
    clusters = folder.nodes[site]
    if conftool.cluster not in clusters:
        return f"{file} has no cluster {conftool.cluster}, {nearest(conftool.cluster, clusters)}"
    services = {service for names in clusters[conftool.cluster].values() for service in names or ()}
    known = nearest(conftool.service, sorted(services))
    return f"in {file} no host of {conftool.cluster} has service {conftool.service}, {known}"


def _lacking_directors(folder: Folder, lvs: Lvs, site: str) -> str:
    if not folder.directors:
        return f"there is no {DIRECTORS}, expected directors of class {lvs.class_} there"
    if site not in folder.directors:
        return f"{DIRECTORS} has no site {site}, {nearest(site, folder.directors)}"
    classes = folder.directors[site]
    return f"{DIRECTORS} has no class {lvs.class_} there, {nearest(lvs.class_, classes)}"
