"""SSH to hosts: the fleet.

One connection for each host, opened when it is first needed and kept. Nothing here waits without a deadline,
and nothing is repeated once a command was sent: what became of it can only be read back.

paramiko waits without a deadline in places where it takes a timeout (``recv_exit_status``, ``exec_command``'s
reply: paramiko issues 1815 and 739), stops for ever when one of two streams fills its window unread (issue
448), and leaves sockets and threads behind when a handshake fails (issues 2214, 2560). So the protocol's
phases are walked through one by one here and in the modules below, a timeout closes the channel, and whatever
fails is closed.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from ferryman.errors import DoubtError, DryRunError, FerrymanError, UnreachableError, VerifyError
from ferryman.hosts.command import RemoteCommand
from ferryman.hosts.completed import shown
from ferryman.hosts.connect import Timeouts
from ferryman.hosts.connection import Connection
from ferryman.hosts.fence import Fence
from ferryman.hosts.helper.users import Users
from ferryman.hosts.hosts import value_or_error
from ferryman.hosts.login import Login
from ferryman.hosts.route import Routes
from ferryman.hosts.transport import loss
from ferryman.hosts.verbs.fence import TakeOver

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, Self

    from ferryman.config import SshConfig
    from ferryman.hosts.completed import Completed
    from ferryman.hosts.helper.needs import NeedsOf
    from ferryman.hosts.helper.users import Asked
    from ferryman.hosts.hosts import HostAddress, Questions
    from ferryman.hosts.verbs import ReadVerb, Verb, WriteVerb

T = TypeVar("T")
Q = TypeVar("Q")


class Fleet:
    """The hosts of a run, reached over SSH.

    Use it as a context manager, or call ``close``.
    """

    def __init__(
        self,
        addresses: Mapping[str, HostAddress],
        ssh: SshConfig,
        *,
        dry_run: bool = False,
        needs_of: NeedsOf = lambda _: {},
    ) -> None:
        """Read the key and known_hosts; connect to nothing yet.

        ``needs_of`` says what a host must allow a user without root; that is looked at first.

        Raises:
            ConfigError: One of the files cannot be used.
        """
        self._ssh = ssh
        self._dry_run = dry_run
        self._routes = Routes(addresses, ssh)
        self._login = Login(ssh, self._routes)
        self._users = Users(addresses, ssh, needs_of, lambda host: self._routes.to(host).user)
        self._connections: dict[str, Connection] = {}
        self._timeouts = Timeouts()
        self._lock = threading.Lock()
        self._closed = False
        self._fence: Fence | None = None
        self.heard: Callable[[str, Verb[Any], Completed], None] = _unheard
        """Gets what each script printed, before it is parsed."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self, host: str, verb: ReadVerb[T]) -> T:
        """Ask a host something; see ``Hosts.read``."""
        verb.require_kind(reads=True)
        done = self._run(host, verb)
        self.heard(host, verb, done)
        return verb.value(done)

    def write(self, host: str, verb: WriteVerb[T]) -> T:
        """Do something to a host; see ``Hosts.write``."""
        self._require_write(host, verb)
        done = self._run(host, verb, self._fence)
        return verb.value(done if self._fence is None else self._fence.judged(done))

    def _require_write(self, host: str, verb: Verb[Any]) -> None:
        """Refuse what does not write, and in a dry run everything."""
        verb.require_kind(reads=False)
        if self._dry_run:
            raise DryRunError(f"{host}: a dry run tried to run {shown(verb.shown)}; nothing ran")

    def fence(self, run: str, token: int, hosts: Sequence[str]) -> dict[str, DoubtError]:
        """Write as this holder of the run from now on.

        On these hosts no command of a holder with a smaller token takes effect any more, from when this
        returns; one that has begun has ended. Returns the hosts that could not be asked, and why.

        Raises:
            BusyError: A later holder has been there.
            CommandFailedError: A host cannot keep the number; no write could run there either.
        """
        self._fence = Fence(run, token)
        with ThreadPoolExecutor(min(self._ssh.concurrency, len(hosts) or 1), "ferryman-ssh") as pool:
            answers = dict(zip(hosts, pool.map(self._fenced_off, hosts), strict=True))
        return {host: error for host, error in answers.items() if error is not None}

    def _fenced_off(self, host: str) -> DoubtError | None:
        try:
            self.write(host, TakeOver())
        except DoubtError as error:
            return error
        return None

    def read_all(self, verbs: Mapping[str, ReadVerb[T]]) -> dict[str, T | DoubtError | VerifyError]:
        """Ask each host its question, ``concurrency`` hosts at a time; see ``Hosts.read_all``."""
        return self._side_by_side(partial(value_or_error, self), verbs)

    def read_together(self, questions: Questions) -> dict[str, list[Any]]:
        """Ask each host its questions as one command, ``concurrency`` hosts at a time."""
        for verb in (verb for verbs in questions.values() for verb in verbs):
            verb.require_kind(reads=True)
        return self._side_by_side(self._asked, questions)

    def write_and_read(
        self, host: str, verb: WriteVerb[T], questions: Sequence[ReadVerb[Any]]
    ) -> tuple[T, list[Any]]:
        """Do something to a host and ask it then, as one command; see ``Hosts.write_and_read``."""
        self._require_write(host, verb)
        for question in questions:
            question.require_kind(reads=True)
        done, *answers = self._run_together(
            host, [(verb, self._fence), *((each, None) for each in questions)]
        )
        if isinstance(done, FerrymanError):
            raise done
        value = verb.value(done if self._fence is None else self._fence.judged(done))
        return value, self._values(host, questions, answers)

    def _side_by_side(self, ask: Callable[[str, Q], T], questions: Mapping[str, Q]) -> dict[str, T]:
        """What each host answers, by host, ``concurrency`` hosts at a time.

        Whoever is interrupted while they wait does not wait for the answers: what was asked only reads, and
        ends with the fleet.
        """
        pool = ThreadPoolExecutor(min(self._ssh.concurrency, len(questions) or 1), "ferryman-ssh")
        try:
            answers = dict(zip(questions, pool.map(ask, questions, questions.values()), strict=True))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        return answers

    def _asked(self, host: str, verbs: Sequence[ReadVerb[Any]]) -> list[Any]:
        """A host's answers, in order; an error in the place of one that there is not."""
        try:
            return self._values(host, verbs, self._run_together(host, [(verb, None) for verb in verbs]))
        except (DoubtError, VerifyError) as error:
            return [error] * len(verbs)

    def _values(
        self, host: str, verbs: Sequence[ReadVerb[Any]], outcomes: Sequence[Completed | FerrymanError]
    ) -> list[Any]:
        return [self._value(host, *each) for each in zip(verbs, outcomes, strict=True)]

    def _value(self, host: str, verb: ReadVerb[T], done: Completed | FerrymanError) -> T | FerrymanError:
        if isinstance(done, FerrymanError):
            return done
        self.heard(host, verb, done)
        try:
            return verb.value(done)
        except FerrymanError as error:
            return error

    def close(self) -> None:
        """Close every connection; a command that still runs ends with ``UnknownOutcomeError``."""
        with self._lock:
            self._closed = True
            connections = list(self._connections.values())
        for connection in connections:
            connection.start_closing()
        for connection in connections:
            connection.close()
        self._login.close()
        self._timeouts.close()

    def _run(self, host: str, verb: Verb[object], fence: Fence | None = None) -> Completed:
        return self._users.run(host, verb, fence, self._sent)

    def _run_together(self, host: str, asked: Sequence[Asked]) -> list[Completed | FerrymanError]:
        return self._users.run_together(host, asked, self._sent)

    def _sent(self, host: str, verbs: Sequence[Verb[Any]], line: str, stdin: str) -> Completed:
        """Send a command line; what comes back is waited for as long as for each verb after the other."""
        channel = self._connection(host).channel()
        lost = partial(loss, channel.get_transport())
        remote = RemoteCommand(host, ", ".join(verb.shown for verb in verbs), channel, sent=line, lost=lost)
        usual_s = self._ssh.command_timeout
        seconds = sum(usual_s if verb.deadline_s is None else verb.deadline_s for verb in verbs)
        return remote.run(stdin, seconds, self._timeouts, limit=sum(verb.limit for verb in verbs))

    def _connection(self, host: str) -> Connection:
        with self._lock:
            if self._closed:
                raise UnreachableError(f"{host}: connect: the fleet was closed; nothing ran there")
            if host not in self._connections:
                self._connections[host] = Connection(self._routes.to(host), self._login)
            return self._connections[host]


def _unheard(host: str, verb: Verb[Any], done: Completed) -> None:
    """Do nothing: nobody keeps what the fleet is told."""
