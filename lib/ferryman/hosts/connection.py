"""The kept connection to one host, and channels on it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from ferryman.hosts.command import WINDOW
from ferryman.hosts.explanations import nothing_ran, unreachable
from ferryman.hosts.ssh_library import paramiko
from ferryman.hosts.transport import cut, hang_up

if TYPE_CHECKING:
    from ferryman.hosts.hop import Hop
    from ferryman.hosts.login import Login
    from ferryman.hosts.transport import Transport


class Connection:
    """The connection to one host; several commands may share it."""

    def __init__(self, where: Hop, login: Login) -> None:
        self._where = where
        self._login = login
        self._lock = threading.Lock()
        self._transport: Transport | None = None

    def channel(self) -> paramiko.Channel:
        """A channel on which no command was sent yet.

        A kept connection that turns out dead is opened anew, once: nothing was asked on it.
        """
        with self._lock:
            return self._on_kept() or self._on_new()

    def start_closing(self) -> None:
        """Shut the socket down, so that whatever waits on the connection stops waiting."""
        if self._transport is not None:
            cut(self._transport.wire)

    def close(self) -> None:
        """Close the connection and end its threads; twice is harmless."""
        with self._lock:
            if self._transport is not None:
                hang_up(self._transport)
            self._transport = None

    def _on_kept(self) -> paramiko.Channel | None:
        if self._transport is None:
            return None
        try:
            return self._transport.open_session(WINDOW, timeout=self._login.connect_timeout_s)
        except paramiko.ChannelException as error:
            raise unreachable(self._where.name, "run", error) from error
        except (paramiko.SSHException, EOFError, OSError):
            return None

    def _on_new(self) -> paramiko.Channel:
        if self._transport is not None:
            hang_up(self._transport)
            self._transport = None
        self._transport = self._login.connect(self._where)
        with nothing_ran(self._where.name, "run"):
            return self._transport.open_session(WINDOW, timeout=self._login.connect_timeout_s)
