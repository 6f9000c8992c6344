"""Another scheduler for a service: ``lvs.scheduler`` and ``lvs.scheduler_flag``, and not one other byte.

With the flip's guarantees: the text is edited in place, in the style that it is written in; the result is
parsed again and must say what the original said in every other respect; what has no small and safe edit is
refused. A key that was not there before is taken out again by the rollback, with its line.

Unlike the flip's list, both keys count for every site of the service.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ferryman.catalog.yaml_edit.change import CatalogEdit
from ferryman.catalog.yaml_edit.lookup import encoded, entry_of, not_there, read, sites_of
from ferryman.catalog.yaml_edit.scalar import ValueEditor

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ferryman.catalog.yaml_edit.editor import Value
    from ferryman.inventory.document import Document

SCHEDULER, FLAGS = "scheduler", "scheduler_flag"
DEFAULT = "wrr"
"""What a service without a scheduler has."""
_ABOVE = ("protocol", "monitors", "enabled", "depool_threshold", "conftool", "class")
"""A new scheduler goes below the first of these that is there, where catalogs have it."""


@dataclass(frozen=True, slots=True)
class Rescheduled(CatalogEdit):
    """The service has this scheduler, with these flags."""

    service: str
    site: str
    scheduler: str
    flags: tuple[str, ...] = ()

    def __str__(self) -> str:
        flags = ",".join(self.flags) or "none"
        return f"{self.service}: lvs.{SCHEDULER} is {self.scheduler}, lvs.{FLAGS} {flags}"

    @property
    def subject(self) -> str:
        """The commit's first line when the scheduler is set."""
        return f"{self.service}: scheduler {' '.join((self.scheduler, *self.flags))}"

    @property
    def subject_back(self) -> str:
        """The commit's first line when the scheduler is as before again."""
        return f"{self.service}: no longer scheduler {' '.join((self.scheduler, *self.flags))}"

    def made(self, text: bytes, *, name: str) -> bytes:
        """The text with this scheduler and these flags."""
        return self._with(text, {SCHEDULER: self.scheduler, FLAGS: ",".join(self.flags) or None}, name)

    def taken_back(self, text: bytes, before: bytes, *, name: str) -> bytes:
        """The text with scheduler and flags as they stood in ``before``."""
        lvs = self._lvs(read(before, name)[1])
        return self._with(text, {SCHEDULER: lvs.get(SCHEDULER), FLAGS: lvs.get(FLAGS)}, name)

    def other_sites(self, text: bytes, *, name: str) -> list[str]:
        """The sites, other than this one, that the change counts for too."""
        _, document = read(text, name)
        sites = sites_of(document, self.service, entry_of(document, self.service))
        return [site for site in sites if site != self.site]

    def _with(self, content: bytes, wanted: Mapping[str, Value], name: str) -> bytes:
        """One key after the other: each edit is proven to change its own key alone."""
        text, document = read(content, name)
        edited = text
        for key, value in wanted.items():
            lvs = self._lvs(document)
            edit = ValueEditor(edited, document, self.service, key, _MEANING[key])
            if edit.says(lvs, value):
                continue
            edited = edit.edited(value, default=_DEFAULTS[key], beside=_BESIDE[key])
            _, document = read(encoded(edited, like=b"", was=""), name)
        return encoded(edited, like=content, was=text)

    def _lvs(self, document: Document) -> dict[str, Any]:
        entry = entry_of(document, self.service)
        known = sites_of(document, self.service, entry)
        if self.site not in known:
            raise not_there(document, self.service, self.site, known)
        lvs: dict[str, Any] = entry["lvs"]
        return lvs


def _scheduler_meant(value: object) -> object:
    return DEFAULT if value is None else value


def _flags_meant(value: object) -> object:
    """A flag is written as a string, with commas as ipvsadm has them, or as a list."""
    words = value.split(",") if isinstance(value, str) else value or []
    if not isinstance(words, list):
        return value
    return sorted(str(word).strip() for word in words if str(word).strip())


_MEANING = {SCHEDULER: _scheduler_meant, FLAGS: _flags_meant}
_DEFAULTS: dict[str, str | list[str]] = {SCHEDULER: DEFAULT, FLAGS: []}
_BESIDE = {SCHEDULER: _ABOVE, FLAGS: (SCHEDULER,)}
