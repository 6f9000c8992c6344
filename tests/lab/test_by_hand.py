"""A run that is held or stranded says what to do by hand: typed as it stands, it does that."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lab.by_hand import typed
from lab.migration import DIRECTORS, catalog, forwarding, killed_at, require_world, run_and_act, world

if TYPE_CHECKING:
    from lab.migration import RunOutput
    from lab.running import RunningLab
from lab.silence import silenced

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]  # whole migrations, on a guest of one CPU

STATIC = "10.99.0.3:8081"
MIGRATE_STATIC, MIGRATE_MAPS = (
    ("migrate", service, "--site", "lab", "--yes") for service in ("static", "maps")
)
RESCHEDULE = ("scheduler", "migrate", "maps", "--site", "lab", "--to", "wrr", "--yes")
RUNS = {"ipvsadm": MIGRATE_STATIC, "keepalived": MIGRATE_MAPS, "scheduler": RESCHEDULE}


@pytest.fixture(params=RUNS.values(), ids=list(RUNS))
def run(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """The arguments of a run that changes directors: with each driver, and with another scheduler."""
    arguments: tuple[str, ...] = request.param
    return arguments


def require_closed_by_hand(lab: RunningLab, output: RunOutput, old: dict[str, str], *named: str) -> None:
    """What is told is typed; then all is as before, and a rollback closes the run."""
    assert set(named) <= typed(lab, output.reason), output.reason
    require_world(lab, old)
    closed = lab.ferryman("rollback", output.run)
    assert closed.returncode == 0, closed.stdout + closed.stderr
    assert world(lab) == old
    assert lab.ferryman("resume", output.run).returncode == 2, "it is over"


def test_a_run_that_is_held_is_put_back_by_hand(
    lab: RunningLab, old_world: dict[str, str], run: tuple[str, ...]
) -> None:
    with silenced(lab, "lvs1") as silence:
        held = run_and_act(lab, "with lvs2 changed", lambda _: silence(), *run, phase="check")
    assert held.returncode == 7, held.reason
    require_closed_by_hand(lab, held, old_world, "lvs2", str(catalog(lab)))


@pytest.mark.parametrize("host", DIRECTORS)
def test_what_a_silent_director_kept_from_a_rollback_is_put_back_by_hand(
    lab: RunningLab, old_world: dict[str, str], run: tuple[str, ...], host: str
) -> None:
    killed = run_and_act(
        lab, "nothing wrong for a while with lvs1", lambda process: process.kill(), *run, phase="check"
    ).run
    with silenced(lab, host) as silence:
        silence()
        stranded = run_and_act(lab, "", lambda _: None, "rollback", killed, phase="undo")
    assert stranded.returncode == 5, stranded.reason
    require_closed_by_hand(lab, stranded, old_world, host)


def test_a_rollback_that_others_stand_in_the_way_of_can_be_ended_by_hand(
    lab: RunningLab, old_world: dict[str, str]
) -> None:
    killed = killed_at(lab, "lvs1, primary", *MIGRATE_STATIC)
    lab.console("lvs2", f"ipvsadm -e -t {STATIC} -r 10.10.0.22:8081 -m -w 7")
    output = run_and_act(lab, "", lambda _: None, "rollback", killed, phase="undo")
    assert output.returncode in (0, 5), output.reason
    assert "lvs2" in output.reason
    assert "10.10.0.22" in output.reason
    assert forwarding(lab, "lvs1", STATIC) == {"-g"}
    if output.returncode == 5:
        require_closed_by_hand(lab, output, old_world, "lvs2")
    else:
        assert forwarding(lab, "lvs2", STATIC) == {"-g", "-m"}
        lab.console("lvs2", f"ipvsadm -e -t {STATIC} -r 10.10.0.22:8081 -g -w 1")
