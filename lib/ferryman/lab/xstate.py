"""Processors with more register state than the guest's kernel knows; ``guest/xstate.c`` makes up for it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from ferryman.errors import LabError

LARGER_THAN_THE_GUEST_KNOWS = frozenset({"amx_tile", "apx"})
"""Flags of /proc/cpuinfo for the components that come after protection keys in the register state."""
_SOURCE = Path(__file__).parent / "guest/xstate.c"
_BUILD_S = 30


def is_too_large(cpuinfo: str) -> bool:
    """Whether the guest's kernel can only run here with the library that ``build`` makes.

    Args:
        cpuinfo: The text of /proc/cpuinfo.
    """
    flags = (line.partition(":")[2].split() for line in cpuinfo.splitlines() if line.startswith("flags"))
    return not LARGER_THAN_THE_GUEST_KNOWS.isdisjoint(next(flags, ()))


def build(library: Path) -> None:
    """Compile the library that the guest's kernel is started with.

    Raises:
        LabError: There is no C compiler, or it did not succeed; with what it said.
    """
    if shutil.which("gcc") is None:
        raise LabError(
            "this machine's processor has AMX, and the guest's kernel needs a small library for that, which "
            "is compiled here: gcc is not installed (packages gcc, libc6-dev); `make setup-lab` installs it"
        )
    command = ["gcc", "-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o", str(library), str(_SOURCE)]
    built = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_BUILD_S)
    if built.returncode != 0:
        raise LabError(f"the library for the guest's kernel could not be compiled: {built.stderr.strip()}")
