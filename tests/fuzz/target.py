"""What a parser of outside words is for the fuzzer: a function, real texts, and the words of its format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ferryman.errors import FerrymanError

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Target:
    """Something that reads what it does not control; whatever comes, it returns or raises a FerrymanError."""

    name: str
    read: Callable[[str], object]
    seeds: tuple[str, ...]
    """Real texts, or texts of the real form."""
    words: tuple[str, ...] = ()
    """Words of the format that the seeds may not have."""
    share: int = 5
    """Its part of all inputs; 1 where each takes some milliseconds, so that it does not take all the time."""
    refuses: type[Exception] = FerrymanError
    """What it raises at what it does not understand; another type where each caller is known to take that."""
