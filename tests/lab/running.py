"""The lab that the tests share, as they see it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ferryman import lab
from ferryman.lab import LabPaths, faults

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

REPOSITORY = Path(__file__).parents[2]
RUN_S = 200.0


@dataclass(frozen=True, slots=True)
class RunningLab:
    """A lab that is up, with a configuration folder of its own."""

    folder: Path
    """Has ferryman.toml and an inventory that a test may change."""

    @property
    def place(self) -> LabPaths:
        """The paths of the lab's own files and sockets."""
        return LabPaths.of(self.folder)

    def console(self, host: str, script: str, *, timeout_s: float = 60.0) -> str:
        """What a script printed on a host, out of band."""
        return lab.console(self.place, host, script, timeout_s=timeout_s)

    def put(self, fault: str, host: str) -> None:
        """Put a fault in; the ``lab`` fixture takes it out after the test."""
        faults.put(self.place, fault, host)

    def clear(self) -> None:
        """Take every fault out of the lab."""
        faults.clear(self.place)

    def show(self, folder: Path) -> tuple[Path, str]:
        """Copy a folder to where the lab's hosts can read it: the copy, and its path there.

        Where the clone is, they may see nothing: they cover the machine's /root and /tmp, and the guest's
        user may not enter every folder.
        """
        shown = self.place.share / "shown" / folder.name
        shutil.rmtree(shown, ignore_errors=True)
        shutil.copytree(folder, shown, ignore=shutil.ignore_patterns("__pycache__"))
        for path in (shown.parent, shown, *shown.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        return shown, f"/lab/share/shown/{folder.name}"

    def run_in_control(
        self, argv: Sequence[str], *, stdin: str = "", timeout_s: float = RUN_S
    ) -> subprocess.CompletedProcess[str]:
        """Run a command where ferryman runs: it reaches the lab and nothing else."""
        return _run(lab.exec_argv(self.place, "control", argv), stdin, timeout_s, self.environment)

    def ferryman(
        self, *arguments: str, stdin: str = "", timeout_s: float = RUN_S, config: str = "ferryman.toml"
    ) -> subprocess.CompletedProcess[str]:
        """Run the command itself, with this lab's configuration or another one beside it."""
        command = [sys.executable, "-m", "ferryman", "--config", str(self.folder / config), *arguments]
        return _run(command, stdin, timeout_s, self.environment)

    @property
    def environment(self) -> Mapping[str, str]:
        """For the command itself."""
        return {**os.environ, "PYTHONPATH": str(REPOSITORY / "lib")}


def _run(
    command: Sequence[str], stdin: str, timeout_s: float, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout_s,
        env=environment,
    )
