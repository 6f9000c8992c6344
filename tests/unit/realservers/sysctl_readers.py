"""Runs the real readers of sysctl.d, systemd-sysctl and procps' sysctl, on files made for a test.

Each run has a network namespace of its own, whose settings it sets, and a root of its own: the machine's
/usr, and nothing of its /etc.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tools import skip_or_fail

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

UNTOUCHED = 77
"""What every setting is before the program runs."""
DEVICES = ("all", "default", "lo", "eth0.100")

_MOUNT = r"""
set -e
cd "$1"; shift
mount --make-rprivate /
mount --rbind /usr usr
mkdir -p sysctl.d/usr sysctl.d/local/lib/sysctl.d
mount --bind sysctl.d/usr usr/lib/sysctl.d
mount --bind sysctl.d/local usr/local
mount --rbind /proc proc
mount --bind /dev/null dev/null
"""
_ENTER = f'{_MOUNT}exec chroot . "$@"'
_RUN = f"""{_MOUNT}
ip link add eth0.100 type veth peer name peer
for setting in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 77 >"$setting"; done
chroot . "$@" >said 2>&1 || true
grep -H '' /proc/sys/net/ipv4/conf/*/rp_filter
"""


@dataclass(frozen=True)
class Reader:
    """A program that applies sysctl.d's files."""

    name: str
    command: Sequence[str]
    systemd: bool


SYSTEMD = Reader("systemd-sysctl", ("/usr/lib/systemd/systemd-sysctl",), systemd=True)
PROCPS = Reader("procps", ("/usr/sbin/sysctl", "--system"), systemd=False)
READERS = (SYSTEMD, PROCPS)


def require(*readers: Reader) -> None:
    """Skip the test where a program is not installed, or no namespace can be made."""
    for reader in readers:
        if not os.access(reader.command[0], os.X_OK):
            skip_or_fail(f"{reader.command[0]} is not installed; `make setup` installs it")
    done = subprocess.run([*_unshare(), "true"], capture_output=True, text=True, check=False, timeout=20)
    if done.returncode:
        skip_or_fail(f"no namespaces can be made here: {done.stderr.strip()}")


def applied(folder: Path, reader: Reader, files: Mapping[str, bytes | None]) -> Mapping[str, int]:
    """Each device's rp_filter once the program has run with these files; None is a link to /dev/null."""
    root = _root(folder, files)
    done = subprocess.run(
        [*_unshare(), "sh", "-c", _RUN, "sh", str(root), *reader.command],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    lines = (line.partition(":") for line in done.stdout.splitlines())
    values = {path.split("/")[-2]: int(value) for path, _, value in lines}
    return {device: values[device] for device in DEVICES}


def _root(folder: Path, files: Mapping[str, bytes | None]) -> Path:
    root = folder / "root"
    shutil.rmtree(root, ignore_errors=True)
    for name in ("usr", "proc", "etc/sysctl.d", "run/sysctl.d", "dev"):
        (root / name).mkdir(parents=True)
    for name in ("lib", "lib64", "bin", "sbin"):
        (root / name).symlink_to(f"usr/{name}")
    (root / "dev/null").touch()
    for path, text in files.items():
        _write(_place(root, path), text)
    return root


_WRITE = r"""
cd "$1"
for number in *; do
    echo 77 >/proc/sys/net/ipv4/conf/all/rp_filter
    cat "$number" >/proc/sys/net/ipv4/conf/all/rp_filter 2>/dev/null
    cat /proc/sys/net/ipv4/conf/all/rp_filter
done
"""


def written(folder: Path, values: Sequence[str]) -> Mapping[str, int]:
    """What the kernel makes of each value, written with a newline behind it as both programs do."""
    for place, value in enumerate(values):
        (folder / f"{place:03}").write_bytes(f"{value}\n".encode())
    command = [*_unshare(), "sh", "-c", _WRITE, "sh", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return dict(zip(values, map(int, done.stdout.split()), strict=True))


def in_a_root(folder: Path, files: Mapping[str, bytes | None], command: Sequence[str]) -> str:
    """What a command prints in a root with these files alone beside the machine's /usr."""
    root = _root(folder, files)
    done = subprocess.run(
        [*_unshare(), "sh", "-c", _ENTER, "sh", str(root), *command],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _place(root: Path, path: str) -> Path:
    """Where a file is to be before the folders below /usr are mounted over the machine's."""
    for there, here in (("/usr/lib/sysctl.d", "sysctl.d/usr"), ("/usr/local", "sysctl.d/local")):
        if path.startswith(f"{there}/"):
            return root / f"{here}{path.removeprefix(there)}"
    return root / path.lstrip("/")


def _write(file: Path, text: bytes | None) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    if text is None:
        file.symlink_to("/dev/null")
    elif text.startswith(b"-> "):
        file.symlink_to(text[3:].decode())
    else:
        file.write_bytes(text)
        file.chmod(0o755 if text.startswith(b"#!") else 0o644)


def _unshare() -> list[str]:
    as_root = [] if os.getuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *as_root, "--net", "--mount"]
