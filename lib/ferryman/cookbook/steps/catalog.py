"""Changes in the service catalog's file in its place: one site in one flag, or another scheduler."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, TypedDict

from ferryman.catalog import Edited, Flipped, Rescheduled
from ferryman.cookbook.steps.git_catalog import CatalogMerged, ReschedulingMerged
from ferryman.directors.sed import edit_command
from ferryman.engine.steps import Change, NoChange, Report
from ferryman.errors import InventoryError, RefusedError, VerifyError
from ferryman.model import Edit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ferryman.catalog import CatalogEdit
    from ferryman.cookbook.context import Ferry
    from ferryman.directors import SetScheduler
    from ferryman.model import Service


def catalog_step(ferry: Ferry, service: Service) -> CatalogFlipped | CatalogMerged:
    """The change in the catalog that the configuration names: the file in place, or one under review."""
    kind = CatalogMerged if ferry.config.catalog.reviewed else CatalogFlipped
    return kind(ferry, service)


def scheduler_catalog_step(
    ferry: Ferry, service: Service, target: SetScheduler
) -> CatalogRescheduled | ReschedulingMerged:
    """The change in the catalog for another scheduler: in the file in place, or under review."""
    kind = ReschedulingMerged if ferry.config.catalog.reviewed else CatalogRescheduled
    return kind(ferry, service, target)


class CatalogBefore(TypedDict):
    """The catalog as it was read before the edit."""

    sha256: str
    text: str


@dataclass(frozen=True)
class CatalogEdited(Change[CatalogBefore]):
    """The catalog says {edit}."""

    ferry: Ferry
    service: Service

    @property
    @abstractmethod
    def edit(self) -> CatalogEdit:
        """The one change of the catalog that this step makes."""

    @property
    def undo_first(self) -> bool:
        """Whether others follow the catalog: their rollback needs the catalog restored first."""
        return self.ferry.follow_the_catalog(self.service)

    def check(self, report: Report) -> CatalogBefore | NoChange:
        """Read the catalog, and make sure that it can be edited by its own lines alone, by this user."""
        del report
        edited = self.ferry.catalog.edited(self.edit)
        if edited.after == edited.before:
            return NoChange(f"{self.ferry.catalog.path.name} says so already")
        self.ferry.catalog.require_writable()
        text = edited.before.decode(errors="surrogateescape")  # somebody else's entry need not be UTF-8
        return CatalogBefore(sha256=sha256(edited.before).hexdigest(), text=text)

    def edits(self, before: CatalogBefore) -> Sequence[Edit]:
        """The diff of the catalog that the step writes."""
        return [Edit("catalog", str(self.ferry.catalog.path), diff=self._edited(before).diff)]

    def do(self, before: CatalogBefore) -> Sequence[Edit]:
        """Write it, if the catalog still is what was read."""
        edited = self._edited(before)
        if self.ferry.catalog.text() == edited.after:
            return ()
        self.ferry.catalog.write(edited.after, expected=edited.before)
        return self.edits(before)

    def verify(self, report: Report) -> None:
        """Read it back: the edit has nothing left to do."""
        del report
        if self.ferry.catalog.edited(self.edit).diff:
            raise VerifyError(f"{self.ferry.catalog.path}: does not say {self.edit} after it was written")

    def undo(self, before: CatalogBefore) -> Sequence[Edit]:
        """Take it back: the original bytes, or its lines alone where others have edited since."""
        catalog = self.ferry.catalog
        now, edited = catalog.text(), self._edited(before)
        back = edited.before if now == edited.after else self._back(now, before)
        if back == now:
            return ()
        catalog.write(back, expected=now)
        diff = Edited.of(now, back, catalog.path.name).diff
        return [Edit("catalog", str(catalog.path), diff=diff)]

    def require_undoable(self, before: CatalogBefore, report: Report) -> None:
        """Check that the edit can be taken out of the text that the file has now."""
        del report
        try:
            self._back(self.ferry.catalog.text(), before)
        except InventoryError as error:
            raise RefusedError(
                f"{self.ferry.catalog.path}: {self.edit}: cannot be taken back: {error}"
            ) from error

    def effect_seen(self, before: CatalogBefore | None, report: Report) -> str | None:
        """What shows that the edit took effect: the catalog says it now, and did not before."""
        says = f"{self.ferry.catalog.path}: says {self.edit}"
        if before is not None:
            return says if self.diff_after_undo(before, report) else None
        return None if self.ferry.catalog.edited(self.edit).diff else says

    def undo_edits(self, before: CatalogBefore) -> Sequence[Edit]:
        """The command that takes it back: of ferryman itself, or one that edits the lines of the file."""
        path = self.ferry.catalog.path
        if self.edit.by_hand:
            return [Edit("catalog", str(path), command=self.edit.by_hand)]
        now = self.ferry.catalog.text()
        texts = [text.decode(errors="replace") for text in (now, self._back(now, before))]
        return [Edit("catalog", str(path), command=edit_command(str(path), *texts))]

    def diff_after_undo(self, before: CatalogBefore, report: Report) -> str | None:
        """What is not taken back yet; edits that others made elsewhere in the file stay."""
        del report
        now = self.ferry.catalog.text()
        if self._back(now, before) != now:
            return f"{self.ferry.catalog.path}: still says {self.edit}"
        return None

    def _edited(self, before: CatalogBefore) -> Edited:
        text, name = _content(before), self.ferry.catalog.path.name
        return Edited.of(text, self.edit.made(text, name=name), name)

    def _back(self, now: bytes, before: CatalogBefore) -> bytes:
        return self.edit.taken_back(now, _content(before), name=self.ferry.catalog.path.name)


def _content(before: CatalogBefore) -> bytes:
    """The catalog's bytes as they were read."""
    return before["text"].encode(errors="surrogateescape")


@dataclass(frozen=True)
class CatalogFlipped(CatalogEdited):
    """The catalog says IPIP for {service.name} at {service.site}."""

    @property
    def edit(self) -> CatalogEdit:
        """The site put into the service's list of sites on IPIP."""
        return Flipped(self.service.name, self.service.site)


@dataclass(frozen=True)
class CatalogRescheduled(CatalogEdited):
    """The catalog says scheduler {target} for {service.name}."""

    target: SetScheduler

    @property
    def edit(self) -> CatalogEdit:
        """Scheduler and flags of the service, at all its sites."""
        return Rescheduled(self.service.name, self.service.site, self.target.scheduler, self.target.flags)
