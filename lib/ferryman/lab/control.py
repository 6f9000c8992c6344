"""Ways into a lab that is up: this process, a command, a shell on a host, the console behind all of them."""

from __future__ import annotations

import shlex
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ferryman.errors import LabError
from ferryman.lab.machine import require, topology_of
from ferryman.lab.topology import CONTROL, ROUTER

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ferryman.lab.paths import LabPaths

CONSOLE_S = 30.0


@dataclass(frozen=True, slots=True)
class LabAccess:
    """What opens the lab's hosts: the tool's key, their keys, and both as a file for the OpenSSH client."""

    identity: Path
    known_hosts: Path
    ssh_config: Path


def enter(paths: LabPaths) -> LabAccess:
    """Take this process into the control namespace of the lab that is up; twice is harmless.

    From then on it cannot reach any network but the lab's. It must be called before any thread is started.
    An ordinary user becomes root of the lab's user namespace: ask who the operator is before.

    Raises:
        LabError: There is no lab, or it cannot be entered.
    """
    require(paths).enter()
    return LabAccess(paths.identity, paths.known_hosts, paths.ssh_config)


def exec_argv(paths: LabPaths, host: str, command: Sequence[str]) -> list[str]:
    """The command that runs a command, or a shell, on one of the lab's hosts or in the control namespace.

    Raises:
        LabError: There is no lab, or no such host.
    """
    prefix = require(paths).command_prefix()
    if host == CONTROL:
        return [*prefix, *(command or ["/bin/sh"])]
    lab = topology_of(paths)
    if host not in lab.by_name:
        known = ", ".join((CONTROL, *lab.by_name))
        raise LabError(f"{host}: is not a host of the lab; it has {known}")
    there = ["--", shlex.join(command)] if command else []
    return [*prefix, "ssh", "-F", str(paths.ssh_config), host, *there]


def console(paths: LabPaths, host: str, script: str, *, timeout_s: float = CONSOLE_S) -> str:
    """Run a shell script on a host or pod out of band, past its own sshd; what it printed.

    It goes to the router's sshd, and from there into the host's namespace.

    Raises:
        LabError: It failed or took too long; says what it printed.
    """
    lab = topology_of(paths)
    namespaces = {*lab.by_name, *(pod.name for pod in lab.pods)}
    if host not in namespaces:
        raise LabError(f"{host}: is not a host of the lab; it has {', '.join(sorted(namespaces))}")
    router = ROUTER.name
    inner = (
        ["/bin/sh", "-e", "-s"] if host == router else ["ip", "netns", "exec", host, "/bin/sh", "-e", "-s"]
    )
    try:
        done = subprocess.run(
            exec_argv(paths, router, inner),
            input=script,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired as late:
        raise LabError(f"{host}: console: no end after {timeout_s:g} s; is the lab up?") from late
    if done.returncode != 0:
        raise LabError(f"{host}: console: status {done.returncode}: {(done.stderr or done.stdout).strip()}")
    return done.stdout
