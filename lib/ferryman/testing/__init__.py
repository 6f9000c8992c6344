"""For the tests of cookbooks and of the engine: worlds in memory, runs cut short, and third parties.

``FakeHosts`` answers the verbs of a run, and ``run_here`` runs the script of one in a real shell.
``FakeCluster`` is a cluster that makes its pods again.

``cut_everywhere`` and ``meddle_everywhere`` are the tests that every cookbook must pass. Whatever call to
the outside goes wrong, and however, the world must end as it was or as it was wanted, and the run must say
which; and whatever someone else changes meanwhile, "done" and "rolled back" are true, or are not said.
"""

from ferryman.hosts.fake import Call, FakeHosts, Printed
from ferryman.testing.cutting import cut_everywhere
from ferryman.testing.fake_cluster import FakeCluster
from ferryman.testing.fakes import (
    Becomes,
    Cut,
    Cuts,
    FakeWorld,
    Harness,
    Is,
    Killed,
    OwnPart,
    RecoveryCommand,
    Scene,
    ThirdParty,
    TurningClock,
    When,
)
from ferryman.testing.losing import lose_records_everywhere
from ferryman.testing.meddling import meddle_everywhere
from ferryman.testing.shell import run_here

__all__ = [
    "Becomes",
    "Call",
    "Cut",
    "Cuts",
    "FakeCluster",
    "FakeHosts",
    "FakeWorld",
    "Harness",
    "Is",
    "Killed",
    "OwnPart",
    "Printed",
    "RecoveryCommand",
    "Scene",
    "ThirdParty",
    "TurningClock",
    "When",
    "cut_everywhere",
    "lose_records_everywhere",
    "meddle_everywhere",
    "run_here",
]
