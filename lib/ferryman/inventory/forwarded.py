"""What directors forward, read from a catalog with faulty entries: an address is taken all the same."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, NamedTuple

from ferryman.inventory.document import CATALOG_KEY, Document, Unreadable
from ferryman.inventory.yaml_nodes import below, key_name, pairs

if TYPE_CHECKING:
    from collections.abc import Iterable

    import yaml

    from ferryman.model import Address

Endpoint = tuple["Address", int, str]
"""VIP, port, protocol: what a director forwards by."""


class Forwarded(NamedTuple):
    """What directors forward for a service, at whatever site."""

    service: str
    addresses: yaml.Node | None
    """SITE: {LABEL: address}."""
    port: int
    protocol: str


def forwarded(document: Document) -> list[Forwarded]:
    """Every service of a catalog that directors forward, as far as its entry can be read."""
    catalog = below(document.root, CATALOG_KEY)
    entries = {key_name(key): entry for key, entry in (pairs(catalog) if catalog is not None else ())}
    found = (_forwarded(document, name, entry) for name, entry in entries.items())
    return [each for each in found if each is not None]


def _forwarded(document: Document, name: str, entry: yaml.Node) -> Forwarded | None:
    lvs = below(entry, "lvs")
    if lvs is None or _value(document, below(lvs, "enabled")) is not True:
        return None
    port, protocol = _value(document, below(entry, "port")), _value(document, below(lvs, "protocol"))
    if not isinstance(port, int):
        return None
    return Forwarded(name, below(entry, "ip"), port, "tcp" if protocol is None else str(protocol))


def shared(
    document: Document, all_forwarded: Iterable[Forwarded], site: str
) -> dict[str, list[tuple[Endpoint, str]]]:
    """By service, the endpoints at a site that another service has too, and which one, in order."""
    found: dict[Endpoint, list[str]] = {}
    for each in all_forwarded:
        for endpoint in dict.fromkeys(_endpoints(document, each, site)):
            found.setdefault(endpoint, []).append(each.service)
    rivals: dict[str, list[tuple[Endpoint, str]]] = {}
    for endpoint, names in found.items():
        for name in names:
            rivals.setdefault(name, []).extend((endpoint, other) for other in names if other != name)
    return rivals


def _endpoints(document: Document, each: Forwarded, site: str) -> list[Endpoint]:
    at_site = below(each.addresses, site)
    if at_site is None:
        return []
    addresses = [_address(_value(document, value)) for _, value in pairs(at_site)]
    return [(vip, each.port, each.protocol) for vip in addresses if vip is not None]


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
