"""Hosts that answer from a script and keep state: for the tests of everything that runs commands."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ferryman.errors import DoubtError, DryRunError, UnreachableError
from ferryman.hosts.hosts import Completed, shown
from ferryman.hosts.script import Script

if TYPE_CHECKING:
    from collections.abc import Mapping

ANY_HOST = "*"


@dataclass(frozen=True, slots=True)
class Call:
    """One command that a fake host was asked to run."""

    host: str
    command: str
    stdin: str
    writes: bool

    @property
    def arguments(self) -> Mapping[str, Any]:
        """The arguments of the function that built the command; none where it is a plain text."""
        return self.command.arguments if isinstance(self.command, Script) else {}


Reply = str | int | Completed | DoubtError | Callable[[Call], "str | int | Completed | DoubtError"]
"""Standard output of a success, the status of a silent end, a whole result, an error to raise; or what makes
one of these from the call, and may change the fake world on the way."""


@dataclass
class FakeHosts:
    """Hosts whose answers were scripted, newest script first.

    >>> hosts = FakeHosts()
    >>> hosts.script("lvs1", "ipvsadm -Sn", "-A -t 192.0.2.1:80 -s wrr")
    >>> hosts.read("lvs1", "ipvsadm -Sn").stdout
    '-A -t 192.0.2.1:80 -s wrr'
    """

    dry_run: bool = False
    calls: list[Call] = field(default_factory=list)
    """Everything that was asked, in order; refused writes are not in it."""
    _scripts: list[_Reaction] = field(default_factory=list)
    _down: dict[str, DoubtError] = field(default_factory=dict)

    def script(self, host: str, asked: str | Callable[..., Script], *replies: Reply) -> None:
        """Answer what a host (``*``: any) is asked by this function, whatever the text is that it builds.

        A regular expression instead answers commands in which it is found: for those of an operator.
        Several replies are given in turn; the last one stays.
        """
        assert replies, "a script needs a reply"
        known = re.compile(asked, re.DOTALL) if isinstance(asked, str) else asked
        self._scripts.insert(0, _Reaction(host, known, list(replies)))

    def down(self, host: str, error: DoubtError | None = None) -> None:
        """Make a host fail every command from now on; unreachable, unless another error is given."""
        self._down[host] = error or UnreachableError(f"{host}: connect: connection refused; nothing ran")

    def up(self, host: str) -> None:
        """Let a host answer again."""
        self._down.pop(host, None)

    def written(self, host: str | None = None) -> list[str]:
        """The commands that were run to change something."""
        return [call.command for call in self.calls if call.writes and host in (None, call.host)]

    def read(
        self,
        host: str,
        command: str,
        *,
        stdin: str = "",
        timeout_s: float | None = None,  # noqa: ARG002  # a fake answers at once
    ) -> Completed:
        """Answer as scripted; a command without a script fails the test that asked."""
        return self._answer(Call(host, command, stdin, writes=False))

    def write(
        self,
        host: str,
        command: str,
        *,
        stdin: str = "",
        timeout_s: float | None = None,  # noqa: ARG002  # a fake answers at once
    ) -> Completed:
        """Answer as scripted; refuses in a dry run as the fleet does."""
        if self.dry_run:
            raise DryRunError(f"{host}: a dry run tried to run {shown(command)}")
        return self._answer(Call(host, command, stdin, writes=True))

    def read_all(self, commands: Mapping[str, str]) -> dict[str, Completed | DoubtError]:
        """One answer for each host, an error in the place of one that is down."""
        return {host: self._read_or_doubt(host, command) for host, command in commands.items()}

    def _read_or_doubt(self, host: str, command: str) -> Completed | DoubtError:
        try:
            return self.read(host, command)
        except DoubtError as error:
            return error

    def _answer(self, call: Call) -> Completed:
        self.calls.append(call)
        if call.host in self._down:
            raise self._down[call.host]
        script = next((script for script in self._scripts if script.fits(call)), None)
        assert script is not None, f"{call.host}: no script for {shown(call.command)}"
        return _completed(call, script.reply())


@dataclass
class _Reaction:
    host: str
    asked: re.Pattern[str] | Callable[..., Script]
    replies: list[Reply]

    def fits(self, call: Call) -> bool:
        if self.host not in (ANY_HOST, call.host):
            return False
        if isinstance(self.asked, re.Pattern):
            return self.asked.search(call.command) is not None
        return isinstance(call.command, Script) and call.command.builder is self.asked

    def reply(self) -> Reply:
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


def _completed(call: Call, reply: Reply) -> Completed:
    if callable(reply):
        reply = reply(call)
    if isinstance(reply, DoubtError):
        raise reply
    if isinstance(reply, Completed):
        return reply
    status, stdout = (0, reply) if isinstance(reply, str) else (reply, "")
    return Completed(call.host, call.command, status, stdout, "")
