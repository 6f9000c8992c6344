"""A service's entry in a catalog's text: found, or refused with the place and what was expected there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ferryman.catalog.yaml_edit.editor import edit_error
from ferryman.errors import InventoryError
from ferryman.inventory.document import CATALOG_KEY, Document, Unreadable, decoded, parse_text
from ferryman.inventory.entries import Entries, Source
from ferryman.inventory.problems import errors_of, nearest, shown
from ferryman.inventory.yaml_nodes import below

if TYPE_CHECKING:
    from ferryman.inventory.problems import KeyPath


def read(content: bytes, name: str) -> tuple[str, Document]:
    """The text without a byte order mark, and what it says.

    Raises:
        InventoryError: It cannot be read; with every problem found.
    """
    try:
        text = decoded(content)
        return text, parse_text(text, name)
    except Unreadable as error:
        raise InventoryError([str(problem) for problem in error.problems]) from error


def encoded(text: str, *, like: bytes, was: str) -> bytes:
    """An edited text as bytes, with the byte order mark of the content that it was read from."""
    mark = like[: len(like) - len(was.encode(errors="surrogateescape"))]
    return mark + text.encode(errors="surrogateescape")


def entry_of(document: Document, service: str) -> dict[str, Any]:
    """A service's entry that has an lvs section; what is wrong with other entries does not matter here.

    Raises:
        InventoryError: There is none, or a part of the catalog that cannot be read may be it; or it cannot be
            read, or a key stands in it twice.
    """
    entry = whole_entry(document, service)
    if not isinstance(entry, dict) or not isinstance(entry.get("lvs"), dict):
        message = "has no lvs section, expected a service behind load balancers"
        raise edit_error(document, (CATALOG_KEY, service), message)
    return entry


def whole_entry(document: Document, service: str) -> Any:  # noqa: ANN401  # whatever stands there
    """A service's entry, whatever it is; raises InventoryError as ``entry_of`` does."""
    services = Entries(
        Source(document), (CATALOG_KEY,), lambda *entry: (entry[2], []), expected="a mapping SERVICE: {…}"
    )
    if below(document.root, CATALOG_KEY) is None and not document.cuts:
        raise edit_error(document, (CATALOG_KEY,), "is empty, expected a mapping SERVICE: {…}")
    faults = services.faults(service) if service in services else [*services.trouble, *services.cut(service)]
    if faults:
        raise InventoryError([str(problem) for problem in errors_of(faults)])
    if service not in services:
        message = f"no service is called {service!r}, {nearest(service, services)}"
        unseen = [f"{problem}; it may be the one that was meant" for problem in services.unseen]
        raise InventoryError([str(document.problem((CATALOG_KEY,), message)), *unseen])
    return services.read(service)


def names(document: Document, keys: KeyPath, value: object) -> list[str]:
    """A list of site names, each once; nothing is an empty one.

    Raises:
        InventoryError: It is something else.
    """
    found = [] if value is None else value
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise edit_error(document, keys, f"is {shown(value)}, expected a list of site names, such as [codfw]")
    twice = [name for index, name in enumerate(found) if name in found[:index]]
    if twice:
        raise edit_error(
            document, keys, f"names {twice[0]} twice, expected each site once; take one out by hand"
        )
    return found


def sites_of(document: Document, service: str, entry: dict[str, Any]) -> list[str]:
    """The sites that a service's entry lists; raises InventoryError as ``names`` does."""
    return names(document, (CATALOG_KEY, service, "sites"), entry.get("sites"))


def not_there(document: Document, service: str, site: str, known: list[str]) -> InventoryError:
    """The error for a site that a service is not at."""
    keys = (CATALOG_KEY, service, "sites")
    return edit_error(document, keys, f"the service is not at {site}, {nearest(site, known)}")
