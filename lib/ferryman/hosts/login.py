"""Logging in to a host: connect, handshake, host key, authentication, all before one deadline."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import paramiko

from ferryman.errors import UnreachableError
from ferryman.hosts.connect import Deadline, connect, within
from ferryman.hosts.explanations import nothing_ran, why
from ferryman.hosts.keys import read_identity
from ferryman.hosts.known_hosts import KnownHosts, PresentedKey, known_names
from ferryman.hosts.transport import hang_up, open_transport

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferryman.config import SshConfig
    from ferryman.hosts.hosts import HostAddress

IDLE_S = 1.0
"""Seconds between two looks of a kept connection's thread; hundreds of them feel paramiko's own 0.1."""
KEEPALIVE_S = 15
"""Seconds without traffic after which a message is sent; the kernel gives up what is not acknowledged."""


class Login:
    """How every host is connected to: as whom, with which key, trusting which host keys."""

    def __init__(self, ssh: SshConfig) -> None:
        self.connect_timeout_s = ssh.connect_timeout
        self._user = ssh.user
        self._path = ssh.identity.expanduser()
        self._key = read_identity(self._path)
        self._known = KnownHosts.load(ssh.known_hosts.expanduser())

    def connect(self, where: HostAddress) -> paramiko.Transport:
        """A connection that is authenticated, before the deadline.

        Raises:
            UnreachableError: It did not come about; host and phase are named.
        """
        deadline = Deadline(self.connect_timeout_s)
        connection = connect(where, deadline)
        transport = open_transport(where, connection)
        try:
            self._shake_hands(where, transport, deadline)
            self._check_host_key(where, transport)
            self._authenticate(where, transport, deadline)
        except BaseException:
            hang_up(transport)
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
            f"{f': {why(seen)}' if seen else f' within {deadline.seconds:g} s'}; nothing ran there"
        )

    def _check_host_key(self, where: HostAddress, transport: paramiko.Transport) -> None:
        with nothing_ran(where.name, "host key"):
            key = transport.get_remote_server_key()
            self._known.judge(where.name, _names(where), PresentedKey(key.get_name(), key.asbytes()))

    def _authenticate(self, where: HostAddress, transport: paramiko.Transport, deadline: Deadline) -> None:
        user = where.user or self._user
        refusals = []
        with nothing_ran(where.name, "authenticate"), self._keys(deadline) as keys:
            for what, key in keys:
                transport.auth_timeout = deadline.left()
                try:
                    if not (more := transport.auth_publickey(user, key)):
                        return
                    refusals.append(f"{what}: taken, but the host asks for {' and '.join(more)} too")
                except paramiko.AuthenticationException as error:
                    refusals.append(f"{what}: {why(error)}")
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


def _names(where: HostAddress) -> tuple[str, ...]:
    return known_names(where.name, where.address, where.port)
