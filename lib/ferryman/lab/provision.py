"""Provisions a lab before it boots: its keys, and the folder that its kernel sees."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from ferryman.errors import LabError
from ferryman.lab import ready, render, without_root, xstate
from ferryman.lab.engines import NOBODY
from ferryman.lab.topology.state import to_json
from ferryman.lab.topology.values import ROUTER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ferryman.lab.engines import Engine
    from ferryman.lab.paths import LabPaths
    from ferryman.lab.topology import Host, Topology

DOWNLOAD_BYTES = 4 << 20
KEPT_S = 5
"""Seconds after its last use that the connection to the router is kept."""
_SEED = 4
_SCRIPTS = Path(__file__).parent / "guest"
_SECRET = ("etc/shadow", "ssh_host_ed25519_key", "tls.pem")


def provision(
    paths: LabPaths, engine: Engine, lab: Topology, *, sudo: bool = False, cookbooks: Sequence[Path] = ()
) -> None:
    """Make the folder of a lab of this topology, which must not be there yet.

    With ``sudo``, its hosts have a user without root. ``cookbooks`` are for the lab's own ``ferryman.toml``.

    Raises:
        LabError: A program that it wants is not installed.
    """
    paths.root.mkdir(mode=0o711)
    paths.own.mkdir(mode=0o700)
    paths.share.mkdir(mode=0o700)
    authorized = _keys(paths, lab.hosts)
    private = {host.name: _host_key(paths, host.name).read_text() for host in lab.hosts}
    made = render.files(lab, private, authorized)
    for name, text in (without_root.files(made) if sudo else made).items():
        _write(paths.share / "files" / name, text)
    downloaded = random.Random(_SEED).randbytes(DOWNLOAD_BYTES)  # noqa: S311  # the same bytes in every lab
    (paths.share / "files/lab/download").write_bytes(downloaded)
    if any(service.encryption for service in lab.services):
        _write(paths.share / "files/lab/tls.pem", _certificate())
    _write(paths.share / "control", render.control_batch(lab))
    _write(paths.share / "modules", "\n".join(render.modules(lab)))
    _write(paths.share / "fstab", render.FSTAB)
    for script in _SCRIPTS.glob("*.sh"):
        shutil.copyfile(script, paths.share / script.name)
        (paths.share / script.name).chmod(0o755)
    if sudo:
        without_root.copy_programs(paths.share / "files")
    if engine == "guest":
        _guest_only(paths)
    paths.topology.write_text(to_json(lab))
    ready.write(paths, lab, cookbooks)


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


def _keys(paths: LabPaths, hosts: Sequence[Host]) -> str:
    """A key for the tool and one for each host, and what OpenSSH clients need; the tool's public key."""
    paths.host_keys.mkdir(mode=0o700)
    tools = _key(paths.identity)
    known = (
        f"{host.name},{host.address},{host.address6} {_key(_host_key(paths, host.name))}\n" for host in hosts
    )
    paths.known_hosts.write_text("".join(known))
    paths.ssh_config.write_text(_ssh_config(paths, hosts))
    return f"{tools}\n"


def _host_key(paths: LabPaths, host: str) -> Path:
    return paths.host_keys / f"{host}.key"


def _key(path: Path) -> str:
    """Make a key pair; the public one, as known_hosts has it."""
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, timeout=30)
    kind, key, _ = Path(f"{path}.pub").read_text().split()
    return f"{kind} {key}"


def _certificate() -> str:
    """A certificate for all services that speak TLS, signed by itself, with its key: nobody verifies it."""
    program = shutil.which("openssl")
    if program is None:
        raise LabError(
            "a service of this lab speaks TLS, and its certificate wants the program openssl (package "
            "openssl), which is not installed; `make setup-lab` installs it"
        )
    command = [program, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-days", "3650", "-subj", "/CN=lab", "-keyout", "-", "-out", "-"]
    made = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    if made.returncode != 0:
        raise LabError(f"a certificate for the lab could not be made: {made.stderr.strip()}")
    return made.stdout


def _ssh_config(paths: LabPaths, lab_hosts: Sequence[Host]) -> str:
    hosts = (f"Host {host.name}\n    HostName {host.address}\n" for host in lab_hosts)
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
    kept = f"Host {ROUTER.name}\n    ControlMaster auto\n    ControlPath {paths.kept_connection}\n"
    kept += f"    ControlPersist {KEPT_S}\n"
    return (
        "".join(hosts) + kept + "Host *\n" + "".join(f"    {key} {value}\n" for key, value in common.items())
    )
