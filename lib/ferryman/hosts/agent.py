"""The SSH agent, asked within a deadline: paramiko's own waits for ever."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ferryman.hosts.ssh_library import paramiko

if TYPE_CHECKING:
    from pathlib import Path

    from ferryman.hosts.connect import Deadline


@dataclass(frozen=True, slots=True)
class HeldKey:
    """A key, or a certificate, that the agent holds."""

    blob: bytes
    comment: str
    signer: paramiko.PKey


class Agent(paramiko.agent.AgentSSH):
    """A connection to an agent; close it."""

    def __init__(self, path: Path, deadline: Deadline) -> None:
        """Ask which keys it holds.

        Raises:
            OSError, paramiko.SSHException: It does not answer, or not as an agent does.
        """
        super().__init__()
        self._socket = connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(max(deadline.left(), 0.001))
            connection.connect(str(path))
            self._connect(connection)  # type: ignore[attr-defined]  # the stubs leave it out
        except BaseException:
            connection.close()
            raise
        self.held = tuple(HeldKey(key.blob, key.comment, key) for key in self.get_keys())

    def close(self) -> None:
        """Hang up; twice is harmless."""
        self._socket.close()
