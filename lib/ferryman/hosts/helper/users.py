"""Who a host is asked as, and whether that user may do there what will be needed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from ferryman.hosts.completed import Completed
from ferryman.hosts.framing import command_line, new_token, unframed
from ferryman.hosts.helper import sudo
from ferryman.hosts.verbs import Verb

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ferryman.config import SshConfig
    from ferryman.hosts.fence import Fence
    from ferryman.hosts.helper.needs import NeedsOf
    from ferryman.hosts.hosts import HostAddress

Send = Callable[[str, Verb[Any], str, str], Completed]


class Users:
    """The users without root of all hosts."""

    def __init__(
        self,
        addresses: Mapping[str, HostAddress],
        ssh: SshConfig,
        needs_of: NeedsOf,
        user_of: Callable[[str], str],
    ) -> None:
        """Ask nothing yet; ``user_of`` says who logs in on a host."""
        self._addresses = addresses
        self._ssh = ssh
        self._needs_of = needs_of
        self._user_of = user_of
        self._lock = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._fit: set[str] = set()

    def _without_root(self, host: str) -> str | None:
        """The user who asks sudo on a host; None where root itself logs in."""
        entry = self._addresses.get(host)
        asks = self._ssh.sudo if entry is None or entry.sudo is None else entry.sudo
        return self._user_of(host) if asks else None

    def run(self, host: str, verb: Verb[Any], fence: Fence | None, send: Send) -> Completed:
        """Ask a host a verb, as root where it needs that; ``send`` sends a command line and its input.

        Raises:
            UnreachableError: Its user may not do what will be needed there, or not this; nothing ran.
        """
        token = new_token()
        user = self._without_root(host) if sudo.needs_sudo(verb) else None
        if user is None:
            line = command_line(verb, token, partial(fence.around, host) if fence else str)
            return unframed(send(host, verb, line, verb.stdin), token, verb)
        given = sudo.request(host, verb, token, fence)
        self._require_fit(host, user, send)
        raw = send(host, verb, sudo.command_line(verb), given)
        if (why := sudo.refusal(raw, user, verb, token)) is not None:
            raise why
        return unframed(raw, token, verb)

    def _require_fit(self, host: str, user: str, send: Send) -> None:
        """Return when a host would do everything that is needed there; asked until it has said yes once."""
        with self._lock:
            own = self._locks.setdefault(host, threading.Lock())
        with own:
            if host in self._fit:
                return
            if needs := self._needs_of(host):
                check = sudo.check(needs)
                sudo.require_fit(host, user, check.value(self.run(host, check, None, send)))
            self._fit.add(host)
