"""The verb that does nothing but leave its holder's number on a host."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ferryman.hosts.verbs.verb import KIB, WriteVerb

if TYPE_CHECKING:
    from ferryman.hosts.completed import Completed


@dataclass(frozen=True)
class TakeOver(WriteVerb[None]):
    """Fences off the late commands of an earlier holder of the run: ``hosts/fence.py`` guards every write."""

    name = "take-over"
    limit = 64 * KIB
    script = ":"

    def parse(self, done: Completed) -> None:
        """Return when the host has the number."""
        done.checked()
