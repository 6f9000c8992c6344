"""Which run it is, and why: what a run leaves outside of its journal says so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ferryman.state import RunRequest


@dataclass(frozen=True, slots=True)
class Provenance:
    """What people are told of a run where they meet its traces."""

    run: str = "unnamed"
    """Its id; known once it has begun."""
    operator: str = ""
    """Who began it."""
    reason: str = ""
    task: str = ""

    @classmethod
    def of(cls, order: RunRequest, run: str = "unnamed") -> Provenance:
        """What was said on the command line."""
        return cls(run, order.operator, order.reason, order.task)
