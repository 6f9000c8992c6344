"""What became of a scenario, as values that the screen and the reports read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

Tell = Callable[[str, str], None]
"""Takes the name of a scenario, and a line about it for people."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was done, or compared, in a scenario."""

    what: str
    failed: bool = False
    expected: str = ""
    seen: str = ""
    after_s: float = 0.0
    """Seconds since the scenario began."""

    def __str__(self) -> str:
        if not self.failed:
            return self.what + (f": {self.seen}" if self.seen else "")
        return f"FAILED {self.what}: expected {self.expected}; seen {self.seen}"


@dataclass(slots=True)
class Result:
    """A scenario that was played."""

    name: str
    path: Path
    title: str
    lab: str = ""
    steps: list[Step] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    """The events of all of its commands, in order."""
    seconds: float = 0.0
    booted_s: float = 0.0
    """Seconds of these that the lab took to boot."""
    peak_mib: float | None = None
    """The most memory that the lab's guest had during the scenario; None where it has no guest."""

    @property
    def failures(self) -> list[Step]:
        """The steps that did not go as expected."""
        return [step for step in self.steps if step.failed]

    @property
    def passed(self) -> bool:
        """Whether everything went as expected."""
        return bool(self.steps) and not self.failures
