"""A user without root's rights at the lab's control host, with folders and files of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ferryman.lab import exec_argv
from lab.running import REPOSITORY, RUN_S
from ordinary_user import argv_of_user, argv_where_shown, give

if TYPE_CHECKING:
    from pathlib import Path

    from lab.running import RunningLab


@dataclass(frozen=True)
class ControlUser:
    """Runs Ferryman in the lab's control namespace as an ordinary user, configured in ``home``."""

    lab: RunningLab
    home: Path

    @classmethod
    def moved_in(cls, lab: RunningLab, home: Path) -> ControlUser:
        """With a copy of the lab's configuration, key and known_hosts, which are theirs."""
        key, known = lab.place.identity, lab.place.known_hosts
        shutil.copyfile(key, home / key.name)
        (home / key.name).chmod(0o600)
        shutil.copyfile(known, home / known.name)
        shutil.copytree(lab.folder / "inventory", home / "inventory")
        text = (lab.folder / "ferryman.toml").read_text()
        for old, new in (
            ("lab = true", "lab = false"),
            ("[ssh]", f'[ssh]\nidentity = "{key.name}"\nknown_hosts = "{known.name}"'),
            ('cookbooks = ["cookbooks"]', f'cookbooks = ["{REPOSITORY / "cookbooks"}"]'),
        ):
            assert old in text
            text = text.replace(old, new)
        (home / "ferryman.toml").write_text(text)
        give(home)
        return cls(lab, home)

    @property
    def catalog(self) -> Path:
        """The service catalog of this user's own configuration."""
        return self.home / "inventory" / "services.yaml"

    def ferryman(
        self, *arguments: str, capability: bool = True, python: str = sys.executable
    ) -> subprocess.CompletedProcess[str]:
        """Run the command, with CAP_NET_RAW and nothing else of root's rights, or without that too."""
        command = [python, "-m", "ferryman", "--config", str(self.home / "ferryman.toml"), *arguments]
        return self._run(argv_of_user(command, beside=self._beside, capability=capability))

    def by_root(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command as root, who can become this user by it."""
        return self._run(argv_where_shown([*command], beside=self._beside))

    @property
    def _beside(self) -> Path:
        return self.home.with_name("shown")

    def _run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            exec_argv(self.lab.place, "control", command),
            capture_output=True,
            text=True,
            check=False,
            timeout=RUN_S,
            cwd=self.home,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY / "lib"), "HOME": str(self.home)},
        )
