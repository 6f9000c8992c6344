"""Who a host is asked as, and whether that user may do there what will be needed."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from ferryman.hosts.helper import sudo

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ferryman.config import SshConfig
    from ferryman.hosts.helper.needs import NeedsOf
    from ferryman.hosts.hosts import HostAddress
    from ferryman.hosts.verbs.sudo import SudoAnswer, SudoCheck


class Users:
    """The users without root of all hosts."""

    def __init__(self, addresses: Mapping[str, HostAddress], ssh: SshConfig, needs_of: NeedsOf) -> None:
        self._addresses = addresses
        self._ssh = ssh
        self._needs_of = needs_of
        self._lock = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._fit: set[str] = set()

    def without_root(self, host: str) -> str | None:
        """The user who asks sudo on a host; None where root itself logs in."""
        entry = self._addresses.get(host)
        asks = self._ssh.sudo if entry is None or entry.sudo is None else entry.sudo
        user = (entry and entry.user) or self._ssh.user
        return user if asks else None

    def require_fit(self, host: str, ask: Callable[[SudoCheck], Mapping[str, SudoAnswer]]) -> None:
        """Return when a host would do everything that is needed there; asked until it has said yes once.

        Raises:
            UnreachableError: It would not; says what is missing there.
        """
        with self._lock:
            own = self._locks.setdefault(host, threading.Lock())
        with own:
            user = self.without_root(host)
            if host in self._fit or user is None:
                return
            if needs := self._needs_of(host):
                sudo.require_fit(host, user, ask(sudo.check(needs)))
            self._fit.add(host)
