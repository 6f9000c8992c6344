"""The guide's example as a migration with tape and scenario: its commands, typed as they stand."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from lab.migration import require_world
from unit.cookbooks.test_guide import CHANGE, PAGE, SCENARIO, written

if TYPE_CHECKING:
    from pathlib import Path

    from lab.running import RunningLab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]
(COMMANDS,) = re.findall(r"```sh\n(ferryman lab up\n.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def typed(folder: Path, script: str) -> subprocess.CompletedProcess[str]:
    """What a shell makes of it, in the lab's own folder."""
    ferryman = f'ferryman() {{ {sys.executable} -m ferryman --config "{folder}/ferryman.toml" "$@"; }}\n'
    return subprocess.run(
        ["/bin/sh", "-ec", ferryman + script],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=250,
    )


@pytest.fixture
def with_example(lab: RunningLab) -> RunningLab:
    """The lab, with the page's cookbook in a folder of its own."""
    (lab.folder / "cookbooks").unlink()
    written(lab.folder, CHANGE)
    return lab


def test_its_runs_leave_tapes_that_replay_and_turn_red_when_it_writes_something_else(
    with_example: RunningLab, old_world: dict[str, str]
) -> None:
    folder = with_example.folder
    played = COMMANDS.replace("ferryman lab up\n", "")
    done = typed(folder, played)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()[-2:]] == ["equal", "equal"]
    require_world(with_example, old_world)
    name, text = CHANGE
    (folder / name).write_text(text.replace('"-w 0", rule)', '"-w 1", rule)'))
    red = typed(folder, "ferryman replay tests/tapes")
    assert red.returncode == 8, red.stdout + red.stderr
    assert red.stdout.count("different") == 2


def test_its_scenario_passes(with_example: RunningLab) -> None:
    folder = with_example.folder
    scenario = written(folder, SCENARIO)
    done = typed(folder, f"ferryman rehearse {scenario}")
    assert done.returncode == 0, done.stdout + done.stderr
