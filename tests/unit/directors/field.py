"""Configurations of keepalived as people have them, and a fake director with the real ``keepalived -t``."""

from __future__ import annotations

import shlex
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ferryman.directors.keepalived.driver import KeepalivedDriver
from ferryman.model import Director, Role
from tools import program, require_tool, skip_or_fail
from unit.directors.world import WEB

if TYPE_CHECKING:
    from unit.directors.world import RealShell

CONFIGURATIONS = Path(__file__).with_name("configurations")
SERVICE = replace(WEB, virtual_services=WEB.virtual_services[:1])
"""The service web, at its IPv4 address alone."""


def configuration(name: str) -> str:
    return (CONFIGURATIONS / f"{name}.conf").read_text()


def config_of(shell: RealShell) -> Path:
    return shell.folder / "keepalived.conf"


def director_with(shell: RealShell, text: str, **options: object) -> KeepalivedDriver:
    """The driver of a director whose keepalived runs with this text."""
    config = config_of(shell)
    config.write_text(text)
    known = {"config": str(config), "reload": f"reload {config}", "converge_timeout": 0, **options}
    director = Director("lvs1", Role.PRIMARY, "keepalived", known)
    return KeepalivedDriver(director, SERVICE, shell, sleep=lambda _s: None)


def with_real_test(shell: RealShell) -> None:
    """Make ``keepalived -t`` of this director the real one, with real mounts in a namespace of its own."""
    require_tool("keepalived", package="keepalived")
    require_tool("unshare", "mount", package="util-linux")
    real = {name: shlex.quote(program(name)) for name in ("keepalived", "unshare", "mount")}
    if subprocess.run([*shlex.split(real["unshare"]), "-Urm", "true"], check=False).returncode:
        skip_or_fail("no user namespace can be made here (unshare -Urm)")
    put(shell, "unshare", f'shift\nexec {real["unshare"]} -Urm "$@"')
    put(shell, "mount", f'exec {real["mount"]} "$@"')
    version = 'if [ "$*" = -v ]; then cat "$FAKE_DIRECTOR/version" >&2; exit 0; fi'
    put(shell, "keepalived", f'{version}\nexec {real["keepalived"]} "$@"')


def put(shell: RealShell, tool: str, script: str) -> None:
    """Put a program in the place of one of the director's tools."""
    file = shell.folder / "bin" / tool
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
