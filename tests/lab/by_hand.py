"""What a run that stopped in between tells people to do by hand, typed as it stands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ferryman.lab import topology
from lab.running import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.running import RunningLab

HEADING = re.compile(r"by hand, (on|in|for) (.+?):(?: .*)?$")


def blocks(reason: str) -> Iterator[tuple[str, str]]:
    """Where something is to be done by hand, and what: its lines, without the indent of the block."""
    where, lines = "", list[str]()
    for line in [*reason.splitlines(), ""]:
        if where and line.startswith("  "):
            lines.append(line.removeprefix("  "))
            continue
        if where:
            yield where, "".join(f"{line}\n" for line in lines)
        found = HEADING.fullmatch(line)
        where, lines = (found[2] if found else ""), []


def typed(lab: RunningLab, reason: str) -> set[str]:
    """Do what is told, block by block, each on the host that it names; the hosts and files named.

    What is to be done in a file is done on the control host, where the file is.
    """
    named = dict(blocks(reason))
    assert named, f"nothing to do by hand is told: {reason}"
    for where, script in named.items():
        if where in topology.DEFAULT.by_name:
            lab.console(where, script)
        else:
            assert Path(where).exists(), f"{where}: neither a host nor a file of the control host: {script}"
            _on_the_control_host(lab, script)
    return set(named)


def _on_the_control_host(lab: RunningLab, script: str) -> None:
    """As its operator has it: in the folder of the configuration, with the command on the path."""
    programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": programs, "PYTHONPATH": str(REPOSITORY / "lib")}
    done = subprocess.run(
        ["/bin/sh", "-e", "-s"],
        input=script,
        capture_output=True,
        text=True,
        check=False,
        cwd=lab.folder,
        env=environment,
    )
    assert done.returncode == 0, f"{script}: {done.stdout}{done.stderr}"
