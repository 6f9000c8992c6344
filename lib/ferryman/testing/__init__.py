"""For the tests of cookbooks and of the engine: worlds in memory, runs cut short, and people who meddle.

``cut_everywhere`` and ``meddle_everywhere`` are the tests that every cookbook must stand. Whatever call to
the outside goes wrong, and however, the world must end as it was or as it was wanted, and the run must say
which; and whatever somebody else changes meanwhile, "done" and "rolled back" are true, or are not said.
"""

from ferryman.testing.cutting import cut_everywhere
from ferryman.testing.fakes import (
    Becomes,
    Cut,
    Cuts,
    FakeWorld,
    Harness,
    Is,
    Killed,
    Moment,
    OwnPart,
    Scene,
    ThirdParty,
    TurningClock,
    WayOn,
)
from ferryman.testing.losing import lose_records_everywhere
from ferryman.testing.meddling import meddle_everywhere

__all__ = [
    "Becomes",
    "Cut",
    "Cuts",
    "FakeWorld",
    "Harness",
    "Is",
    "Killed",
    "Moment",
    "OwnPart",
    "Scene",
    "ThirdParty",
    "TurningClock",
    "WayOn",
    "cut_everywhere",
    "lose_records_everywhere",
    "meddle_everywhere",
]
