"""A user without root on every host of a lab, with sudo and the helper."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from ferryman.errors import LabError
from ferryman.hosts.helper import render as helper
from ferryman.hosts.verbs.sudo import HELPER

if TYPE_CHECKING:
    from collections.abc import Iterator

USER = "ferry"
_ID = 4711
_SUDO = Path("/usr/bin/sudo")
_PARTS = Path("/usr/libexec/sudo")
_SCRIPT = "lab/without_root.sh"
_OWN = f"""\
mkdir -p /home/{USER} /etc/ferryman
chown {_ID}:{_ID} /home/{USER}
chown 0:0 / /etc /usr /usr/local /usr/local/sbin
chmod 755 {HELPER}
chmod 440 /etc/sudoers
chmod 4755 {_SUDO}
"""
"""Run by the second stage. In the guest the machine's files belong to nobody: sudo and the helper take none
of which root is not the owner, and a copy has no set-uid bit."""


def files(made: dict[str, str]) -> dict[str, str]:
    """What a lab's files are with that user, out of what they are without."""
    sudoers = helper.sudoers(USER, "director") + helper.sudoers(USER, "realserver")
    return {
        **made,
        "etc/passwd": f"{made['etc/passwd']}{USER}:x:{_ID}:{_ID}::/home/{USER}:/bin/sh\n",
        "etc/shadow": f"{made['etc/shadow']}{USER}:*:20000:0:99999:7:::\n",
        "etc/group": f"{made['etc/group']}{USER}:x:{_ID}:\n",
        "etc/sudoers": f"Defaults env_reset\n{sudoers}",
        "etc/sudo.conf": "",
        HELPER.lstrip("/"): helper.program(),
        _SCRIPT: _OWN,
    }


def copy_programs(root: Path) -> None:
    """Copy sudo, whose owner must be root, to where the lab's own files are.

    Raises:
        LabError: It is not installed.
    """
    if not _SUDO.exists():
        raise LabError(
            f"the lab wants {_SUDO} (package sudo), which is not installed; `make setup-lab` installs it"
        )
    for program in (_SUDO, *_libraries()):
        copy = root / program.relative_to("/")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(program, copy)
        copy.chmod(0o755)


def _libraries() -> Iterator[Path]:
    yield from (path for path in _PARTS.iterdir() if path.is_file())
