"""A change of the catalog as a value: what it makes of a text, and how it is taken back."""

from __future__ import annotations

import difflib
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Edited:
    """A catalog before and after an edit; the same bytes when no change was needed."""

    before: bytes
    after: bytes
    diff: str
    """A unified diff, empty when nothing changes."""

    @classmethod
    def of(cls, before: bytes, after: bytes, name: str) -> Edited:
        """The two contents with their diff, under the file's name for people."""
        return cls(before, after, unified_diff(before, after, name))


class CatalogEdit(ABC):
    """One change of one service at one site, in whatever text the catalog has by then.

    Its ``str`` is what the catalog says once it is made: ``web: lvs.scheduler is mh``.
    """

    __slots__ = ()
    service: str
    site: str

    @property
    @abstractmethod
    def subject(self) -> str:
        """A line for people who review it: ``web: scheduler mh``."""

    @property
    @abstractmethod
    def subject_back(self) -> str:
        """A line for people who review its rollback."""

    @abstractmethod
    def made(self, text: bytes, *, name: str) -> bytes:
        """The text with the change and nothing else; the same bytes where it says so already.

        Raises:
            InventoryError: There is no such service or site, or no edit that is small and safe.
        """

    @abstractmethod
    def taken_back(self, text: bytes, before: bytes, *, name: str) -> bytes:
        """The text with this one thing as it was in ``before``, whatever others have edited since.

        Raises as ``made`` does.
        """

    @property
    def by_hand(self) -> str:
        """The command that takes it back; empty where there is none."""
        return ""


@dataclass(frozen=True, slots=True)
class TakenBack(CatalogEdit):
    """The rollback of an edit, as an edit: the one thing is as it was in the catalog from before."""

    edit: CatalogEdit
    before: bytes

    def __str__(self) -> str:
        return f"no longer {self.edit}"

    @property
    def service(self) -> str:  # type: ignore[override]
        """The service of the edit that is taken back."""
        return self.edit.service

    @property
    def site(self) -> str:  # type: ignore[override]
        """The site of the edit that is taken back."""
        return self.edit.site

    @property
    def subject(self) -> str:
        """The line for people who review the rollback of the edit."""
        return self.edit.subject_back

    @property
    def subject_back(self) -> str:
        """The line for people who review the edit made again."""
        return self.edit.subject

    def made(self, text: bytes, *, name: str) -> bytes:
        """The text with the edit taken back."""
        return self.edit.taken_back(text, self.before, name=name)

    def taken_back(self, text: bytes, before: bytes, *, name: str) -> bytes:  # noqa: ARG002  # it is the edit again
        """The text with the edit made again."""
        return self.edit.made(text, name=name)


def unified_diff(before: bytes, after: bytes, name: str) -> str:
    """What changed, as ``diff -u`` says it."""
    old, new = (_lines(content.decode("utf-8", "replace")) for content in (before, after))
    lines = difflib.unified_diff(old, new, f"a/{name}", f"b/{name}")
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    )


def _lines(text: str) -> list[str]:
    return [line for line in re.split(r"(?<=\n)", text) if line]
