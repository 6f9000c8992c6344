"""Cookbook files: found by folder, described without being run, imported one at a time.

``cookbooks/migrate.py`` is the command ``migrate``; ``cookbooks/mtu/rollout.py`` is ``mtu rollout``. What
``--help`` shows is taken from the syntax tree, so a cookbook that fails to import breaks no other; and a
command that shows none of them reads none.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from ferryman.errors import ConfigError, UsageError
from ferryman.permissions import ENTER, READ, denied
from ferryman.trust import require_trusted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from ferryman.cli.description import Description
    from ferryman.cookbook.command import CookbookCommand


@dataclass(frozen=True)
class CookbookFile:
    """A cookbook file, as it can be described without importing it."""

    name: str
    """The words of its command, with a space between them: ``mtu rollout``."""
    file: Path

    @property
    def summary(self) -> str:
        """Its one line of help."""
        return self._description.summary

    @property
    def owner(self) -> str:
        """Whose it is; empty where it does not say."""
        return self._description.owner

    @cached_property
    def _description(self) -> Description:
        return _description_of(self.file)

    def load(self) -> CookbookCommand:
        """Import the file and return its command.

        Raises:
            UsageError: It cannot be imported, or does not declare exactly one cookbook; names file and line.
            ConfigError: Somebody else may have written it; no line of it was executed.
        """
        require_trusted(self.file, "cookbook")
        for compiled in (self.file.parent / "__pycache__").glob(f"{self.file.stem}.*.pyc"):
            require_trusted(compiled, "cookbook")  # Python executes it in the place of the file
        from ferryman.cookbook.loading import load  # noqa: PLC0415  # the steps come with it

        command = load(self.file)
        command.cookbook = self.name
        return command


@dataclass(frozen=True, slots=True)
class CookbookGroup:
    """A folder of cookbooks: a group of commands."""

    cookbooks: Mapping[str, CookbookFile]
    groups: Mapping[str, CookbookGroup]
    file: Path | None = None
    """The ``__init__.py`` whose docstring is the group's help."""

    @property
    def summary(self) -> str:
        """Its one line of help; empty where nothing says it."""
        return "" if self.file is None else _description_of(self.file).summary

    def all(self) -> Iterable[CookbookFile]:
        """Every cookbook below, in alphabetical order of its words."""
        own = [*self.cookbooks.values()]
        below = [cookbook for group in self.groups.values() for cookbook in group.all()]
        return sorted(own + below, key=lambda cookbook: cookbook.name)

    def find(self, name: str) -> CookbookFile:
        """The cookbook of this name.

        Raises:
            UsageError: There is none.
        """
        for cookbook in self.all():
            if cookbook.name == name:
                return cookbook
        raise UsageError(f"no cookbook {name!r}; `ferryman list` names those there are")


def read(folders: Iterable[Path]) -> CookbookGroup:
    """All cookbooks in these folders; of two with the same name the first folder's is taken.

    Raises:
        ConfigError: A folder may not be looked into, or somebody else may put something there.
    """
    cookbooks: dict[str, CookbookFile] = {}
    groups: dict[str, CookbookGroup] = {}
    for folder in folders:
        group = _read_folder(folder, ())
        cookbooks = {**group.cookbooks, **cookbooks}
        groups = {**group.groups, **groups}
    return CookbookGroup(cookbooks, groups)


def _read_folder(folder: Path, words: tuple[str, ...]) -> CookbookGroup:
    cookbooks: dict[str, CookbookFile] = {}
    groups: dict[str, CookbookGroup] = {}
    about = None
    if obstacle := denied(folder, READ | ENTER):
        raise ConfigError(f"{folder}: cookbooks cannot be looked for there: {obstacle}")
    require_trusted(folder, "cookbooks")
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        name = path.stem.replace("_", "-")
        if path.name == "__init__.py":
            about = path
        elif path.suffix == ".py" and not path.name.startswith("_"):
            cookbooks[name] = CookbookFile(" ".join((*words, name)), path)
        elif path.is_dir() and not path.name.startswith(("_", ".")):
            group = _read_folder(path, (*words, name))
            if group.cookbooks or group.groups:
                groups[name] = group
    return CookbookGroup(cookbooks, groups, about)


def _description_of(file: Path) -> Description:
    from ferryman.cli.description import description_of  # noqa: PLC0415  # Python's syntax tree, for lists

    return description_of(file)
