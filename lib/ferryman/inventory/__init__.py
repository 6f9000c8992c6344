"""The inventory: which services there are, with their realservers and directors.

Importing this reads no file and no pydantic; ``Inventory.load`` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.inventory.dns import Resolve
from ferryman.inventory.load import Inventory
from ferryman.inventory.needed import Needed
from ferryman.inventory.problems import Problem, Severity

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Inventory", "Needed", "Problem", "Resolve", "Severity", "lint"]


def lint(folder: Path) -> list[Problem]:
    """Every problem of the inventory in a folder, errors and warnings, by file and line."""
    from ferryman.inventory.linter import lint as lint_folder  # noqa: PLC0415  # pydantic stays out of start-up

    return lint_folder(folder)
