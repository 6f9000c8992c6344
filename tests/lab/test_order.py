"""Secondaries first, and nobody after one that is down or does not follow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ferryman.retry import poll_until
from lab.migration import RunOutput, forwarding, run_and_act, world
from lab.quick import configure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.running import RunningLab
from lab.silence import silenced

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]  # whole migrations, on a guest of one CPU

STATIC, MAPS = "10.99.0.3:8081", "10.99.0.2:8080"


@pytest.fixture(autouse=True)
def as_it_was(lab: RunningLab) -> Iterator[dict[str, str]]:
    """What the lab was like before the test; the test puts it back, and this says so if it did not."""
    before = world(lab)
    yield before
    lab.clear()
    assert poll_until(lambda: world(lab), lambda now: now == before, within_s=60) == before


def migrate(service: str) -> tuple[str, ...]:
    return ("migrate", service, "--site", "lab", "--yes")


def put_back(lab: RunningLab, output: RunOutput) -> None:
    """By another process, which waits until no connection of the first one needs a host route any more."""
    configure(lab.folder, {"directors": {"drain_timeout": 30}})
    done = lab.ferryman("rollback", str(output.events[0]["run"]))
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_director_that_does_not_follow_holds_the_run_before_the_primary(
    lab: RunningLab, as_it_was: dict[str, str]
) -> None:
    directors = lab.folder / "inventory" / "directors.yaml"
    impatient = "driver: keepalived\n      converge_timeout: 5\n"
    directors.write_text(directors.read_text().replace("driver: keepalived\n", impatient))
    stuck = run_and_act(
        lab, "The catalog says IPIP", lambda _: lab.put("director-frozen", "lvs2"), *migrate("maps")
    )
    assert (stuck.returncode, stuck.events[-1]["outcome"]) == (7, "held")
    for realserver in ("10.10.0.21", "10.10.0.22", "10.10.0.23"):
        assert (
            f"lvs2: reloaded twice, but the table did not follow within 5 s: tcp {MAPS}: {realserver}"
            in stuck.reason
        )
    assert forwarding(lab, "lvs1", MAPS) == {"-g"}
    lab.clear()
    put_back(lab, stuck)
    assert world(lab) == as_it_was


@pytest.mark.parametrize(
    ("dead", "when", "flipped"),
    [("lvs2", ("The catalog says IPIP", "do"), set()), ("lvs1", ("with lvs2 changed", "check"), {"lvs2"})],
)
def test_a_director_that_dies_holds_the_run_and_no_other_is_touched(
    lab: RunningLab, as_it_was: dict[str, str], dead: str, when: tuple[str, str], flipped: set[str]
) -> None:
    title, phase = when
    with silenced(lab, dead) as silence:
        held = run_and_act(lab, title, lambda _: silence(), *migrate("static"), phase=phase)
    assert (held.returncode, held.events[-1]["outcome"]) == (7, "held")
    assert dead in held.reason
    assert f"ferryman rollback {held.events[0]['run']}" in held.reason
    assert {
        director for director in ("lvs1", "lvs2") if forwarding(lab, director, STATIC) == {"-i"}
    } == flipped
    put_back(lab, held)
    assert world(lab) == as_it_was


def test_the_report_says_how_long_connections_from_before_lived_on(lab: RunningLab) -> None:
    completed = run_and_act(lab, "lvs2, secondary", lambda _: None, *migrate("static"), "--soak", "0")
    assert completed.returncode == 0
    drained = [event["seen"] for event in completed.events if event.get("check") == "old-connections"]
    assert len(drained) == 2
    assert all("connections from before: the last ended" in line for line in drained)
    put_back(lab, completed)
