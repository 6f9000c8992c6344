"""The two kernels that a lab can run on, and what each needs.

``guest``: Debian's user-mode-linux, a kernel that is an ordinary process. It needs no rights: root gives its
own up before starting it. ``netns``: namespaces on the machine's own kernel, where that has ipip, ip6_tunnel
and ip_vs; wants root. Both run the same stage 2 as process 1; they differ in how that process is started.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ferryman.errors import LabError

if TYPE_CHECKING:
    from ferryman.lab.paths import LabPaths

Engine = Literal["guest", "netns"]
EngineChoice = Literal["auto", "guest", "netns"]

NOBODY = 65534
MEMINFO = Path("/proc/meminfo")
MEMORY_MB = 150
MEMORY_MB_PER_HOST = 6
"""What a lab takes of the machine: its kernel, and for each host sshd, a web server, and connections."""
PACKAGES = {
    "linux.uml": "user-mode-linux",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "taskset": "util-linux",
    "ip": "iproute2",
    "ifup": "ifupdown",
    "ethtool": "ethtool",
    "modprobe": "kmod",
    "ssh": "openssh-client",
    "sshd": "openssh-server",
    "nginx": "nginx-light",
    "keepalived": "keepalived",
    "ipvsadm": "ipvsadm",
    "iptables-legacy-restore": "iptables",
}
"""What every lab runs, and the Debian package that has it."""

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ABLE = """
ip link add fmlab0 type ipip external 2>/dev/null || echo ipip
ip link add fmlab1 type ip6tnl external 2>/dev/null || echo ip6_tunnel
ipvsadm -Ln >/dev/null 2>&1 || echo ip_vs
"""
_RECORD_AND_GO = 'read -r stat <"/proc/$$/stat"; echo "$stat" >"$1"; shift; exec "$@" </dev/null'
"""The first process writes down its own identity: it holds the lab's lock as its standard input until that is
done, so nobody who has the lock can miss it, even if ``lab up`` is killed right here."""


def choose(wanted: EngineChoice) -> Engine:
    """The engine to run on: what was asked for, else the machine's own kernel where that is able.

    Raises:
        LabError: The engine asked for cannot run here; says what is missing.
    """
    if wanted == "guest":
        return "guest"
    missing = missing_for_netns()
    if not missing:
        return "netns"
    if wanted == "netns":
        raise LabError(
            f"the lab cannot run on this machine's own kernel: it wants {', '.join(missing)}; "
            "use --engine guest, which brings its own kernel"
        )
    return "guest"


def missing_for_netns() -> list[str]:
    """What keeps the lab from this machine's own kernel: tried in a network namespace of its own."""
    if os.getuid() != 0:
        return ["root"]
    if absent := [name for name in ("unshare", "ip", "ipvsadm") if shutil.which(name, path=_PATH) is None]:
        return [f"the program {name}" for name in absent]
    tried = subprocess.run(
        ["/usr/bin/unshare", "--net", "/bin/sh", "-c", _ABLE],
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
        env={"PATH": _PATH},
    )
    if tried.returncode != 0:
        return [f"network namespaces ({tried.stderr.strip()})"]
    return [f"the module {name}" for name in tried.stdout.split()]


def require_programs(engine: Engine) -> None:
    """Return when every program that the lab runs is installed.

    Raises:
        LabError: Some are missing; names them and their packages.
    """
    needed = (name for name in PACKAGES if engine == "guest" or name != "linux.uml")
    missing = [name for name in needed if shutil.which(name, path=_PATH) is None]
    if missing:
        what = ", ".join(f"{name} (package {PACKAGES[name]})" for name in missing)
        raise LabError(
            f"the lab wants programs that are not installed: {what}; `make setup-lab` installs them"
        )


def require_namespaces(engine: Engine) -> None:
    """Return when the guest's user may make the namespaces that it needs.

    Raises:
        LabError: It may not; says what the kernel said and where that is set.
    """
    if engine == "netns":
        return
    tried = subprocess.run(
        [*_unprivileged(), *_unshare(engine), "/bin/true"],
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
        env={"PATH": _PATH},
    )
    if tried.returncode != 0:
        raise LabError(
            f"this machine does not let user {_guest_user()} make user namespaces ({tried.stderr.strip()}); "
            "see sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone and "
            "kernel.apparmor_restrict_unprivileged_userns"
        )


def require_memory(hosts: int) -> None:
    """Return when this machine has memory for a lab of so many hosts.

    Raises:
        LabError: It has less than that; says how much.
    """
    lines = (line.split() for line in MEMINFO.read_text().splitlines())
    free_mb = next((int(words[1]) >> 10 for words in lines if words[0] == "MemAvailable:"), None)
    wanted_mb = MEMORY_MB + MEMORY_MB_PER_HOST * hosts
    if free_mb is not None and free_mb < wanted_mb:
        raise LabError(
            f"a lab of {hosts} hosts wants {wanted_mb} MB of memory, and this machine has {free_mb} MB left; "
            "have fewer realservers, or take another lab down"
        )


def start(engine: Engine, paths: LabPaths, lock: int) -> None:
    """Start the lab's first process, in a session of its own; returns at once.

    Args:
        engine: On which kernel.
        paths: Where the files made for it are.
        lock: The lab's lock, which the process keeps until it has written down who it is.
    """
    prefix = [*_one_processor(paths), *_unprivileged()] if engine == "guest" else []
    outer = ["/bin/sh", str(paths.share / "outer.sh"), engine, str(paths.share)]
    with paths.console_log.open("wb") as log:
        subprocess.run(
            [
                *("setsid", "--fork", "/bin/sh", "-c", _RECORD_AND_GO, "ferryman-lab", str(paths.owner)),
                *(*prefix, *_unshare(engine), *outer),
            ],
            stdin=lock,
            stdout=log,
            stderr=log,
            check=True,
            cwd="/",
            env={"PATH": _PATH, "LC_ALL": "C"},
        )


def _one_processor(paths: LabPaths) -> list[str]:
    """The command prefix that keeps the guest on one processor: its processes never run side by side.

    Boot takes two thirds of the time so, for waking a process on another processor costs more than the
    processor's idle time is worth. Labs side by side get one each, as far as there are enough: what each
    one got is written down beside its files.
    """
    usable = sorted(os.sched_getaffinity(0))
    lock = os.open(paths.root.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        taken = [file.read_text() for file in paths.root.parent.glob("*/processor")]
        chosen = min(usable, key=lambda processor: taken.count(str(processor)))
        (paths.root / "processor").write_text(str(chosen))
    finally:
        os.close(lock)
    return ["taskset", "--cpu-list", str(chosen)]


def _guest_user() -> int:
    return NOBODY if os.getuid() == 0 else os.getuid()


def _unprivileged() -> list[str]:
    """The command prefix that gives root's rights up: root in the guest can reach what its process can."""
    if os.getuid() != 0:
        return []
    return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--no-new-privs", "--"]


def _unshare(engine: Engine) -> list[str]:
    """New namespaces, and a PID namespace above all: its processes cannot outlive its first."""
    own = ["--user", "--map-root-user"] if engine == "guest" else ["--mount-proc"]
    return ["unshare", *own, "--net", "--pid", "--fork", "--kill-child", "--"]
