"""The flip: a site into a service's list ``lvs.ipip_encapsulation``, or out of it, and not one other byte.

The text is edited in place, whatever style it is written in. Before anything is handed out, the result is
parsed again: it must say what the original said in every other respect, the order of keys included. What has
no small and safe edit is refused, with what to do by hand.

A new site goes where the entry's ``sites`` have it, if the list keeps their order, else behind all others.
Taking out a list's last site takes out the key with its lines, so that a flip there and back restores the
original bytes where there was no key before. The key stays with an empty list where something else would go
with it: a comment on those lines, or an inherited list that the key hides. An item's own line goes with all
that is on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ferryman.catalog.yaml_edit.change import CatalogEdit
from ferryman.catalog.yaml_edit.list import FLAG, ListEditor
from ferryman.catalog.yaml_edit.lookup import encoded, entry_of, names, not_there, read, sites_of
from ferryman.inventory.document import CATALOG_KEY

if TYPE_CHECKING:
    from ferryman.inventory.document import Document

Encapsulation = Literal["ipip", "direct"]


@dataclass(frozen=True, slots=True)
class Flipped(CatalogEdit):
    """The site stands in the service's list."""

    service: str
    site: str

    def __str__(self) -> str:
        return f"{self.service}: lvs.{FLAG} lists {self.site}"

    @property
    def subject(self) -> str:
        """The commit's first line when the site is added."""
        return f"{self.service}: IPIP encapsulation at {self.site}"

    @property
    def subject_back(self) -> str:
        """The commit's first line when the site is taken out again."""
        return f"{self.service}: no IPIP encapsulation at {self.site}"

    def made(self, text: bytes, *, name: str) -> bytes:
        """The text with the site in the list."""
        return flip(text, self.service, self.site, "ipip", name=name)

    def taken_back(self, text: bytes, before: bytes, *, name: str) -> bytes:
        """The text without the site in the list, if it was not there before."""
        if encapsulated(before, self.service, self.site, name=name):
            return text
        return flip(text, self.service, self.site, "direct", name=name)

    @property
    def by_hand(self) -> str:
        """The command that takes the site out."""
        return f"ferryman inventory flip {self.service} --site {self.site} --to direct --write"


def flip(before: bytes, service: str, site: str, to: Encapsulation, *, name: str = "services.yaml") -> bytes:
    """The catalog with the site in the service's list (``ipip``) or not in it (``direct``).

    Raises:
        InventoryError: There is no such service or site, or no edit that is small and safe.
    """
    text, document = read(before, name)
    now = _listed(document, service, site)
    if (site in now) == (to == "ipip"):
        return before
    if to == "ipip":
        wanted = _with(now, site, sites_of(document, service, entry_of(document, service)))
    else:
        wanted = [name for name in now if name != site]
    after = ListEditor(text, document, service).edited(now, wanted)
    return encoded(after, like=before, was=text)


def encapsulated(content: bytes, service: str, site: str, *, name: str = "services.yaml") -> bool:
    """Whether the catalog says IPIP; raises InventoryError as ``flip`` does."""
    _, document = read(content, name)
    return site in _listed(document, service, site)


def _with(now: list[str], site: str, order: list[str]) -> list[str]:
    """The list with the site where the order of the service's sites has it, or behind all of another order.

    >>> _with(["codfw", "esams"], "eqiad", ["codfw", "eqiad", "esams"])
    ['codfw', 'eqiad', 'esams']
    >>> _with(["esams", "codfw"], "eqiad", ["codfw", "eqiad", "esams"])
    ['esams', 'codfw', 'eqiad']
    """
    known = [name for name in order if name in now]
    if known != now:
        return [*now, site]
    return [name for name in order if name in now or name == site]


def _listed(document: Document, service: str, site: str) -> list[str]:
    """The service's list as it stands; raises InventoryError when it has none that could be."""
    entry = entry_of(document, service)
    listed = names(document, (CATALOG_KEY, service, "lvs", FLAG), entry["lvs"].get(FLAG))
    known = sites_of(document, service, entry)
    if site not in listed and site not in known:
        raise not_there(document, service, site, known)
    return listed
