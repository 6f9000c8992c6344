"""An OpenSSH server and sudo for a user without root, in a mount namespace: the machine's own files stay.

/etc is a copy there, /run, /home and /usr/local are empty; what is written goes with the namespace.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from ferryman.config import SshConfig
from ferryman.hosts import HostAddress
from ferryman.hosts.helper import render
from ferryman.hosts.ssh import Fleet
from ferryman.retry import poll_until
from lab.own_sshd import PATIENT_S, Server
from tools import PATH, require_tool, skip_or_fail

if TYPE_CHECKING:
    from pathlib import Path

    from ferryman.hosts.helper.needs import NeedsOf

USER = "ferry"
HOST = "rs1"
_PASSWD = f"root:x:0:0:root:/root:/bin/sh\n{USER}:x:4711:4711::/home/{USER}:/bin/sh\n"
_NOBODY = (
    "sshd:x:103:65534::/run/sshd:/usr/sbin/nologin\nnobody:x:65534:65534::/nonexistent:/usr/sbin/nologin\n"
)
_SHADOW = f"root:*:20000:0:99999:7:::\n{USER}:*:20000:0:99999:7:::\n"
_STAGE = """\
set -eu
mount -t tmpfs none "$1"
cp -a /etc "$1/etc"
mount --bind "$1/etc" /etc
for folder in /run /home /usr/local; do mount -t tmpfs -o mode=755 none "$folder"; done
mkdir -p /run/sshd /home/ferry /usr/local/sbin /etc/sudoers.d
rm -f /etc/sudoers.d/*
cat >/etc/passwd <"$2/passwd"
cat >/etc/shadow <"$2/shadow"
printf 'root:x:0:\\nferry:x:4711:\\nnogroup:x:65534:\\n' >/etc/group
cat >/etc/ferry_keys <"$2/authorized_keys"
chown 4711:4711 /home/ferry
install -m 755 "$2/helper" /usr/local/sbin/ferryman-host-helper
chmod 755 /etc
printf 'Defaults env_reset\\n@includedir /etc/sudoers.d\\n' >/etc/sudoers
install -m 440 "$2/sudoers" /etc/sudoers.d/ferryman
shift 2
exec "$@"
"""


class SudoServer(Server):
    """One sshd whose one user is not root; it has the helper, and all of sudo's lines for a director."""

    def make(self, keys: Path) -> None:
        """As any server, with the files of the namespace."""
        require_tool("sudo", package="sudo")
        if os.geteuid() != 0:
            skip_or_fail("a set-uid program in a mount namespace of its own needs root")
        super().make(keys)
        config = (self.folder / "sshd_config").read_text()
        config = config.replace(f"{self.folder}/authorized_keys", "/etc/ferry_keys")
        config = config.replace(f"SetEnv HOME={self.folder}/home\n", "")
        (self.folder / "sshd_config").write_text(config)
        (self.folder / "passwd").write_text(_PASSWD + _NOBODY)
        (self.folder / "shadow").write_text(_SHADOW)
        (self.folder / "helper").write_text(render.program())
        (self.folder / "sudoers").write_text(
            render.sudoers(USER, "director") + render.sudoers(USER, "realserver")
        )

    def start(self) -> None:
        """Start sshd there."""
        sshd = shutil.which("sshd", path=PATH)
        assert sshd is not None
        root = self.folder / "root"
        root.mkdir()
        stage = ["unshare", "--mount", "--propagation", "private", "sh", "-c", _STAGE, "stage"]
        command = [
            *stage,
            str(root),
            str(self.folder),
            sshd,
            "-D",
            "-e",
            "-f",
            str(self.folder / "sshd_config"),
        ]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stderr=log)
        if not poll_until(self._greets, bool, within_s=PATIENT_S, every_s=0.02):
            pytest.fail((self.folder / "log").read_text())

    def as_root(self, script: str) -> str:
        """What a script of root's prints there."""
        assert self.process is not None
        enter = ["nsenter", "--mount", "--target", str(self.process.pid), "sh", "-euc", script]
        return subprocess.run(enter, check=True, capture_output=True, text=True).stdout

    def sudoers(self, *lines: str) -> None:
        """Give sudo these lines and no others."""
        text = "".join(f"{line}\n" for line in lines)
        (self.folder / "sudoers").write_text(text)
        self.as_root(
            f"visudo -cqf {self.folder}/sudoers; install -m 440 {self.folder}/sudoers /etc/sudoers.d/ferryman"
        )

    def without_root(
        self, *, needs_of: NeedsOf = lambda _: {}, dry_run: bool = False, **ssh: object
    ) -> Fleet:
        """A fleet that logs in as the user and asks sudo."""
        settings = SshConfig.model_validate(
            {
                "user": USER,
                "sudo": True,
                "identity": self.identity,
                "known_hosts": self.known_hosts,
                "command_timeout": 20.0,
                **ssh,
            }
        )
        addresses = {HOST: HostAddress(HOST, "127.0.0.1", self.port)}
        made = Fleet(addresses, settings, dry_run=dry_run, needs_of=needs_of)
        self.fleets.append(made)
        return made
