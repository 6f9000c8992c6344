"""The service catalog: its file, edits of its own lines alone, and changes that people review."""

from ferryman.catalog.file import SERVICES_FILE, Catalog
from ferryman.catalog.flip import Encapsulation, Flipped
from ferryman.catalog.reschedule import Rescheduled
from ferryman.catalog.review.branch import GitCatalog
from ferryman.catalog.review.proposal import Proposal, ReviewState, ReviewStatus
from ferryman.catalog.yaml_edit.change import CatalogEdit, Edited, TakenBack

__all__ = [
    "SERVICES_FILE",
    "Catalog",
    "CatalogEdit",
    "Edited",
    "Encapsulation",
    "Flipped",
    "GitCatalog",
    "Proposal",
    "Rescheduled",
    "ReviewState",
    "ReviewStatus",
    "TakenBack",
]
