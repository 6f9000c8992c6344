"""Provisions a lab before it boots: its keys, and the folder that its kernel sees."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from ferryman.lab import render, topology, without_root, xstate
from ferryman.lab.engines import NOBODY

if TYPE_CHECKING:
    from ferryman.lab.engines import Engine
    from ferryman.lab.paths import LabPaths

DOWNLOAD_BYTES = 4 << 20
KEPT_S = 5
"""Seconds after its last use that the connection to the router is kept."""
_SEED = 4
_SCRIPTS = Path(__file__).parent / "guest"
_SECRET = ("etc/shadow", "ssh_host_ed25519_key")


def provision(paths: LabPaths, engine: Engine, *, sudo: bool = False) -> None:
    """Make the lab's folder, which must not be there yet; with ``sudo``, with a user without root."""
    paths.root.mkdir(mode=0o711)
    paths.own.mkdir(mode=0o700)
    paths.share.mkdir(mode=0o700)
    authorized = _keys(paths, [host.name for host in topology.HOSTS])
    private = {host.name: (paths.own / host.name).read_text() for host in topology.HOSTS}
    made = render.files(private, authorized)
    for name, text in (without_root.files(made) if sudo else made).items():
        _write(paths.share / "files" / name, text)
    downloaded = random.Random(_SEED).randbytes(DOWNLOAD_BYTES)  # noqa: S311  # the same bytes in every lab
    (paths.share / "files/lab/download").write_bytes(downloaded)
    _write(paths.share / "control", render.control_batch())
    _write(paths.share / "modules", "\n".join(render.MODULES))
    _write(paths.share / "fstab", render.FSTAB)
    for script in _SCRIPTS.glob("*.sh"):
        shutil.copyfile(script, paths.share / script.name)
        (paths.share / script.name).chmod(0o755)
    if sudo:
        without_root.copy_programs(paths.share / "files")
    if engine == "guest":
        _guest_only(paths)


def _guest_only(paths: LabPaths) -> None:
    (paths.share / "uml").mkdir()
    if xstate.is_too_large(Path("/proc/cpuinfo").read_text()):
        xstate.build(paths.share / "xstate.so")
    for folder in ("bin", "files/usr/bin"):  # for the first stage, and over the set-uid ones ever after
        (paths.share / folder).mkdir(parents=True, exist_ok=True)
        for name in ("mount", "umount"):
            program = paths.share / folder / name
            shutil.copyfile(f"/bin/{name}", program)
            program.chmod(0o755)
    if os.getuid() == 0:
        for folder, _, names in os.walk(paths.share):
            os.chown(folder, NOBODY, NOBODY)
            for name in names:
                os.chown(Path(folder) / name, NOBODY, NOBODY)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    if str(path).endswith(_SECRET):
        path.chmod(0o600)


def _keys(paths: LabPaths, hosts: list[str]) -> str:
    """A key for the tool and one for each host, and what OpenSSH clients need; the tool's public key."""
    public = {name: _key(paths.own / name) for name in (paths.identity.name, *hosts)}
    known = (f"{host.name},{host.address},{host.address6} {public[host.name]}\n" for host in topology.HOSTS)
    paths.known_hosts.write_text("".join(known))
    paths.ssh_config.write_text(_ssh_config(paths))
    return f"{public[paths.identity.name]}\n"


def _key(path: Path) -> str:
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, timeout=30)
    kind, key, _ = path.with_suffix(".pub").read_text().split()
    return f"{kind} {key}"


def _ssh_config(paths: LabPaths) -> str:
    hosts = (f"Host {host.name}\n    HostName {host.address}\n" for host in topology.HOSTS)
    common = {
        "User": "root",
        "IdentityFile": paths.identity,
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "UserKnownHostsFile": paths.known_hosts,
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
        "BatchMode": "yes",
        "KexAlgorithms": "curve25519-sha256",
        "ConnectTimeout": 5,
        "ServerAliveInterval": 5,
        "ServerAliveCountMax": 2,
        "LogLevel": "ERROR",
    }
    kept = f"Host {topology.ROUTER.name}\n    ControlMaster auto\n    ControlPath {paths.kept_connection}\n"
    kept += f"    ControlPersist {KEPT_S}\n"
    return (
        "".join(hosts) + kept + "Host *\n" + "".join(f"    {key} {value}\n" for key, value in common.items())
    )
