"""An OpenSSH server on loopback, and ports that only look like one."""

from __future__ import annotations

import contextlib
import os
import random
import select
import shutil
import socket
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ferryman.config import SshConfig
from ferryman.hosts import HostAddress
from ferryman.hosts.ssh import Fleet
from ferryman.retry import poll_until
from tools import PATH, require_tool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENT_S = 60.0
NOT_GIVEN_AWAY = (20000, 32000)
PRIVILEGE_SEPARATION = Path("/run/sshd")
"""Root's sshd wants this folder; where sshd has never been started as a service there is none."""


@dataclass
class Server:
    """One sshd on 127.0.0.1 and what it takes to be let in."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None
    fleets: list[Fleet] = field(default_factory=list)

    @property
    def identity(self) -> Path:
        return self.folder / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        return self.folder / "known_hosts"

    def make(self, keys: Path) -> None:
        shutil.copytree(keys, self.folder, dirs_exist_ok=True)
        shutil.copy(self.identity.with_suffix(".pub"), self.folder / "authorized_keys")
        self.trust("host_ed25519")
        (self.folder / "home").mkdir()
        (self.folder / "sshd_config").write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nPidFile none\nUsePAM no\nStrictModes no\n"
            f"PasswordAuthentication no\nPermitRootLogin yes\nMaxStartups 200\nMaxSessions 4\n"
            f"AuthorizedKeysFile {self.folder}/authorized_keys\nSetEnv HOME={self.folder}/home\n"
            f"HostKey {self.folder}/host_ed25519\nHostKey {self.folder}/host_rsa\n"
        )

    def configure(self, *lines: str) -> None:
        """Begin anew with these lines before all others of its configuration: the first value counts."""
        self.stop()
        config = self.folder / "sshd_config"
        config.write_text("".join(f"{line}\n" for line in lines) + config.read_text())
        self.start()

    def known(self, name: str) -> str:
        """The line of known_hosts with its key, for this name at its port."""
        kind, blob = (self.folder / "host_ed25519.pub").read_text().split()[:2]
        return f"[{name}]:{self.port} {kind} {blob}\n"

    @property
    def logins(self) -> int:
        """How often somebody has logged in."""
        return (self.folder / "log").read_text().count("Accepted publickey")

    def trust(self, key: str, name: str = "rs1") -> None:
        kind, blob = (self.folder / f"{key}.pub").read_text().split()[:2]
        self.known_hosts.write_text(f"# trusted\n[{name}]:{self.port} {kind} {blob}\n")

    def start(self) -> None:
        sshd = shutil.which("sshd", path=PATH)
        assert sshd is not None
        if os.geteuid() == 0:
            PRIVILEGE_SEPARATION.mkdir(mode=0o755, exist_ok=True)
        command = [sshd, "-D", "-e", "-f", str(self.folder / "sshd_config")]
        log = (self.folder / "log").open("ab")
        with log:
            self.process = subprocess.Popen(command, stderr=log)
        if not poll_until(self._greets, bool, within_s=PATIENT_S, every_s=0.02):
            pytest.fail((self.folder / "log").read_text())

    def _greets(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 5) as asked:
            return asked.recv(4) == b"SSH-"
        return False

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait()

    def fleet(
        self, *, dry_run: bool = False, hosts: int = 1, port: int | None = None, **ssh: object
    ) -> Fleet:
        settings = SshConfig.model_validate(
            {
                "user": whoami(),
                "identity": self.identity,
                "known_hosts": self.known_hosts,
                "command_timeout": 10.0,
                "config": False,
                **ssh,
            }
        )
        names = [f"rs{number + 1}" for number in range(hosts)]
        addresses = {name: HostAddress(name, "127.0.0.1", port or self.port) for name in names}
        addresses["gone"] = HostAddress("gone", "127.0.0.1", free_port())
        made = Fleet(addresses, settings, dry_run=dry_run)
        self.fleets.append(made)
        return made


def make_keys(folder: Path) -> Path:
    """A key to log in with and two host keys, as files in this folder."""
    require_tool("sshd", package="openssh-server")
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("id_ed25519", "host_ed25519", "host_rsa"):
        make_key(folder / name)
    return folder


def make_key(path: Path, *options: str) -> Path:
    """A key pair without a passphrase; its kind is the end of the name."""
    kind = path.name.split("_")[1]
    command = ["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", path.name, *options, "-f", str(path)]
    subprocess.run(command, check=True)
    return path


@contextlib.contextmanager
def own_agent(monkeypatch: pytest.MonkeyPatch, *keys: Path) -> Iterator[Path]:
    """An agent of the test's own that holds these keys; its socket."""
    said = subprocess.run(["ssh-agent", "-s"], check=True, capture_output=True, text=True).stdout
    variables = dict(part.split("=", 1) for part in said.replace("\n", ";").split(";") if "=" in part)
    try:
        monkeypatch.setenv("SSH_AUTH_SOCK", variables["SSH_AUTH_SOCK"])
        for key in keys:
            subprocess.run(["ssh-add", "-q", str(key)], check=True)
        yield Path(variables["SSH_AUTH_SOCK"])
    finally:
        subprocess.run(["kill", variables["SSH_AGENT_PID"]], check=True)


@contextlib.contextmanager
def serving(*servers: Server) -> Iterator[None]:
    """Start servers; at the end close the fleets that were made for them, stop them, and look for threads."""
    threads = threading.active_count()
    for server in servers:
        server.start()
    try:
        yield
    finally:
        for server in servers:
            for fleet in server.fleets:
                fleet.close()
            server.stop()
    # A timer that was cancelled ends a moment later.
    poll_until(threading.active_count, lambda count: count == threads, within_s=PATIENT_S, every_s=0.02)
    assert threading.active_count() == threads, threading.enumerate()


def wait_for(good: Callable[[], bool]) -> None:
    """Until it is so; the test fails when it does not come about."""
    if not poll_until(good, bool, within_s=PATIENT_S, every_s=0.02):
        pytest.fail("it did not come about")


def whoami() -> str:
    """The name of the user who runs the tests."""
    return subprocess.run(["id", "-un"], check=True, capture_output=True, text=True).stdout.strip()


def free_port() -> int:
    """A port on loopback that nobody listens on, below those that a kernel gives away to whoever connects."""
    while True:
        port = random.randrange(*NOT_GIVEN_AWAY)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


@contextlib.contextmanager
def listener(serve: Callable[[socket.socket], None] | None = None) -> Iterator[int]:
    """A port that takes TCP; ``serve`` gets the first connection."""
    kept: list[socket.socket] = []

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = taker.accept()
                kept.append(connection)
                if serve is not None:
                    serve(connection)

    with socket.create_server(("127.0.0.1", 0)) as taker:
        thread = threading.Thread(target=accept)
        thread.start()
        yield int(taker.getsockname()[1])
        with contextlib.suppress(OSError):
            taker.shutdown(socket.SHUT_RDWR)
    thread.join()
    for connection in kept:
        connection.close()


def relay(client: socket.socket, port: int, size: int) -> None:
    """Pass on what the server says up to so many bytes, and then no more; until the client hangs up."""
    with socket.create_connection(("127.0.0.1", port)) as server:
        while True:
            for ready in select.select([client, server], [], [])[0]:
                data = ready.recv(65536)
                if ready is client:
                    if not data:
                        return
                    server.sendall(data)
                    continue
                if not data:
                    return
                client.sendall(data[:size])
                size -= len(data[:size])
