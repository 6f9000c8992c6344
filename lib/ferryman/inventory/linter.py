"""Is the inventory sound? Everything that loading finds, and whether the files agree with each other."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from ferryman.encapsulation import ETHERNET_MTU, IPV4_HEADER, IPV6_HEADER, max_inner_packet
from ferryman.inventory.document import Unreadable
from ferryman.inventory.folder import CLUSTERS, DIRECTORS, HOSTS, NODES, Folder
from ferryman.inventory.hosts import room_of
from ferryman.inventory.membership import nobody, sharers
from ferryman.inventory.problems import Problem, nearest, similar
from ferryman.model import MssStrategy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ferryman.inventory.schema import CatalogService, ClusterEntry, DirectorEntry


def lint(path: Path) -> list[Problem]:
    """Every problem of the inventory in a folder, errors and warnings, by file and line."""
    try:
        folder = Folder.read(path)
    except Unreadable as error:
        return list(error.problems)
    found = {*folder.problems, *_services(folder), *_hosts(folder), *_clusters(folder)}
    return sorted(found | {*_directors(folder), *_unused_directors(folder), *_files(folder)})


def _services(folder: Folder) -> Iterator[Problem]:
    for name, entry in folder.services.readable():
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
        silent = ".conftool." in problem.where and site not in folder.node_sites
        silent |= ".class" in problem.where and site not in folder.director_sites
        if not silent:
            yield problem


def _hosts(folder: Folder) -> Iterator[Problem]:
    used = folder.used_hosts()
    for host, entry in folder.hosts.readable():
        if host not in used and entry.kind != "bastion":
            close = similar(host, sorted(used))
            hint = f", did you mean {' or '.join(close)}?" if close else ""
            message = f"is no realserver and no director{hint or '; one to go through says kind: bastion'}"
            yield folder.problem(HOSTS, (host,), message, severity="warn")
        if entry.cluster is not None and entry.cluster not in folder.clusters:
            message = f"{CLUSTERS} has no cluster {entry.cluster}, {nearest(entry.cluster, folder.clusters)}"
            yield folder.problem(HOSTS, (host, "cluster"), message)
        if entry.cluster is not None and entry.kind != "kubernetes":
            message = (
                f"is {entry.cluster!r} on a host of kind {entry.kind}, expected kind: kubernetes beside it"
            )
            yield folder.problem(HOSTS, (host, "cluster"), message)
        if entry.mss == "pod_mtu" and entry.kind != "kubernetes":
            message = f"is pod_mtu on a host of kind {entry.kind}, which has no pods; expected clamp or jumbo"
            yield folder.problem(HOSTS, (host, "mss"), message)
        mss, path_mtu = room_of(entry, folder.clusters.read(entry.cluster or ""))
        yield from _jumbo(folder, host, mss, path_mtu)


def _clusters(folder: Folder) -> Iterator[Problem]:
    used = {entry.cluster for _, entry in folder.hosts.readable()}
    for name, entry in folder.clusters.readable():
        if name not in used:
            yield folder.problem(CLUSTERS, (name,), f"no host of {HOSTS} belongs to it", severity="warn")
        if entry.api == "in-cluster" and (entry.kubeconfig or entry.context):
            message = "is in-cluster beside a kubeconfig, expected one of them"
            yield folder.problem(CLUSTERS, (name, "api"), message)
        room = max_inner_packet(4, entry.path_mtu or ETHERNET_MTU)
        if entry.pod_mtu is not None and entry.pod_mtu > room and entry.mss in (None, "pod_mtu"):
            message = f"is {entry.pod_mtu}, expected {room} at most: the path MTU less an outer IPv4 header"
            yield folder.problem(CLUSTERS, (name, "pod_mtu"), message, severity="warn")
        yield from _stages(folder, name, entry)


def _stages(folder: Folder, name: str, entry: ClusterEntry) -> Iterator[Problem]:
    """Each stage of a rollout has a name of its own, and one that takes everything is the last."""
    stages = entry.rollout.stages if entry.rollout is not None else []
    for index, stage in enumerate(stages):
        keys = (name, "rollout", "stages", index)
        if stage.name in [earlier.name for earlier in stages[:index]]:
            message = f"is {stage.name} a second time, expected a name for each stage"
            yield folder.problem(CLUSTERS, (*keys, "name"), message)
        if stage.namespaces is None and stage.selector is None and index < len(stages) - 1:
            message = "takes every pod, so that no stage after it has any; expected namespaces or selector"
            yield folder.problem(CLUSTERS, keys, message, severity="warn")


def _jumbo(folder: Folder, host: str, mss: MssStrategy, path_mtu: int) -> Iterator[Problem]:
    if mss is MssStrategy.JUMBO and path_mtu < ETHERNET_MTU + IPV4_HEADER:
        message = (
            f"is jumbo with a path MTU of {path_mtu}, expected path_mtu: {ETHERNET_MTU + IPV4_HEADER} or "
            f"more ({ETHERNET_MTU + IPV6_HEADER} with IPv6) beside it"
        )
        yield folder.problem(HOSTS, (host, "mss"), message)


def _directors(folder: Folder) -> Iterator[Problem]:
    """A common key that is misspelt would be taken for one of the driver's, and the driver run without it."""
    for site, name, found in _all_directors(folder):
        for index, entry in enumerate(found):
            for key in entry.model_extra or ():
                meant = get_close_matches(key, list(type(entry).model_fields), n=1, cutoff=0.85)
                if meant:
                    message = f"is taken for a key of the driver; did you mean {meant[0]}?"
                    yield folder.problem(DIRECTORS, (site, name, index, key), message, severity="warn")


def _all_directors(folder: Folder) -> Iterator[tuple[str, str, list[DirectorEntry]]]:
    """Every class of directors at every site: the site, the class, and its directors."""
    for site in folder.director_sites:
        for name, found in folder.directors(site).readable():
            yield site, name, found


def _unused_directors(folder: Folder) -> Iterator[Problem]:
    used = {
        (site, entry.lvs.class_)
        for _, entry in folder.services.readable()
        if entry.lvs is not None
        for site in entry.sites
    }
    for site in folder.director_sites:
        for name in folder.directors(site):
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
        for _, entry in folder.services.readable()
        if entry.lvs is not None and entry.lvs.enabled
        for site in entry.sites
    }
    for site in sorted(balanced - set(folder.node_sites)):
        name = f"{NODES}/{site}.yaml"
        if not any(problem.file == name for problem in folder.problems):
            message = f"is missing, so services at {site} have no realservers"
            yield Problem(name, 0, "", message, severity="warn")
