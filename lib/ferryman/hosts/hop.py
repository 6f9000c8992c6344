"""A host as it is connected to: where, as whom, with which keys, trusting which files, through whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

SSH_PORT = 22
ROOT = "root"
"""The user where nobody names another."""


@dataclass(frozen=True, slots=True)
class KeySettings:
    """Which keys are offered to a host."""

    identities: tuple[Path, ...]
    """Private keys, or public ones whose private key the agent holds."""
    certificates: tuple[Path, ...] = ()
    """Certificates of these keys, beside those that stand next to them as ``NAME-cert.pub``."""
    identities_only: bool = False
    """Whether keys of the agent are offered only if they are among these."""
    agent: Path | None = None
    """The agent's socket; None: there is no agent."""


@dataclass(frozen=True, slots=True)
class Hop:
    """One host on the way, which may be the last."""

    name: str
    """What people call it."""
    target: str
    """The address or name that is connected to, from ``via`` where there is one."""
    port: int
    user: str
    known_as: tuple[str, ...]
    """What it may be called in known_hosts."""
    known_hosts: tuple[Path, ...]
    keys: KeySettings
    via: Hop | None = None
    """The host through which it is reached; None: from here."""
