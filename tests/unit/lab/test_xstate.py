"""Processors whose register state is larger than the guest's kernel knows."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ferryman.errors import LabError
from ferryman.lab import xstate
from tools import require_tool

if TYPE_CHECKING:
    from pathlib import Path

SET_A_PART = """
import ctypes, errno, os, signal, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]
child = os.fork()
if child == 0:
    libc.ptrace(0, 0, None, None)  # PTRACE_TRACEME
    os.kill(os.getpid(), signal.SIGSTOP)
    os._exit(7)
os.waitpid(child, 0)
state = ctypes.create_string_buffer(1 << 16)
whole = Iovec(ctypes.addressof(state), len(state))
assert libc.ptrace(0x4204, child, 0x202, ctypes.byref(whole)) == 0
part = Iovec(ctypes.addressof(state), min(whole.length, 2696))
done = libc.ptrace(0x4205, child, 0x202, ctypes.byref(part))
print("set" if done == 0 else errno.errorcode[ctypes.get_errno()])
libc.ptrace(17, child, None, None)  # PTRACE_DETACH
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
"""A process that gives its child the first 2,696 bytes of register state, as the guest's kernel does."""


@pytest.mark.parametrize(("flags", "larger"), [("fpu pku avx512f", False), ("pku amx_bf16 amx_tile", True)])
def test_a_processor_with_amx_needs_the_library(flags: str, larger: bool) -> None:
    assert xstate.is_too_large(f"processor : 0\nflags\t\t: {flags}\nbugs : \nflags\t\t: {flags}\n") is larger


def test_a_machine_of_another_kind_needs_none() -> None:
    assert not xstate.is_too_large("processor : 0\nBogoMIPS : 50.00\nFeatures : fp asimd\n")


def test_a_part_of_the_register_state_can_be_set_with_the_library(tmp_path: Path) -> None:
    """True of every processor; one with AMX answers EFAULT without the library."""
    require_tool("gcc", package="gcc")
    xstate.build(tmp_path / "xstate.so")
    told = subprocess.run(
        [sys.executable, "-c", SET_A_PART],
        env={"LD_PRELOAD": str(tmp_path / "xstate.so")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.split() == ["set", "7"]


def test_without_a_compiler_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(LabError, match=r"processor has AMX.*packages gcc, libc6-dev.*make setup-lab"):
        xstate.build(tmp_path / "xstate.so")


def test_what_the_compiler_says_is_told(tmp_path: Path) -> None:
    require_tool("gcc", package="gcc")
    with pytest.raises(LabError, match=r"could not be compiled: .*No such file or directory"):
        xstate.build(tmp_path / "absent/xstate.so")
