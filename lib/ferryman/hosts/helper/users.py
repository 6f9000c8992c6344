"""Who a host is asked as, and whether that user may do there what will be needed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from ferryman.errors import ArgumentError, DoubtError, FerrymanError, VerifyError
from ferryman.hosts.bundle import Bundle, Prepared, bundles
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

Send = Callable[[str, Sequence[Verb[Any]], str, str], Completed]
Asked = tuple[Verb[Any], "Fence | None"]
"""A verb, and the fence that guards it where it writes."""


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
        part = self._prepared(host, verb, fence, send)
        return part.judged(send(host, [verb], part.line, part.stdin))

    def run_together(self, host: str, asked: Sequence[Asked], send: Send) -> list[Completed | FerrymanError]:
        """Ask a host several verbs in one command line, as far as it takes one of that length.

        An error stands in the place of an answer that there is not. What comes after a verb that writes and
        whose outcome is not known, or that was refused, may have run all the same: it only reads.

        Raises as ``run`` does.
        """
        parts = [self._prepared_or_not(host, verb, fence, send) for verb, fence in asked]
        found: list[Completed | FerrymanError] = []
        for each in bundles([part for part in parts if isinstance(part, Prepared)]):
            try:
                if isinstance(each, Bundle):
                    found += each.outcomes(send(host, each.verbs, each.line, ""))
                else:
                    found.append(each.judged(send(host, [each.verb], each.line, each.stdin)))
            except (DoubtError, VerifyError) as error:
                found += [error] * (len(each.parts) if isinstance(each, Bundle) else 1)
        answers = iter(found)
        return [next(answers) if isinstance(part, Prepared) else part for part in parts]

    def _prepared_or_not(
        self, host: str, verb: Verb[Any], fence: Fence | None, send: Send
    ) -> Prepared | ArgumentError:
        """A verb as it is sent; one that no host takes spoils no other."""
        try:
            return self._prepared(host, verb, fence, send)
        except ArgumentError as error:
            return error

    def _prepared(self, host: str, verb: Verb[Any], fence: Fence | None, send: Send) -> Prepared:
        """A verb as it is sent to the host alone; raises as ``run`` does."""
        token = new_token()
        user = self._without_root(host) if sudo.needs_sudo(verb) else None
        if user is None:
            line = command_line(verb, token, partial(fence.around, host) if fence else str)
            return Prepared(verb, line, verb.stdin, lambda raw: unframed(raw, token, verb))
        given = sudo.request(host, verb, token, fence)
        self._require_fit(host, user, send)

        def judged(raw: Completed) -> Completed:
            if (why := sudo.refusal(raw, user, verb, token)) is not None:
                raise why
            return unframed(raw, token, verb)

        return Prepared(verb, sudo.command_line(verb), given, judged)

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
