"""What of an inventory a run has asked for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Needed:
    """A service at a site that was asked for, and which realservers were meant; none: those of its pool."""

    service: str
    site: str
    only: tuple[str, ...] = ()
