"""Logging in to a host: connect, handshake, host key, authentication, all before one deadline."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from ferryman.errors import ConfigError, UnreachableError
from ferryman.hosts.certificates import Certificate
from ferryman.hosts.connect import Deadline, connect
from ferryman.hosts.explanations import nothing_ran, why
from ferryman.hosts.jump import JumpHosts
from ferryman.hosts.keys import Keys
from ferryman.hosts.known_hosts import KnownHosts, PresentedKey
from ferryman.hosts.ssh_library import paramiko
from ferryman.hosts.transport import hang_up, host_key_order, open_transport

if TYPE_CHECKING:
    from pathlib import Path

    from ferryman.config import SshConfig
    from ferryman.hosts.hop import Hop
    from ferryman.hosts.route import Routes
    from ferryman.hosts.transport import Transport, Wire

IDLE_S = 1.0
"""Seconds between two looks of a kept connection's thread; hundreds of them feel paramiko's own 0.1."""
KEEPALIVE_S = 15
"""Seconds without traffic after which a message is sent; the kernel gives up what is not acknowledged."""
MOST_OFFERS = 6
"""Keys that a host is offered: sshd ends the connection at so many that it does not take (MaxAuthTries)."""


class Login:
    """Connects to hosts, through their jump hosts."""

    def __init__(self, ssh: SshConfig, routes: Routes) -> None:
        """Read the key and known_hosts that all hosts share.

        Raises:
            ConfigError: One of the files cannot be used.
        """
        self.connect_timeout_s = ssh.connect_timeout
        self._keys = Keys()
        self._known: dict[tuple[Path, ...], KnownHosts] = {}
        self._jump_hosts = JumpHosts(self._log_in)
        if ssh.identity is not None:
            self._keys.require_usable(routes.common_keys)
        elif not routes.file.mentions("identityfile", "identityagent"):
            self._keys.require_any(routes.common_keys)
        if ssh.known_hosts is not None or not routes.file.mentions("userknownhostsfile"):
            self._known_hosts(routes.common_known_hosts)

    def connect(self, hop: Hop) -> Transport:
        """A connection that is authenticated, before the deadline, which all hops share.

        Raises:
            UnreachableError: It did not come about; host and phase are named.
        """
        return self._log_in(hop, Deadline(self.connect_timeout_s))

    def close(self) -> None:
        """Close the connections to jump hosts."""
        self._jump_hosts.close()

    def _log_in(self, hop: Hop, deadline: Deadline) -> Transport:
        try:
            known = self._known_hosts(hop.known_hosts)
        except ConfigError as error:
            raise UnreachableError(f"{hop.name}: host key: {error}; nothing ran there") from error
        if hop.via is None:
            wire: Wire = connect(hop, deadline)
        else:
            wire = self._jump_hosts.connect(hop.via, hop, deadline)
        order = host_key_order(
            known.signatures(hop.known_as), certificates=bool(known.authorities(hop.known_as))
        )
        transport = open_transport(hop, wire, order)
        try:
            self._shake_hands(hop, transport, deadline)
            _check_host_key(hop, transport, known)
            self._authenticate(hop, transport, deadline)
        except BaseException:
            hang_up(transport)
            raise
        transport.set_keepalive(KEEPALIVE_S)
        wire.settimeout(IDLE_S)
        return transport

    def _known_hosts(self, paths: tuple[Path, ...]) -> KnownHosts:
        if paths not in self._known:
            self._known[paths] = KnownHosts.load(*paths)
        return self._known[paths]

    def _shake_hands(self, hop: Hop, transport: Transport, deadline: Deadline) -> None:
        """Agree on keys; post-quantum key exchange costs 0.2 ms and stays the first choice.

        GCM is asked for before other ciphers: their MACs paramiko compares byte by byte, in Python.
        """
        options = transport.get_security_options()
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
            f"{hop.name}: connect: {hop.target} port {hop.port} takes TCP, but no {missing} came"
            f"{f': {why(seen)}' if seen else f' within {deadline.seconds:g} s'}; nothing ran there"
        )

    def _authenticate(self, hop: Hop, transport: Transport, deadline: Deadline) -> None:
        refusals: list[str] = []
        remedy = f"add the public key to {hop.user}'s authorized_keys there"
        with nothing_ran(hop.name, "authenticate"), self._keys.offers(hop.keys, deadline) as offers:
            for number, offer in enumerate(offers):
                if number == MOST_OFFERS or (number and not transport.is_active()):
                    refusals.append(f"no more keys than these {number} may be tried")
                    remedy = "name the right key as ssh.identity; the public key will do if an agent has it"
                    break
                transport.auth_timeout = deadline.left()
                try:
                    if not (more := transport.auth_publickey(hop.user, offer)):
                        return
                    refusals.append(f"{offer.what}: taken, but the host asks for {' and '.join(more)} too")
                except paramiko.AuthenticationException as error:
                    refusals.append(f"{offer.what}: {why(error)}")
        tried = "; ".join([*refusals, *offers.faults()]) or "no key to offer"
        raise UnreachableError(
            f"{hop.name}: authenticate: {hop.user} was not let in ({tried}); {remedy}; nothing ran there"
        )


def _check_host_key(hop: Hop, transport: Transport, known: KnownHosts) -> None:
    with nothing_ran(hop.name, "host key"):
        key = transport.get_remote_server_key()
        certificate = None
        if key.public_blob is not None:
            certificate = Certificate.parse(key.public_blob.key_blob)
        known.judge(hop.name, hop.known_as, PresentedKey(key.get_name(), key.asbytes(), certificate))
