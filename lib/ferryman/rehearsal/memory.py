"""How much memory of this machine a lab's guest has had."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ferryman.lab import machine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferryman.lab import LabPaths

_GUEST = "linux.uml"
_RESET_PEAK = "5"
_KIB_PER_MIB = 1024


def forget_peak(paths: LabPaths) -> None:
    """Count the guest's largest memory from now on; where the kernel does not let us, from its boot."""
    for process in _guests(paths):
        with suppress(OSError):
            (process / "clear_refs").write_text(_RESET_PEAK)


def peak_mib(paths: LabPaths) -> float | None:
    """The most memory that the guest had in this machine, in MiB; None where the lab has no guest.

    All processes of a guest share its memory: the largest of them has it all.
    """
    found = [peak for process in _guests(paths) if (peak := _peak_kib(process))]
    return max(found) / _KIB_PER_MIB if found else None


def _guests(paths: LabPaths) -> Iterator[Path]:
    family = {machine.require(paths).pid}
    processes = {int(process.name): process for process in Path("/proc").iterdir() if process.name.isdigit()}
    parents = {pid: parent for pid, process in processes.items() if (parent := _parent(process)) is not None}
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    for pid in family & processes.keys():
        with suppress(OSError):
            if _GUEST in (processes[pid] / "cmdline").read_text(errors="replace"):
                yield processes[pid]


def _parent(process: Path) -> int | None:
    with suppress(OSError, ValueError, IndexError):
        return int((process / "stat").read_text(errors="replace").rpartition(")")[2].split()[1])
    return None


def _peak_kib(process: Path) -> int | None:
    with suppress(OSError):
        found = re.search(r"^VmHWM:\s+(\d+) kB$", (process / "status").read_text(), re.MULTILINE)
        return int(found[1]) if found else None
    return None
