"""The paths of one lab on the machine: a folder in memory, named after the configuration it belongs to.

Every checkout has a lab of its own. The name is made of the user and of the resolved path of the folder of
``ferryman.toml``; nothing else about a lab is global, so several may be up at once.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ferryman.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Iterator

OURS_ALONE = 0o700
PASSABLE = 0o711
"""The unprivileged user that runs the guest must get through to its share, and see nothing on the way."""
_USER = os.getuid()
"""Who runs this, asked before the lab is entered: in there every user is root."""


@dataclass(frozen=True, slots=True)
class LabPaths:
    """The folder of one lab: ``own`` is for the tool's eyes, ``share`` is what the lab's kernel sees."""

    root: Path

    @classmethod
    def of(cls, config_folder: Path) -> LabPaths:
        """The paths of the lab that belongs to the ``ferryman.toml`` in this folder; nothing is made.

        What a lab has written itself belongs to that lab.
        """
        folder, labs = config_folder.resolve(), _labs_folder(_USER)
        if labs.resolve() in folder.parents:
            return cls(labs / folder.relative_to(labs.resolve()).parts[0])
        name = hashlib.sha256(f"{_USER}:{folder}".encode()).hexdigest()[:12]
        return cls(labs / name)

    @property
    def own(self) -> Path:
        """Keys and state, which the lab's kernel cannot read when it runs as another user."""
        return self.root / "own"

    @property
    def share(self) -> Path:
        """What the lab's kernel reads and writes; what comes back from there is not to be trusted."""
        return self.root / "share"

    @property
    def identity(self) -> Path:
        """The private key that opens every host of the lab."""
        return self.own / "id_ed25519"

    @property
    def host_keys(self) -> Path:
        """The folder with the private keys of the hosts."""
        return self.own / "hosts"

    @property
    def known_hosts(self) -> Path:
        """The known_hosts file with the host keys that the lab was made with."""
        return self.own / "known_hosts"

    @property
    def ssh_config(self) -> Path:
        """The configuration for the OpenSSH client, with the lab's hosts by name."""
        return self.own / "ssh_config"

    @property
    def kept_connection(self) -> Path:
        """The socket of the SSH connection to the router that console commands share."""
        return self.own / "router"

    @property
    def owner(self) -> Path:
        """The file with the line of /proc/PID/stat of the process that holds the lab's namespaces."""
        return self.own / "holder"

    @property
    def ready(self) -> Path:
        """The file that exists from the end of ``lab up`` on, and says which engine runs."""
        return self.own / "ready.json"

    @property
    def topology(self) -> Path:
        """The JSON file with what the lab is made of."""
        return self.own / "topology.json"

    @property
    def configuration(self) -> Path:
        """The folder with an inventory of the lab as it booted, and a ``ferryman.toml`` for it."""
        return self.own / "ready"

    @property
    def configuration_file(self) -> Path:
        """The ``ferryman.toml`` that the lab has written for itself."""
        return self.configuration / "ferryman.toml"

    @property
    def faults(self) -> Path:
        """The JSON file that lists the faults which are active."""
        return self.own / "faults.json"

    @property
    def console_log(self) -> Path:
        """What the lab's kernel and the scripts before it say."""
        return self.own / "console.log"

    @contextmanager
    def locked(self) -> Iterator[int]:
        """Hold this lab alone, waiting for others; yields the lock's file descriptor."""
        while True:
            _private_folder(self.root.parent, PASSABLE if os.getuid() == 0 else OURS_ALONE)
            descriptor = self._lock()
            if descriptor is not None:
                break
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def remove_lock(self) -> None:
        """Take the lock's file away while holding it; and the folder of all labs, when this was the last."""
        self._lock_path.unlink(missing_ok=True)
        with suppress(OSError):  # another lab lives there
            self.root.parent.rmdir()

    @property
    def _lock_path(self) -> Path:
        return self.root.with_suffix(".lock")

    def _lock(self) -> int | None:
        """The lock, or None when its file was taken away meanwhile."""
        try:
            descriptor = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except FileNotFoundError:
            return None
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        try:
            if os.path.samestat(os.fstat(descriptor), self._lock_path.lstat()):
                return descriptor
        except FileNotFoundError:
            pass
        os.close(descriptor)
        return None


def _labs_folder(uid: int) -> Path:
    if uid == 0:
        return Path("/run/ferryman-lab")
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime and Path(runtime).is_dir():
        return Path(runtime) / "ferryman-lab"
    return Path(f"/tmp/ferryman-lab-{uid}")  # noqa: S108  # made private and its owner checked below


def _private_folder(folder: Path, mode: int) -> None:
    """Make the folder if it is not there; refuse one that another user made."""
    with suppress(FileExistsError):
        folder.mkdir(mode=mode)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise LabError(f"{folder}: is not a folder of user {os.getuid()}; remove it and try again")
    if stat.S_IMODE(found.st_mode) != mode:
        folder.chmod(mode)
