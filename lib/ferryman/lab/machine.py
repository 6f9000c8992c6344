"""The lab as a whole: up, down, and how it is.

What is left of a lab that died half-way is found by its folder and its first process, and cleared
by the next ``up`` or ``down``.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ferryman.errors import LabError
from ferryman.lab import engines, namespace
from ferryman.lab.provision import provision
from ferryman.lab.topology import DEFAULT, ROUTER
from ferryman.lab.topology.state import of_json
from ferryman.retry import poll_until

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ferryman.lab.engines import Engine, EngineChoice
    from ferryman.lab.namespace import NamespaceOwner
    from ferryman.lab.paths import LabPaths
    from ferryman.lab.topology import Topology

BOOT_S = 60.0
"""Boot takes some seven seconds on an idle machine; a guest that hangs or panics is given up after this."""
BOOT_S_PER_HOST = 3.0
"""What each host beyond those of the default lab is given beside that."""
_TAIL_LINES = 25
_LOG_BYTES = 65536
_ANSWER_S = 2.0
_LAST_WRITE_S = 2.0


@dataclass(frozen=True, slots=True)
class LabStatus:
    """How a lab is; ``hosts`` says for each whether its sshd answers."""

    up: bool
    engine: Engine | None = None
    pid: int | None = None
    hosts: Mapping[str, bool] = field(default_factory=dict)
    faults: tuple[str, ...] = ()
    """Faults that are in, each as ``NAME on HOST``."""
    booted_s: float | None = None
    """How long this call took to boot it; None when it was up already."""
    topology: Topology | None = None
    """What it is made of; None when it is not up."""


def up(  # noqa: PLR0913  # what a lab is up with; all but its place have a default
    paths: LabPaths,
    engine: EngineChoice = "auto",
    *,
    topology: Topology = DEFAULT,
    sudo: bool = False,
    within_s: float | None = None,
    cookbooks: Sequence[Path] = (),
) -> LabStatus:
    """Boot a lab of this topology, unless it is up and answers; what is left of a dead one is cleared first.

    Args:
        paths: The lab's place.
        engine: The kernel to run it on.
        topology: What it is to be made of.
        sudo: Whether its hosts have a user without root beside root (``without_root.py``).
        within_s: Seconds that it may take; by the number of its hosts when not given.
        cookbooks: Folders of cookbooks for the ``ferryman.toml`` that the lab writes for itself.

    Raises:
        LabError: It cannot be booted here, or did not come up in time; with the end of its log. Or another
            one is up here, or it is up without that user.
    """
    begun = time.monotonic()
    with paths.locked() as lock:
        found = _status(paths)
        if found.up and found.hosts[ROUTER.name]:
            _require_same(found.topology, topology)
            if sudo and not json.loads(paths.ready.read_text()).get("sudo"):
                raise LabError("the lab is up, without a user that has sudo; first: ferryman lab down")
            return found
        _clear(paths)
        chosen = engines.choose(engine)
        engines.require_programs(chosen)
        engines.require_namespaces(chosen)
        engines.require_memory(len(topology.hosts))
        try:
            provision(paths, chosen, topology, sudo=sudo, cookbooks=cookbooks)
            engines.start(chosen, paths, lock)
            _wait_until_ready(paths, topology, begun + (within_s or _patience_s(topology)))
            now = time.monotonic()
            state = {"engine": chosen, "booted_s": round(now - begun, 1), "sudo": sudo}
            paths.ready.write_text(json.dumps(state))
        except BaseException:
            _clear(paths)
            raise
        status = _status(paths)
    return replace(status, booted_s=now - begun)


def require_free(paths: LabPaths, topology: Topology) -> None:
    """Return when no lab is up in this place, or one of this topology.

    Raises:
        LabError: Another one is up.
    """
    if namespace.find(paths) is not None and _is_ready(paths):
        _require_same(_topology(paths), topology)


def _require_same(found: Topology | None, wanted: Topology) -> None:
    if found != wanted:
        raise LabError("another lab is up here, of other hosts or services; first: ferryman lab down")


def _patience_s(topology: Topology) -> float:
    return BOOT_S + BOOT_S_PER_HOST * max(0, len(topology.hosts) - len(DEFAULT.hosts))


def down(paths: LabPaths) -> bool:
    """Take the lab down and remove all its files; returns whether there was a lab."""
    if not paths.root.parent.is_dir():
        return False
    with paths.locked():
        existed = paths.root.is_dir()
        _clear(paths)
        paths.remove_lock()
    return existed


def status(paths: LabPaths) -> LabStatus:
    """How the lab is now; it waits two seconds at most for hosts that do not answer."""
    return _status(paths)


def require(paths: LabPaths) -> NamespaceOwner:
    """The process that owns the namespaces of a lab that is up.

    Raises:
        LabError: There is none.
    """
    found = namespace.find(paths)
    if found is None or not _is_ready(paths):
        raise LabError("the lab is not up: ferryman lab up")
    return found


def _is_ready(paths: LabPaths) -> bool:
    return paths.ready.exists() and paths.topology.exists()


def topology_of(paths: LabPaths) -> Topology:
    """What the lab that is up is made of.

    Raises:
        LabError: There is none.
    """
    require(paths)
    return _topology(paths)


def _topology(paths: LabPaths) -> Topology:
    return of_json(paths.topology.read_text())


def _status(paths: LabPaths) -> LabStatus:
    found = namespace.find(paths)
    if found is None or not _is_ready(paths):
        return LabStatus(up=False)
    state = json.loads(paths.ready.read_text())
    faults = json.loads(paths.faults.read_text()) if paths.faults.exists() else []
    named = tuple(f"{fault['name']} on {fault['host']}" for fault in faults)
    lab = _topology(paths)
    answering = _answering(found, lab, _ANSWER_S)
    return LabStatus(True, state["engine"], found.pid, answering, named, topology=lab)


def _answering(found: NamespaceOwner, lab: Topology, within_s: float) -> dict[str, bool]:
    """Which hosts' sshd greet, asked by a small program in the control namespace."""
    addresses = {str(host.address): host.name for host in lab.hosts}
    program = [sys.executable, "-I", "-S", str(Path(__file__).with_name("ssh_ready.py"))]
    asked = subprocess.run(
        [*found.command_prefix(), *program, str(within_s), *addresses],
        capture_output=True,
        text=True,
        check=False,
        timeout=within_s + 20,
    )
    if asked.returncode != 0 and found.alive:
        raise LabError(f"cannot ask the lab's hosts: {asked.stderr.strip()}")
    answered = set(asked.stdout.split())
    return {name: address in answered for address, name in addresses.items()}


def _wait_until_ready(paths: LabPaths, lab: Topology, end: float) -> None:
    def left() -> float:
        return max(0.0, end - time.monotonic())

    started = poll_until(
        lambda: namespace.find(paths), lambda found: found is not None, within_s=10, every_s=0.01
    )
    if started is None:
        raise LabError(_failed(paths, "did not start"))
    ready = paths.share / "ready"
    poll_until(ready.exists, lambda exists: exists or not started.alive, within_s=left(), every_s=0.05)
    if not ready.exists():
        raise LabError(_failed(paths, "did not come up in time" if started.alive else "died while booting"))
    answers = poll_until(
        lambda: _answering(started, lab, min(_ANSWER_S, left())),
        lambda hosts: all(hosts.values()),
        within_s=left(),
    )
    if silent := [name for name, answered in answers.items() if not answered]:
        raise LabError(_failed(paths, f"came up, but {', '.join(silent)} did not answer"))


def _failed(paths: LabPaths, what: str) -> str:
    return f"the lab {what}; the end of its log:\n{last_words(paths)}"


def last_words(paths: LabPaths) -> str:
    """The end of what the lab's kernel and its scripts said."""
    tails = [_tail(path) for path in (paths.console_log, paths.share / "log")]
    return "\n".join(text for text in tails if text)


def _tail(path: Path) -> str:
    """The last lines of a log; never through a link, for the lab's kernel writes in that folder."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return ""
    with os.fdopen(descriptor, "rb") as log:
        log.seek(max(0, log.seek(0, os.SEEK_END) - _LOG_BYTES))
        lines = log.read(_LOG_BYTES).decode(errors="replace").splitlines()
    kept = [line for line in lines if not line.startswith(" [<")]  # a panic's call trace
    return "\n".join(kept[-_TAIL_LINES:])


def _clear(paths: LabPaths) -> None:
    """End whatever runs and take the folder away; harmless when there is nothing."""
    if paths.kept_connection.is_socket():
        _hang_up(paths)
    if (found := namespace.find(paths)) is not None:
        found.end()
    # A program of a boot that was killed (a key in the making) may still add a file for some milliseconds.
    poll_until(lambda: _gone(paths.root), bool, within_s=_LAST_WRITE_S, every_s=0.05)
    if paths.root.is_dir():
        shutil.rmtree(paths.root)


def _gone(folder: Path) -> bool:
    shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()


def _hang_up(paths: LabPaths) -> None:
    """End the process that keeps the connection to the router; it ends by itself soon after its last use."""
    command = ["ssh", "-F", str(paths.ssh_config), "-O", "exit", ROUTER.name]
    with suppress(subprocess.TimeoutExpired):
        subprocess.run(command, capture_output=True, check=False, timeout=_ANSWER_S)
