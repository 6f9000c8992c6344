"""Where cookbooks stand: found by folder, read without being run, imported one at a time.

``cookbooks/migrate.py`` is the command ``migrate``; ``cookbooks/mtu/rollout.py`` is ``mtu rollout``. What
``--help`` shows is taken from the syntax tree, so a cookbook that fails to import breaks no other.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ferryman.errors import UsageError

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
        """Import the file and hand out its command.

        Raises:
            UsageError: It cannot be imported, or does not declare exactly one cookbook; names file and line.
        """
        from ferryman.cookbook.loading import load  # noqa: PLC0415  # the steps come with it

        command = load(self.file)
        command.cookbook = self.name
        return command


@dataclass(frozen=True, slots=True)
class CookbookGroup:
    """A folder of cookbooks: a group of commands."""

    summary: str
    volumes: Mapping[str, CookbookFile]
    sections: Mapping[str, CookbookGroup]

    def all(self) -> Iterable[CookbookFile]:
        """Every cookbook below, in alphabetical order of its words."""
        here = [*self.volumes.values()]
        below = [volume for section in self.sections.values() for volume in section.all()]
        return sorted(here + below, key=lambda volume: volume.name)

    def find(self, name: str) -> CookbookFile:
        """The cookbook of this name.

        Raises:
            UsageError: There is none.
        """
        for volume in self.all():
            if volume.name == name:
                return volume
        raise UsageError(f"no cookbook {name!r}; `ferryman list` names those there are")


def read(folders: Iterable[Path]) -> CookbookGroup:
    """All cookbooks in these folders; of two with the same name the first folder's is taken."""
    volumes: dict[str, CookbookFile] = {}
    sections: dict[str, CookbookGroup] = {}
    summary = ""
    for folder in folders:
        section = _read_folder(folder, ())
        volumes = {**section.volumes, **volumes}
        sections = {**section.sections, **sections}
        summary = summary or section.summary
    return CookbookGroup(summary, volumes, sections)


def _read_folder(folder: Path, words: tuple[str, ...]) -> CookbookGroup:
    volumes: dict[str, CookbookFile] = {}
    sections: dict[str, CookbookGroup] = {}
    summary = ""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        name = path.stem.replace("_", "-")
        if path.name == "__init__.py":
            summary = _described(path)[0]
        elif path.suffix == ".py" and not path.name.startswith("_"):
            volumes[name] = CookbookFile(" ".join((*words, name)), path, *_described(path))
        elif path.is_dir() and not path.name.startswith(("_", ".")):
            section = _read_folder(path, (*words, name))
            if section.volumes or section.sections:
                sections[name] = section
    return CookbookGroup(summary, volumes, sections)


def _described(file: Path) -> tuple[str, str]:
    """The first line of the module's docstring, and the ``OWNER`` it names."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError) as error:
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
