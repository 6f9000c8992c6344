"""SSH to hosts: the only module that imports paramiko.

One connection for each host, opened when it is first needed and kept. Nothing here waits without a deadline,
and nothing is repeated once a command was sent: what became of it can only be read back.

paramiko waits without a deadline in places where it takes a timeout (``recv_exit_status``, ``exec_command``'s
reply: paramiko issues 1815 and 739), stops for ever when one of two streams fills its window unread (issue
448), and leaves sockets and threads behind when a handshake fails (issues 2214, 2560). So the protocol's
phases are walked through one by one, a timeout closes the channel, and whatever fails is closed here.
"""

from __future__ import annotations

import logging
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import paramiko

from ferryman.errors import ConfigError, DoubtError, DryRunError, FerrymanError, UnreachableError
from ferryman.hosts.command import WINDOW, RemoteCommand
from ferryman.hosts.completed import shown
from ferryman.hosts.connect import Deadline, Timeouts, connect, within
from ferryman.hosts.fence import Fence
from ferryman.hosts.helper.users import Users
from ferryman.hosts.hosts import HostAddress, value_or_error
from ferryman.hosts.known_hosts import KnownHosts, PresentedKey, known_names
from ferryman.hosts.verbs.fence import TakeOver

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import Self

    from ferryman.config import SshConfig
    from ferryman.errors import VerifyError
    from ferryman.hosts.completed import Completed
    from ferryman.hosts.helper.needs import NeedsOf
    from ferryman.hosts.verbs import ReadVerb, Verb, WriteVerb

T = TypeVar("T")

IDLE_S = 1.0
"""Seconds between two looks of a kept connection's thread; hundreds of them feel paramiko's own 0.1."""
KEEPALIVE_S = 15
"""Seconds without traffic after which a message is sent; the kernel gives up what is not acknowledged."""

EXPLANATIONS: dict[type[BaseException], str] = {
    paramiko.PasswordRequiredException: "the key is encrypted",
    paramiko.BadAuthenticationType: "the host takes no public keys from this user",
    paramiko.ssh_exception.PartialAuthentication: "the key was taken, but the host asks for more than a key",
    paramiko.ssh_exception.UnableToAuthenticate: "the host refused every key",
    paramiko.AuthenticationException: "the host refused the key",
    paramiko.BadHostKeyException: "the host key is not the known one",
    paramiko.ssh_exception.MessageOrderError: "the peer broke the order of the key exchange",
    paramiko.ssh_exception.IncompatiblePeer: "no algorithm in common",
    paramiko.ProxyCommandFailure: "the proxy command failed",
    paramiko.ChannelException: "the host refused another session",
    paramiko.ssh_exception.CouldNotCanonicalize: "the name could not be made canonical",
    paramiko.ConfigParseError: "the ssh_config could not be understood",
    paramiko.ssh_exception.NoValidConnectionsError: "no address took the connection",
    paramiko.pkey.UnknownKeyType: "a key of a kind that is not supported",
    paramiko.hostkeys.InvalidHostKey: "a host key that could not be read",
    paramiko.SSHException: "the SSH protocol failed",
    EOFError: "the host closed the connection",
    TimeoutError: "no answer in time",
    OSError: "the connection broke",
}
"""What an exception out of paramiko means, most specific first; any other is shown as it is."""

logging.getLogger("paramiko").addHandler(logging.NullHandler())


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
        self._addresses = addresses
        self._ssh = ssh
        self._dry_run = dry_run
        self._login = _Login(ssh)
        self._users = Users(addresses, ssh, needs_of)
        self._connections: dict[str, _Connection] = {}
        self._timeouts = Timeouts()
        self._lock = threading.Lock()
        self._closed = False
        self._fence: Fence | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self, host: str, verb: ReadVerb[T]) -> T:
        """Ask a host something; see ``Hosts.read``."""
        verb.require_kind(reads=True)
        return verb.value(self._run(host, verb))

    def write(self, host: str, verb: WriteVerb[T]) -> T:
        """Do something to a host; see ``Hosts.write``."""
        verb.require_kind(reads=False)
        if self._dry_run:
            raise DryRunError(f"{host}: a dry run tried to run {shown(verb.shown)}; nothing ran")
        done = self._run(host, verb, self._fence)
        return verb.value(done if self._fence is None else self._fence.judged(done))

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
                self.write(host, TakeOver())
            except DoubtError as error:
                silent[host] = error
        return silent

    def read_all(self, verbs: Mapping[str, ReadVerb[T]]) -> dict[str, T | DoubtError | VerifyError]:
        """Ask each host its question, ``concurrency`` hosts at a time; see ``Hosts.read_all``."""
        with ThreadPoolExecutor(min(self._ssh.concurrency, len(verbs) or 1), "ferryman-ssh") as pool:
            asked = pool.map(partial(value_or_error, self), verbs, verbs.values())
            return dict(zip(verbs, asked, strict=True))

    def close(self) -> None:
        """Close every connection; a command that still runs ends with ``UnknownOutcomeError``."""
        with self._lock:
            self._closed = True
            connections = list(self._connections.values())
        for connection in connections:
            connection.start_closing()
        for connection in connections:
            connection.close()
        self._timeouts.close()

    def _run(self, host: str, verb: Verb[object], fence: Fence | None = None) -> Completed:
        return self._users.run(host, verb, fence, self._sent)

    def _sent(self, host: str, verb: Verb[object], line: str, stdin: str) -> Completed:
        channel = self._connection(host).channel()
        lost = partial(_loss, channel.get_transport())
        remote = RemoteCommand(host, verb.shown, channel, sent=line, lost=lost)
        seconds = self._ssh.command_timeout if verb.deadline_s is None else verb.deadline_s
        return remote.run(stdin, seconds, self._timeouts, limit=verb.limit)

    def _connection(self, host: str) -> _Connection:
        with self._lock:
            if self._closed:
                raise UnreachableError(f"{host}: connect: the fleet was closed; nothing ran there")
            if host not in self._connections:
                where = self._addresses.get(host) or HostAddress(host)
                self._connections[host] = _Connection(where, self._login)
            return self._connections[host]


class _Connection:
    """The connection to one host; several commands may share it."""

    def __init__(self, where: HostAddress, login: _Login) -> None:
        self._where = where
        self._login = login
        self._lock = threading.Lock()
        self._transport: paramiko.Transport | None = None

    def channel(self) -> paramiko.Channel:
        """A channel on which no command was sent yet.

        A kept connection that turns out dead is opened anew, once: nothing was asked on it.
        """
        with self._lock:
            return self._on_kept() or self._on_new()

    def start_closing(self) -> None:
        """Shut the socket down, so that whatever waits on the connection stops waiting."""
        if self._transport is not None:
            with suppress(OSError):
                self._transport.sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection and end its threads; twice is harmless."""
        with self._lock:
            if self._transport is not None:
                _hang_up(self._transport)
            self._transport = None

    def _on_kept(self) -> paramiko.Channel | None:
        if self._transport is None:
            return None
        try:
            return self._transport.open_session(WINDOW, timeout=self._login.connect_timeout_s)
        except paramiko.ChannelException as error:
            raise _unreachable(self._where.name, "run", error) from error
        except (paramiko.SSHException, EOFError, OSError):
            return None

    def _on_new(self) -> paramiko.Channel:
        if self._transport is not None:
            _hang_up(self._transport)
            self._transport = None
        self._transport = self._login.connect(self._where)
        with _nothing_ran(self._where.name, "run"):
            return self._transport.open_session(WINDOW, timeout=self._login.connect_timeout_s)


class _Login:
    """How every host is connected to: as whom, with which key, trusting which host keys."""

    def __init__(self, ssh: SshConfig) -> None:
        self.connect_timeout_s = ssh.connect_timeout
        self._user = ssh.user
        self._path = ssh.identity.expanduser()
        self._key = _identity(self._path)
        self._known = KnownHosts.load(ssh.known_hosts.expanduser())

    def connect(self, where: HostAddress) -> paramiko.Transport:
        """A connection that is authenticated, before the deadline.

        Raises:
            UnreachableError: It did not come about; host and phase are named.
        """
        deadline = Deadline(self.connect_timeout_s)
        connection = connect(where, deadline)
        transport = _transport(where, connection)
        try:
            self._shake_hands(where, transport, deadline)
            self._check_host_key(where, transport)
            self._authenticate(where, transport, deadline)
        except BaseException:
            _hang_up(transport)
            raise
        transport.set_keepalive(KEEPALIVE_S)
        connection.settimeout(IDLE_S)
        return transport

    def _shake_hands(self, where: HostAddress, transport: paramiko.Transport, deadline: Deadline) -> None:
        """Agree on keys; post-quantum key exchange costs 0.2 ms and stays the first choice.

        GCM is asked for before other ciphers: their MACs paramiko compares byte by byte, in Python.
        """
        options = transport.get_security_options()
        known = self._known.signatures(_names(where))
        options.key_types = tuple(sorted(options.key_types, key=lambda algorithm: algorithm not in known))
        options.ciphers = tuple(sorted(options.ciphers, key=lambda cipher: "-gcm@" not in cipher))
        transport.banner_timeout = transport.handshake_timeout = deadline.left()
        transport.clear_to_send_timeout = self.connect_timeout_s
        done = threading.Event()
        transport.start_client(event=done)
        done.wait(deadline.left())
        if transport.is_active() and done.is_set():
            return
        missing = "key exchange" if transport.remote_version else "SSH banner"
        seen = transport.get_exception()
        raise UnreachableError(
            f"{where.name}: connect: {where.target} port {where.port} takes TCP, but no {missing} came"
            f"{f': {_why(seen)}' if seen else f' within {deadline.seconds:g} s'}; nothing ran there"
        )

    def _check_host_key(self, where: HostAddress, transport: paramiko.Transport) -> None:
        with _nothing_ran(where.name, "host key"):
            key = transport.get_remote_server_key()
            self._known.judge(where.name, _names(where), PresentedKey(key.get_name(), key.asbytes()))

    def _authenticate(self, where: HostAddress, transport: paramiko.Transport, deadline: Deadline) -> None:
        user = where.user or self._user
        refusals = []
        with _nothing_ran(where.name, "authenticate"), self._keys(deadline) as keys:
            for what, key in keys:
                transport.auth_timeout = deadline.left()
                try:
                    if not (more := transport.auth_publickey(user, key)):
                        return
                    refusals.append(f"{what}: taken, but the host asks for {' and '.join(more)} too")
                except paramiko.AuthenticationException as error:
                    refusals.append(f"{what}: {_why(error)}")
                    if not transport.is_active():
                        break
        tried = "; ".join(refusals) or "no key to offer"
        raise UnreachableError(
            f"{where.name}: authenticate: {user} was not let in ({tried}); "
            f"add the public key to {user}'s authorized_keys there; nothing ran there"
        )

    @contextmanager
    def _keys(self, deadline: Deadline) -> Iterator[Iterator[tuple[str, paramiko.PKey]]]:
        """The key file's key, then the agent's; the agent is asked only when it comes to that."""
        agents: list[paramiko.Agent] = []

        def keys() -> Iterator[tuple[str, paramiko.PKey]]:
            if self._key is not None:
                yield str(self._path), self._key
            agents.append(within(deadline, paramiko.Agent))
            for key in agents[0].get_keys():
                yield f"agent's {key.get_name()} {key.comment}".strip(), key

        try:
            yield keys()
        finally:
            for agent in agents:
                agent.close()


def _transport(where: HostAddress, connection: socket.socket) -> paramiko.Transport:
    try:
        with _nothing_ran(where.name, "connect"):
            return paramiko.Transport(connection)
    except BaseException:
        connection.close()
        raise


def _hang_up(transport: paramiko.Transport) -> None:
    """Close a connection in whatever state it is, with its socket and threads."""
    with suppress(OSError):
        transport.sock.shutdown(socket.SHUT_RDWR)
    transport.close()
    transport.sock.close()
    if transport.is_alive():
        transport.join(timeout=1.0)
    transport.packetizer.complete_handshake()  # cancels the timer that a failed handshake leaves running


def _identity(path: Path) -> paramiko.PKey | None:
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
        raise ConfigError(f"ssh.identity: {path}: no private key that can be used: {_why(error)}") from error


def _agent_holds_keys() -> bool:
    try:
        agent = within(Deadline(2.0), paramiko.Agent)
    except (paramiko.SSHException, OSError):
        return False
    held = bool(agent.get_keys())
    agent.close()
    return held


def _loss(transport: paramiko.Transport, error: Exception | None) -> str | None:
    """Why the connection is no more; None while it stands."""
    if transport.is_active():
        return None
    seen = error or transport.get_exception()
    return _why(seen) if seen else "the host closed it"


def _names(where: HostAddress) -> tuple[str, ...]:
    return known_names(where.name, where.address, where.port)


@contextmanager
def _nothing_ran(host: str, phase: str) -> Iterator[None]:
    """Whatever goes wrong in here goes wrong before a command was sent."""
    try:
        yield
    except FerrymanError:
        raise
    except Exception as error:  # paramiko hands on whatever its own thread met
        raise _unreachable(host, phase, error) from error


def _unreachable(host: str, phase: str, error: Exception) -> UnreachableError:
    return UnreachableError(f"{host}: {phase}: {_why(error)}; nothing ran there")


def _why(error: BaseException) -> str:
    """What an exception means, from ``EXPLANATIONS``, and its own message."""
    meaning = next((words for kind, words in EXPLANATIONS.items() if isinstance(error, kind)), None)
    own = " ".join(str(error).split())
    if meaning is None:
        return f"{type(error).__name__}: {own}"
    return f"{meaning}: {own}" if own else meaning
