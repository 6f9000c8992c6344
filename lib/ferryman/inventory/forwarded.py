"""What directors forward, read from a catalog with faulty entries: an address is taken all the same."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

from ferryman.inventory.document import CATALOG_KEY, Document, Unreadable
from ferryman.inventory.yaml_nodes import below, key_name, pairs

if TYPE_CHECKING:
    import yaml

    from ferryman.model import Address

Endpoint = tuple["Address", int, str]
"""VIP, port, protocol: what a director forwards by."""


def shared(document: Document, site: str) -> dict[str, list[tuple[Endpoint, str]]]:
    """By service, the endpoints at a site that another service has too, and which one, in order."""
    found: dict[Endpoint, list[str]] = {}
    catalog = below(document.root, CATALOG_KEY)
    entries = {key_name(key): entry for key, entry in (pairs(catalog) if catalog is not None else ())}
    for name, entry in entries.items():
        for endpoint in dict.fromkeys(_endpoints(document, entry, site)):
            found.setdefault(endpoint, []).append(name)
    rivals: dict[str, list[tuple[Endpoint, str]]] = {}
    for endpoint, names in found.items():
        for name in names:
            rivals.setdefault(name, []).extend((endpoint, other) for other in names if other != name)
    return rivals


def _endpoints(document: Document, entry: yaml.Node, site: str) -> list[Endpoint]:
    at_site, lvs = below(entry, "ip", site), below(entry, "lvs")
    if at_site is None or lvs is None or _value(document, below(lvs, "enabled")) is not True:
        return []
    port, protocol = _value(document, below(entry, "port")), _value(document, below(lvs, "protocol"))
    if not isinstance(port, int):
        return []
    addresses = [_address(_value(document, value)) for _, value in pairs(at_site)]
    protocol = "tcp" if protocol is None else str(protocol)
    return [(vip, port, protocol) for vip in addresses if vip is not None]


def _value(document: Document, node: yaml.Node | None) -> object:
    try:
        return None if node is None else document.value(node)
    except Unreadable:
        return None


def _address(value: object) -> Address | None:
    try:
        return ip_address(value) if isinstance(value, str) else None
    except ValueError:
        return None
