"""The inventory: which services there are, who takes part in them, and the catalog's IPIP flag.

Importing this reads no file and no pydantic; ``Inventory.load`` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.catalog.file import SERVICES_FILE, Catalog
from ferryman.catalog.flip import Encapsulation, Flipped
from ferryman.catalog.reschedule import Rescheduled
from ferryman.catalog.review.branch import GitCatalog
from ferryman.catalog.review.proposal import Proposal, ReviewStatus, Seen
from ferryman.catalog.yaml_edit.change import CatalogEdit, Edited, TakenBack
from ferryman.inventory.dns import Resolve
from ferryman.inventory.load import Inventory
from ferryman.inventory.problems import Problem, Severity

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "SERVICES_FILE",
    "Catalog",
    "CatalogEdit",
    "Edited",
    "Encapsulation",
    "Flipped",
    "GitCatalog",
    "Inventory",
    "Problem",
    "Proposal",
    "Rescheduled",
    "Resolve",
    "ReviewStatus",
    "Seen",
    "Severity",
    "TakenBack",
    "lint",
]


def lint(folder: Path) -> list[Problem]:
    """Every problem of the inventory in a folder, errors and warnings, by file and line."""
    from ferryman.inventory.linter import lint as look  # noqa: PLC0415  # pydantic stays out of start-up

    return look(folder)
