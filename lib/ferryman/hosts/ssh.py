"""SSH to hosts: the fleet.

One connection for each host, opened when it is first needed and kept. Nothing here waits without a deadline,
and nothing is repeated once a command was sent: what became of it can only be read back.

paramiko waits without a deadline in places where it takes a timeout (``recv_exit_status``, ``exec_command``'s
reply: paramiko issues 1815 and 739), stops for ever when one of two streams fills its window unread (issue
448), and leaves sockets and threads behind when a handshake fails (issues 2214, 2560). So the protocol's
phases are walked through one by one here and in the modules below, a timeout closes the channel, both streams
are read at once, and whatever fails is closed.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from ferryman.errors import DoubtError, DryRunError, UnreachableError
from ferryman.hosts.command import RemoteCommand
from ferryman.hosts.connect import Timeouts
from ferryman.hosts.connection import Connection
from ferryman.hosts.fence import Fence
from ferryman.hosts.hosts import Completed, shown
from ferryman.hosts.login import Login
from ferryman.hosts.route import Routes
from ferryman.hosts.transport import loss

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Self

    from ferryman.config import SshConfig
    from ferryman.hosts.hosts import HostAddress


class Fleet:
    """The hosts of a run, reached over SSH.

    Use it as a context manager, or call ``close``.
    """

    def __init__(
        self, addresses: Mapping[str, HostAddress], ssh: SshConfig, *, dry_run: bool = False
    ) -> None:
        """Read the key and known_hosts; connect to nothing yet.

        Raises:
            ConfigError: One of the files cannot be used.
        """
        self._ssh = ssh
        self._dry_run = dry_run
        self._routes = Routes(addresses, ssh)
        self._login = Login(ssh, self._routes)
        self._connections: dict[str, Connection] = {}
        self._timeouts = Timeouts()
        self._lock = threading.Lock()
        self._closed = False
        self._fence: Fence | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self, host: str, command: str, *, stdin: str = "", timeout_s: float | None = None) -> Completed:
        """Run a command that changes nothing; see ``Hosts.read``."""
        return self._run(host, command, command, stdin, timeout_s)

    def write(self, host: str, command: str, *, stdin: str = "", timeout_s: float | None = None) -> Completed:
        """Run a command that changes something; see ``Hosts.write``."""
        if self._dry_run:
            raise DryRunError(f"{host}: a dry run tried to run {shown(command)}; nothing ran")
        if self._fence is None:
            return self._run(host, command, command, stdin, timeout_s)
        done = self._run(host, command, self._fence.around(host, command), stdin, timeout_s)
        return self._fence.judged(done, command)

    def fence(self, run: str, token: int, hosts: Sequence[str]) -> dict[str, DoubtError]:
        """Write as this holder of the run from now on.

        On these hosts no command of a holder with a smaller token takes effect any more, from when this
        returns; one that has begun has ended. Returns the hosts that could not be asked, and why.

        Raises:
            BusyError: A later holder has been there.
            CommandFailedError: A host cannot keep the number; no write could run there either.
        """
        self._fence = Fence(run, token)
        silent = {}
        for host in hosts:
            try:
                self.write(host, ":").checked()
            except DoubtError as error:
                silent[host] = error
        return silent

    def read_all(self, commands: Mapping[str, str]) -> dict[str, Completed | DoubtError]:
        """Run one command on each host, ``concurrency`` hosts at a time; see ``Hosts.read_all``."""

        def ask(host: str) -> Completed | DoubtError:
            try:
                return self.read(host, commands[host])
            except DoubtError as error:
                return error

        if not commands:
            return {}
        with ThreadPoolExecutor(min(self._ssh.concurrency, len(commands)), "ferryman-ssh") as pool:
            return dict(zip(commands, pool.map(ask, commands), strict=True))

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

    def _run(self, host: str, command: str, sent: str, stdin: str, timeout_s: float | None) -> Completed:
        channel = self._connection(host).channel()
        remote = RemoteCommand(
            host, command, channel, sent=sent, lost=lambda error: loss(channel.get_transport(), error)
        )
        seconds = self._ssh.command_timeout if timeout_s is None else timeout_s
        return remote.run(stdin, seconds, self._timeouts)

    def _connection(self, host: str) -> Connection:
        with self._lock:
            if self._closed:
                raise UnreachableError(f"{host}: connect: the fleet was closed; nothing ran there")
            if host not in self._connections:
                self._connections[host] = Connection(self._routes.to(host), self._login)
            return self._connections[host]
