"""The change in the service catalog: one site in one flag."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, TypedDict

from ferryman.engine.steps import AlreadySo, Change, Report
from ferryman.errors import VerifyError
from ferryman.inventory.flip import Flip, flip, unified_diff
from ferryman.model import Edit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ferryman.cookbook.ferry import Ferry
    from ferryman.model import Service


class CatalogBefore(TypedDict):
    """The catalog as it was read."""

    sha256: str
    text: str


@dataclass(frozen=True)
class CatalogFlipped(Change[CatalogBefore]):
    """The catalog says IPIP for {service.name} at {service.site}."""

    ferry: Ferry
    service: Service

    @property
    def goes_back_first(self) -> bool:
        """Whether somebody follows it: to go back, they need a catalog that is back."""
        return self.ferry.follow_the_catalog(self.service)

    def check(self, report: Report) -> CatalogBefore | AlreadySo:
        """Read the catalog, and make sure that the flag can be flipped by its own lines alone."""
        del report
        flip = self.ferry.catalog.flipped(self.service.name, self.service.site, "ipip")
        if flip.after == flip.before:
            return AlreadySo(f"{self.ferry.catalog.path.name} lists {self.service.site} already")
        return CatalogBefore(sha256=sha256(flip.before).hexdigest(), text=flip.before.decode())

    def edits(self, before: CatalogBefore) -> Sequence[Edit]:
        """The diff of the catalog."""
        diff = self._flip(before).diff
        return [Edit("catalog", str(self.ferry.catalog.path), diff=diff)]

    def do(self, before: CatalogBefore) -> None:
        """Write the flag, if the catalog still is what was read."""
        flip = self._flip(before)
        if self.ferry.catalog.text() == flip.after:
            return
        self.ferry.catalog.write(flip.after, expected=flip.before)

    def verify(self, report: Report) -> None:
        """Read the flag back."""
        del report
        if not self.ferry.catalog.encapsulated(self.service.name, self.service.site):
            raise VerifyError(
                f"{self.ferry.catalog.path}: {self.service.name}: lvs.ipip_encapsulation does not list "
                f"{self.service.site} after it was written"
            )

    def undo(self, before: CatalogBefore) -> None:
        """Take the flag back: the very bytes, or the flag's lines alone where others have edited since."""
        catalog = self.ferry.catalog
        now, flip = catalog.text(), self._flip(before)
        if now == flip.after:
            catalog.write(flip.before, expected=now)
        elif catalog.encapsulated(self.service.name, self.service.site):
            back = catalog.flipped(self.service.name, self.service.site, "direct")
            catalog.write(back.after, expected=now)

    def edits_back(self, before: CatalogBefore) -> Sequence[Edit]:
        """The command that takes the flag back."""
        del before
        command = (
            f"ferryman inventory flip {self.service.name} --site {self.service.site} --to direct --write"
        )
        return [Edit("catalog", str(self.ferry.catalog.path), command=command)]

    def undone(self, before: CatalogBefore, report: Report) -> str | None:
        """Whether the flag is gone; edits that others made elsewhere in the file are theirs to keep."""
        del before, report
        if self.ferry.catalog.encapsulated(self.service.name, self.service.site):
            return f"{self.ferry.catalog.path}: still lists {self.service.site} for {self.service.name}"
        return None

    def _flip(self, before: CatalogBefore) -> Flip:
        catalog, text = self.ferry.catalog, before["text"].encode()
        after = flip(text, self.service.name, self.service.site, "ipip", name=catalog.path.name)
        return Flip(text, after, unified_diff(text, after, catalog.path.name))
