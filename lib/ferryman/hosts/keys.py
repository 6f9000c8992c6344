"""The keys that hosts are logged in to with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import paramiko

from ferryman.errors import ConfigError
from ferryman.hosts.connect import Deadline, within
from ferryman.hosts.explanations import why

if TYPE_CHECKING:
    from pathlib import Path


def read_identity(path: Path) -> paramiko.PKey | None:
    """The key in the file; None when it is encrypted and an agent runs that may hold it."""
    try:
        return paramiko.PKey.from_path(path)
    except OSError as error:
        raise ConfigError(f"ssh.identity: {path}: {error.strerror}; wanted a private key") from error
    except (TypeError, paramiko.PasswordRequiredException) as error:
        if _agent_holds_keys():
            return None
        raise ConfigError(
            f"ssh.identity: {path}: is encrypted, and no agent holds a key; ssh-add {path}"
        ) from error
    except Exception as error:  # paramiko and cryptography raise many things at a bad key
        raise ConfigError(f"ssh.identity: {path}: no private key that can be used: {why(error)}") from error


def _agent_holds_keys() -> bool:
    try:
        agent = within(Deadline(2.0), paramiko.Agent)
    except (paramiko.SSHException, OSError):
        return False
    held = bool(agent.get_keys())
    agent.close()
    return held
