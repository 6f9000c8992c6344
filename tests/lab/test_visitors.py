"""Others come and go while a run is under way, is killed, and is taken back: they take nothing from it."""

from __future__ import annotations

import json
import sys
from subprocess import PIPE, Popen
from typing import TYPE_CHECKING

import pytest

from ferryman.retry import poll_until
from lab.migration import DIRECTORS, SETTLED_S, forwarding, world
from lab.torture.cutter import Cut
from lab.torture.test_torture import torture_lab
from lab.torture.torture_lab import environment
from lab.torture.trial_runner import make
from lab.torture.trials import QUICK_HEARTBEAT_S, Trial
from lab.visitors import ALL, Guests, Visitors

if TYPE_CHECKING:
    from lab.running import RunningLab
    from lab.torture.torture_lab import TortureLab
    from lab.torture.trial_runner import Outcome

__all__ = ["torture_lab"]

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]  # whole migrations, on a guest of one CPU

SOAK_S = 4.0
"""Visitors come and go in it, and the lease is renewed."""
ONCE_LVS1_HAS_CHANGED = Cut(kind="traffic", nth=2)
"""Requests are made before the first change, and with each director changed."""
GUESTS = [*(Guests(kinds=(kind,)) for kind in ALL), Guests(at_once=2)]


def visited(torture_lab: TortureLab, guests: Guests, *cuts: Cut) -> Outcome:
    trial = Trial("visited", "static", "old", cuts, ("rollback",), guests, SOAK_S, QUICK_HEARTBEAT_S)
    outcome = make(torture_lab, trial)
    assert sum(outcome.visits.values()) > 0
    assert outcome.wrong == []
    return outcome


@pytest.mark.parametrize("guests", GUESTS, ids=lambda guests: f"{'-'.join(guests.kinds)}-{guests.at_once}")
def test_a_run_that_is_killed_while_others_come_and_go_goes_back_whole(
    torture_lab: TortureLab, guests: Guests
) -> None:
    outcome = visited(torture_lab, guests, ONCE_LVS1_HAS_CHANGED)
    assert outcome.end == "all-old"
    assert outcome.commands[0].status == -9
    assert outcome.commands[-1].status == 0


def test_a_run_ends_done_and_is_taken_back_while_others_come_and_go(torture_lab: TortureLab) -> None:
    assert visited(torture_lab, Guests(at_once=2)).end == "all-new"
    back = make(
        torture_lab, Trial("visited", "static", "new", (), ("rollback",), Guests(2), 0, QUICK_HEARTBEAT_S)
    )
    assert (back.end, back.wrong) == ("all-old", [])


def test_two_runs_side_by_side_with_visitors_of_both_end_right(
    lab: RunningLab, old_world: dict[str, str]
) -> None:
    with Visitors(lab, "static", Guests()) as on_static, Visitors(lab, "maps", Guests()) as on_maps:
        runs = [begun(lab, service) for service in ("static", "maps")]
        outputs = [running.communicate(timeout=200) for running in runs]
    assert [running.returncode for running in runs] == [0, 0], outputs
    for stdout, _ in outputs:
        back = lab.ferryman("rollback", json.loads(stdout.splitlines()[0])["run"])
        assert back.returncode == 0, back.stdout + back.stderr
    assert on_static.wrong + on_maps.wrong == []
    vips = ("10.99.0.3:8081", "10.99.0.2:8080")
    assert [forwarding(lab, host, vip) for host in DIRECTORS for vip in vips] == [{"-g"}] * 4
    assert poll_until(lambda: world(lab), lambda now: now == old_world, within_s=SETTLED_S) == old_world


def begun(lab: RunningLab, service: str) -> Popen[str]:
    """Begin a migration that renews its lease often; return its process."""
    calls, config = str(lab.folder / f"{service}.calls"), str(lab.folder / "ferryman.toml")
    command = [sys.executable, "-m", "lab.torture.cutter", calls, "null", str(QUICK_HEARTBEAT_S)]
    options = ["--config", config, "--output", "json"]
    return Popen(
        [*command, *options, "migrate", service, "--site", "lab", "--yes", "--soak", str(SOAK_S)],
        stdout=PIPE,
        stderr=PIPE,
        text=True,
        env=environment(),
    )
