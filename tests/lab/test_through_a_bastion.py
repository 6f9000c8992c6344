"""Migrations whose hosts are reached through the lab's bastion alone, with a key that an agent holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ferryman.lab import daemons
from lab.bastion import NAME, only_through_the_bastion
from lab.migration import DIRECTORS, events, forwarding, run_and_act

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.running import RunningLab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]  # whole migrations, on a guest of one CPU

STATIC = "10.99.0.3:8081"


@pytest.fixture(autouse=True)
def through_the_bastion(
    lab: RunningLab, old_world: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    with only_through_the_bastion(lab, monkeypatch):
        yield


def stop_bastion(lab: RunningLab) -> None:
    """Kill its sshd, and what serves its connections."""
    lab.console("rt", f"ip netns pids {NAME} | xargs -r kill -9")


def start_bastion(lab: RunningLab) -> None:
    lab.console(NAME, daemons.sshd_command(NAME))


def test_a_service_migrates_and_goes_back_through_the_bastion(lab: RunningLab) -> None:
    logins = "grep -c 'Accepted publickey' /lab/log/bastion.sshd || :"
    before = int(lab.console(NAME, logins))
    done = lab.ferryman("--output", "json", "migrate", "static", "--site", "lab", "--yes")
    assert done.returncode == 0, done.stderr
    assert [forwarding(lab, director, STATIC) for director in DIRECTORS] == [{"-i"}, {"-i"}]
    assert int(lab.console(NAME, logins)) == before + 1
    back = lab.ferryman("rollback", events(done)[0]["run"])
    assert back.returncode == 0, back.stdout + back.stderr


def test_a_bastion_that_dies_in_a_migration_holds_it_and_it_is_resumed_when_the_bastion_is_back(
    lab: RunningLab,
) -> None:
    stopped = run_and_act(
        lab,
        "lvs2",
        lambda _: stop_bastion(lab),
        *("migrate", "static", "--site", "lab", "--yes"),
    )
    try:
        assert stopped.returncode == 7, stopped.events[-1]
        assert f"jump host {NAME}" in stopped.reason
        for director in DIRECTORS:  # each in one of its two forms, whole
            assert forwarding(lab, director, STATIC) in ({"-g"}, {"-i"})
        refused = lab.ferryman("resume", stopped.run)
        assert refused.returncode in (3, 7), refused.stderr
    finally:
        start_bastion(lab)
    resumed = lab.ferryman("--output", "json", "resume", stopped.run)
    assert resumed.returncode == 0, resumed.stderr
    assert [forwarding(lab, director, STATIC) for director in DIRECTORS] == [{"-i"}, {"-i"}]
    back = lab.ferryman("rollback", stopped.run)
    assert back.returncode == 0, back.stdout + back.stderr
