"""The inventory: which services there are, who takes part in them, and the catalog's IPIP flag.

Importing this reads no file and no pydantic; ``Inventory.load`` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.inventory.catalog import SERVICES_FILE, Catalog
from ferryman.inventory.change import CatalogEdit, Edited, TakenBack
from ferryman.inventory.flip import Encapsulation, Flipped
from ferryman.inventory.git_catalog import GitCatalog
from ferryman.inventory.load import Inventory
from ferryman.inventory.problems import Problem, Severity
from ferryman.inventory.proposal import Proposal, Seen, Standing
from ferryman.inventory.reschedule import Rescheduled
from ferryman.inventory.resolve import Resolve

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
    "Seen",
    "Severity",
    "Standing",
    "TakenBack",
    "lint",
]


def lint(folder: Path) -> list[Problem]:
    """Every problem of the inventory in a folder, errors and warnings, by file and line."""
    from ferryman.inventory.soundness import lint as look  # noqa: PLC0415  # pydantic stays out of start-up

    return look(folder)
