"""Cookbook files: found by folder, described without being run, imported one at a time.

``cookbooks/migrate.py`` is the command ``migrate``; ``cookbooks/mtu/rollout.py`` is ``mtu rollout``. What
``--help`` shows is taken from the syntax tree, so a cookbook that fails to import breaks no other.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ferryman.errors import ConfigError, UsageError
from ferryman.permissions import ENTER, READ, denied
from ferryman.trust import require_trusted, untrusted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from ferryman.cookbook.command import CookbookCommand


@dataclass(frozen=True, slots=True)
class CookbookFile:
    """A cookbook file, as it can be described without importing it."""

    name: str
    """The words of its command, with a space between them: ``mtu rollout``."""
    file: Path
    summary: str
    owner: str

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

    summary: str
    cookbooks: Mapping[str, CookbookFile]
    groups: Mapping[str, CookbookGroup]

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
    summary = ""
    for folder in folders:
        group = _read_folder(folder, ())
        cookbooks = {**group.cookbooks, **cookbooks}
        groups = {**group.groups, **groups}
        summary = summary or group.summary
    return CookbookGroup(summary, cookbooks, groups)


def _read_folder(folder: Path, words: tuple[str, ...]) -> CookbookGroup:
    cookbooks: dict[str, CookbookFile] = {}
    groups: dict[str, CookbookGroup] = {}
    summary = ""
    if obstacle := denied(folder, READ | ENTER):
        raise ConfigError(f"{folder}: cookbooks cannot be looked for there: {obstacle}")
    require_trusted(folder, "cookbooks")
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        name = path.stem.replace("_", "-")
        if path.name == "__init__.py":
            summary = _described(path)[0]
        elif path.suffix == ".py" and not path.name.startswith("_"):
            cookbooks[name] = CookbookFile(" ".join((*words, name)), path, *_described(path))
        elif path.is_dir() and not path.name.startswith(("_", ".")):
            group = _read_folder(path, (*words, name))
            if group.cookbooks or group.groups:
                groups[name] = group
    return CookbookGroup(summary, cookbooks, groups)


def _described(file: Path) -> tuple[str, str]:
    """The first line of the module's docstring, and the ``OWNER`` it names."""
    if reason := untrusted(file):
        return f"(is not trusted: {reason})", ""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return f"(cannot be read: {error})", ""
    doc = (ast.get_docstring(tree) or "").partition("\n")[0]
    return doc, _constant(tree, "OWNER")


def _constant(tree: ast.Module, name: str) -> str:
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=found)], value=ast.Constant(value=str(text))):
                if found == name:
                    return text
    return ""
