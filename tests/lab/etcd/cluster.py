"""A real etcd of one or three members on this machine, whose members can be killed, frozen and started again.

A cluster has a /24 of the loopback network to itself. So its ports are the usual ones, and nobody takes them
while a member is down, as would happen to ports that the kernel picked.
"""

from __future__ import annotations

import http.client
import json
import os
import secrets
import signal
import socket
import ssl
import subprocess
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self, cast

from ferryman.retry import poll_until
from tools import require_tool

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from lab.etcd.certificates import Authority, Certificate

CLIENT_PORT, PEER_PORT = 2379, 2380
HEARTBEAT_MS, ELECTION_MS = 100, 1000
MIN_LEASE_S = 2
"""The shortest lease that etcd grants: one and a half election timeouts, rounded up to seconds."""

_HEALTHY_WITHIN_S = 30.0
_LOOK_EVERY_S = 0.05
_ANSWER_WITHIN_S = 2.0


@dataclass(frozen=True, slots=True)
class Security:
    """The certificate of a member, and the authority that it trusts."""

    authority: Authority
    own: Certificate

    def flags(self) -> Sequence[str]:
        """The options of etcd that refuse clients without a certificate of the authority."""
        return [
            f"--cert-file={self.own.certificate}",
            f"--key-file={self.own.key}",
            f"--trusted-ca-file={self.authority.ca}",
            "--client-cert-auth",
        ]

    def context(self) -> ssl.SSLContext:
        """The TLS context of a client that shows the member's own certificate."""
        context = ssl.create_default_context(cafile=self.authority.ca)
        context.load_cert_chain(self.own.certificate, self.own.key)
        return context


@dataclass
class Member:
    """One process of the cluster, and its data folder, which outlives it."""

    name: str
    address: str
    folder: Path
    security: Security | None = None
    flags: Sequence[str] = ()
    """More options of etcd's."""
    _process: subprocess.Popen[bytes] | None = None
    _frozen: bool = False

    @property
    def endpoint(self) -> str:
        """Where clients find it, ``HOST:PORT``."""
        return f"{self.address}:{CLIENT_PORT}"

    @property
    def peer_url(self) -> str:
        """Where the other members find it."""
        return f"http://{self.address}:{PEER_PORT}"

    @property
    def is_running(self) -> bool:
        """Whether there is a process, frozen or not."""
        return self._process is not None and self._process.poll() is None

    @property
    def can_answer(self) -> bool:
        """Whether it is worth asking."""
        return self.is_running and not self._frozen

    def start(self, initial: Sequence[Member]) -> None:
        """Start it with the data that it had; returns before it is ready."""
        scheme = "https" if self.security else "http"
        command = [
            *("setpriv", "--pdeathsig", "KILL", "etcd"),  # it dies with the tests, whatever ends them
            f"--name={self.name}",
            f"--data-dir={self.folder / self.name}",
            f"--listen-client-urls={scheme}://{self.endpoint}",
            f"--advertise-client-urls={scheme}://{self.endpoint}",
            f"--listen-peer-urls={self.peer_url}",
            f"--initial-advertise-peer-urls={self.peer_url}",
            f"--initial-cluster={','.join(f'{member.name}={member.peer_url}' for member in initial)}",
            f"--heartbeat-interval={HEARTBEAT_MS}",
            f"--election-timeout={ELECTION_MS}",
            "--logger=zap",
            *(self.security.flags() if self.security else ()),
            *self.flags,
        ]
        with (self.folder / f"{self.name}.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        self._frozen = False

    def kill(self) -> None:
        """End it with SIGKILL; what it had not yet replicated is lost."""
        if self.is_running:
            self._send(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def freeze(self) -> None:
        """Stop it with SIGSTOP: its connections stay, and nothing answers."""
        self._send(signal.SIGSTOP)
        self._frozen = True

    def thaw(self) -> None:
        """Continue a frozen member, which then believes that no time has passed."""
        if self._frozen and self.is_running:
            self._send(signal.SIGCONT)
        self._frozen = False

    def ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, token: str = ""
    ) -> dict[str, Any]:
        """Ask its HTTP gateway, as the user whose token that is.

        Raises:
            OSError: It does not answer, or not with JSON that says 200.
        """
        with closing(self._connection()) as connection:
            try:
                headers = {"Authorization": token} if token else {}
                connection.request(method, path, body=json.dumps(body or {}), headers=headers)
                answer = connection.getresponse()
                text = answer.read()
            except http.client.HTTPException as error:
                raise OSError(f"{self.name}: {error!r}") from error
        if answer.status != http.HTTPStatus.OK:
            raise OSError(f"{self.name}: {path}: {answer.status}: {text!r}")
        return cast("dict[str, Any]", json.loads(text))

    def is_healthy(self) -> bool:
        """Whether it answers and can write, with enough of the others."""
        try:
            return bool(self.ask("GET", "/health")["health"] == "true")
        except OSError:
            return False

    def _connection(self) -> http.client.HTTPConnection:
        if self.security is None:
            return http.client.HTTPConnection(self.address, CLIENT_PORT, timeout=_ANSWER_WITHIN_S)
        return http.client.HTTPSConnection(
            self.address, CLIENT_PORT, timeout=_ANSWER_WITHIN_S, context=self.security.context()
        )

    def _send(self, number: signal.Signals) -> None:
        assert self._process is not None, f"{self.name} was never started"
        os.kill(self._process.pid, number)


@dataclass
class Cluster:
    """All members of a cluster; entering starts them, leaving ends them."""

    folder: Path
    size: int = 3
    authority: Authority | None = None
    """With an authority, clients need a certificate of it."""
    flags: Sequence[str] = ()
    """More options of each member's."""
    members: list[Member] = field(init=False)
    network: str = field(init=False)
    """The first three numbers of its addresses; those from 101 on are for whatever stands before it."""

    def __post_init__(self) -> None:
        self.network = _free_network()
        self.members = [self._member(number) for number in range(1, self.size + 1)]

    def __enter__(self) -> Self:
        try:
            self.heal()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    @property
    def endpoints(self) -> list[str]:
        """Where clients find it: ``HOST:PORT`` of each member."""
        return [member.endpoint for member in self.members]

    def leader(self) -> Member:
        """The member that leads now, or as soon as one does.

        Raises:
            AssertionError: No leader was elected in time.
        """
        leader = poll_until(self._leader, bool, within_s=_HEALTHY_WITHIN_S, every_s=_LOOK_EVERY_S)
        assert leader is not None, "no member leads"
        return leader

    def start(self, member: Member) -> None:
        """Start one that was killed; returns before it is ready."""
        member.start(self.members)

    def heal(self) -> None:
        """Start and thaw all members, and wait until all can write.

        Raises:
            AssertionError: They do not come up in time; with what they wrote last.
        """
        for member in self.members:
            member.thaw()
            if not member.is_running:
                self.start(member)
        self.wait_until_healthy()

    def wait_until_healthy(self) -> None:
        """Wait until every member that runs and is not frozen can write; raises as ``heal`` does."""
        sick = poll_until(
            self._sick, lambda sick: not sick, within_s=_HEALTHY_WITHIN_S, every_s=_LOOK_EVERY_S
        )
        assert not sick, "\n".join(self._last_words(member) for member in sick)

    def clear(self) -> None:
        """Delete all keys of the cluster."""
        everything = "AA=="  # from the byte 0 on, without end
        self.leader().ask("POST", "/v3/kv/deleterange", {"key": everything, "range_end": everything})

    def end_leases(self) -> None:
        """Let every lease end, as if its time were over."""
        leader = self.leader()
        for lease in leader.ask("POST", "/v3/lease/leases").get("leases", []):
            leader.ask("POST", "/v3/lease/revoke", lease)

    def _stop(self) -> None:
        for member in self.members:
            member.kill()

    def _member(self, number: int) -> Member:
        name, address = f"etcd{number}", f"{self.network}.{number}"
        if self.authority is None:
            return Member(name, address, self.folder, flags=self.flags)
        own = self.authority.issue(name, [address, f"{self.network}.{number + 100}"])
        return Member(name, address, self.folder, Security(self.authority, own), self.flags)

    def _leader(self) -> Member | None:
        terms = dict(term for member in self.members if member.can_answer and (term := _leads(member)))
        return terms[max(terms)] if terms else None

    def _sick(self) -> list[Member]:
        return [member for member in self.members if member.can_answer and not member.is_healthy()]

    def _last_words(self, member: Member) -> str:
        log = (self.folder / f"{member.name}.log").read_text(encoding="utf-8", errors="replace")
        return "\n".join([f"{member.name} is not healthy:", *log.splitlines()[-5:]])


def require_etcd() -> None:
    """Skip the test unless the programs that a cluster wants are installed."""
    require_tool("etcd", package="etcd-server")
    require_tool("setpriv", package="util-linux")


def _leads(member: Member) -> tuple[int, Member] | None:
    """The term in which it leads; one that was thawed may think so for a moment, in an old term."""
    try:
        status = member.ask("POST", "/v3/maintenance/status")
    except OSError:
        return None
    return (
        (int(status["raftTerm"]), member) if status.get("leader") == status["header"]["member_id"] else None
    )


def _free_network() -> str:
    """A /24 of 127.0.0.0/8 where nobody listens."""
    while True:
        network = f"127.{secrets.randbelow(127) + 64}.{secrets.randbelow(254) + 1}"
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((f"{network}.1", CLIENT_PORT))
            except OSError:
                continue
            return network
