"""The flip: a site into a service's list ``lvs.ipip_encapsulation``, or out of it, and not one other byte.

The text is edited in place, whatever style it is written in. Before anything is handed out, the result is
parsed again: it must say what the original said in every other respect, the order of keys included. What has
no small and safe edit is refused, with what to do by hand.

Taking out a list's last site takes out the key with its lines, so that a flip there and back restores the
original bytes where there was no key before. The key stays with an empty list where something else would go
with it: a comment on those lines, or an inherited list that the key hides. An item's own line goes with all
that is on it.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ferryman.errors import InventoryError
from ferryman.inventory.document import CATALOG_KEY, Document, Unreadable, decoded, parse_text
from ferryman.inventory.edit import FLAG, Edit, refusal
from ferryman.inventory.problems import nearest, shown

if TYPE_CHECKING:
    from ferryman.inventory.problems import KeyPath

Encapsulation = Literal["ipip", "direct"]


@dataclass(frozen=True, slots=True)
class Flip:
    """A catalog before and after; the same bytes when it was already so."""

    before: bytes
    after: bytes
    diff: str
    """A unified diff, empty when nothing changes."""


def flip(before: bytes, service: str, site: str, to: Encapsulation, *, name: str = "services.yaml") -> bytes:
    """The catalog with the site in the service's list (``ipip``) or not in it (``direct``).

    Raises:
        InventoryError: There is no such service or site, or no edit that is small and safe.
    """
    text, document = _read(before, name)
    now = _sites(document, service, site)
    if (site in now) == (to == "ipip"):
        return before
    wanted = [*now, site] if to == "ipip" else [one for one in now if one != site]
    after = Edit(text, document, service).edited(now, wanted)
    return before[: len(before) - len(text.encode())] + after.encode()


def encapsulated(content: bytes, service: str, site: str, *, name: str = "services.yaml") -> bool:
    """Whether the catalog says IPIP; raises InventoryError as ``flip`` does."""
    _, document = _read(content, name)
    return site in _sites(document, service, site)


def unified_diff(before: bytes, after: bytes, name: str) -> str:
    """What changed, as ``diff -u`` says it."""
    old, new = (_lines(content.decode("utf-8", "replace")) for content in (before, after))
    lines = difflib.unified_diff(old, new, f"a/{name}", f"b/{name}")
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    )


def _lines(text: str) -> list[str]:
    return [line for line in re.split(r"(?<=\n)", text) if line]


def _read(content: bytes, name: str) -> tuple[str, Document]:
    try:
        text = decoded(content, name)
        return text, parse_text(text, name)
    except Unreadable as error:
        raise InventoryError([str(problem) for problem in error.problems]) from error


def _sites(document: Document, service: str, site: str) -> list[str]:
    """The service's list as it stands; raises InventoryError when it has none that could be."""
    catalog = document.data.get(CATALOG_KEY) if isinstance(document.data, dict) else None
    if not isinstance(catalog, dict):
        raise refusal(document, (CATALOG_KEY,), f"is {shown(catalog)}, expected a mapping SERVICE: {{…}}")
    if service not in catalog:
        raise refusal(
            document, (CATALOG_KEY,), f"no service is called {service!r}, {nearest(service, catalog)}"
        )
    keys = (CATALOG_KEY, service)
    entry = catalog[service]
    lvs = entry.get("lvs") if isinstance(entry, dict) else None
    if not isinstance(lvs, dict):
        message = "has no lvs section, expected a service behind load balancers"
        raise refusal(document, keys, message)
    sites = _names(document, (*keys, "lvs", FLAG), lvs.get(FLAG))
    known = _names(document, (*keys, "sites"), entry.get("sites"))
    if site not in sites and site not in known:
        raise refusal(document, (*keys, "sites"), f"the service is not at {site}, {nearest(site, known)}")
    return sites


def _names(document: Document, keys: KeyPath, value: object) -> list[str]:
    names = [] if value is None else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise refusal(document, keys, f"is {shown(value)}, expected a list of site names, such as [codfw]")
    twice = [name for index, name in enumerate(names) if name in names[:index]]
    if twice:
        raise refusal(
            document, keys, f"names {twice[0]} twice, expected each site once; take one out by hand"
        )
    return names
