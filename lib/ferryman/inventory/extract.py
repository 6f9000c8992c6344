"""The part of an inventory that some of its services need: as files that can stand for the whole of it.

The catalog's entries are kept as they are written, byte for byte: an edit of such a part is the same edit as
one of the whole. Of the other files only what they say is kept.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import yaml

from ferryman.inventory.document import CATALOG_DEPTH, CATALOG_KEY, decoded
from ferryman.inventory.folder import CLUSTERS, DIRECTORS, HOSTS, NODES, SERVICES
from ferryman.inventory.text_blocks import blocks_of, lines_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from ferryman.inventory.folder import Folder
    from ferryman.inventory.needed import Needed
    from ferryman.inventory.problems import KeyPath
    from ferryman.inventory.text_blocks import Block

_REFERS = re.compile(r"(?m)(?:^|[\s\[{,:-])(?:\*[^\s,\]}]+|<<\s*:)")
"""An alias or a merge key: what it stands for is elsewhere in the text."""


def catalog_part(text: bytes, services: Collection[str]) -> bytes:
    """The catalog with these services' entries alone; all of it, where they cannot be told apart so."""
    lines = lines_of(decoded(text))
    top = [
        block for block in blocks_of(lines, CATALOG_DEPTH, lambda _: False) if block.keys == (CATALOG_KEY,)
    ]
    found = [block for block in top[0].below if block.keys[-1] in services] if len(top) == 1 else []
    wanted = "".join(block.text(lines) for block in found)
    if not found or len(found) != len(set(services)) or _REFERS.search(wanted):
        return text
    rest = [*lines[: top[0].first], *_others_of(lines, top[0], found), *lines[top[0].end :]]
    digest = sha256("".join(rest).encode("utf-8", "surrogateescape")).hexdigest()
    head = "".join(lines[top[0].first : top[0].below[0].first])
    # Whether somebody else changed the file is known by it.
    return f"# the rest of the file: sha256 {digest}\n{head}{wanted}".encode("utf-8", "surrogateescape")


def _others_of(lines: list[str], top: Block, found: list[Block]) -> Iterator[str]:
    yield from (block.text(lines) for block in top.below if block not in found)


def extract(folder: Folder, needed: Iterable[Needed], clusters: Iterable[str] = ()) -> dict[str, str]:
    """The files of an inventory that has what these services need, by name in its folder.

    Of a cluster that is asked for it is needed what all of its nodes are.
    """
    services, asked = list(dict.fromkeys(needed)), list(clusters)
    nodes_of = [host for host, entry in folder.hosts.readable() if entry.cluster in asked] if asked else []
    if not services:
        return _others(folder, {}, nodes_of, asked) if asked else {}
    catalog = folder.document(SERVICES)
    files: dict[str, str] = {}
    if catalog is not None:
        names = {each.service for each in services}
        content = catalog_part(catalog.text.encode("utf-8", "surrogateescape"), names)
        files[SERVICES] = content.decode("utf-8", "replace")
    nodes: dict[str, Any] = {}
    directors: dict[str, Any] = {}
    used: list[str] = []
    for each in services:
        entry = folder.services.read(each.service)
        if entry is None or entry.lvs is None:
            continue
        cluster, service = entry.lvs.conftool.cluster, entry.lvs.conftool.service
        pool = folder.pool(each.site, cluster, service)
        of_cluster = nodes.setdefault(each.site, {}).setdefault(cluster, {})
        for host in pool:
            of_cluster.setdefault(host, []).append(service)
        listed = _value(folder, DIRECTORS, (each.site, entry.lvs.class_))
        if listed is not None:
            directors.setdefault(each.site, {})[entry.lvs.class_] = listed
        used += [*pool, *each.only, *_hosts_in(listed)]
    files |= {f"{NODES}/{site}.yaml": _dumped({site: clusters}) for site, clusters in nodes.items()}
    files |= _others(folder, directors, [*used, *nodes_of], asked)
    return files


def _others(
    folder: Folder, directors: Mapping[str, Any], used: Iterable[str], asked: Iterable[str]
) -> dict[str, str]:
    """directors.yaml, hosts.yaml and clusters.yaml, those of them that are needed."""
    hosts = {
        host: entry
        for host in dict.fromkeys(used)
        if host in folder.hosts and (entry := _value(folder, HOSTS, (host,))) is not None
    }
    named = [*asked, *(entry.get("cluster") for entry in hosts.values() if isinstance(entry, dict))]
    clusters = {
        name: _value(folder, CLUSTERS, (name,))
        for name in dict.fromkeys(named)
        if isinstance(name, str) and name in folder.clusters
    }
    files = {DIRECTORS: directors, HOSTS: hosts, CLUSTERS: clusters}
    return {name: _dumped(content) for name, content in files.items() if content}


def _hosts_in(listed: object) -> Iterator[str]:
    for entry in listed if isinstance(listed, list) else ():
        if isinstance(entry, dict) and isinstance(entry.get("host"), str):
            yield entry["host"]


def _value(folder: Folder, file: str, keys: KeyPath) -> Any:  # noqa: ANN401  # whatever stands there
    document = folder.document(file)
    return None if document is None else document.value(document.node(keys))


def _dumped(content: object) -> str:
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
