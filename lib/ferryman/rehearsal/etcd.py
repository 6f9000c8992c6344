"""An etcd of one member on this machine's loopback, which control hosts share while a scenario is played."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ferryman.errors import LabError
from ferryman.retry import poll_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CLIENT_PORT, PEER_PORT = 2379, 2380
LEASE_S = 8
"""Seconds after which the run of a control host that died can be taken over."""
PROGRAMS = ("etcd", "setpriv", "unshare")
_READY_S = 60.0
_TAIL_LINES = 5


def missing() -> list[str]:
    """What two control hosts want and this machine, or this user, has not."""
    programs = [name for name in PROGRAMS if shutil.which(name) is None]
    found = [f"{', '.join(programs)} (Debian packages etcd-server and util-linux)"] if programs else []
    return [*found, *(["root, for the names of its control hosts"] if os.geteuid() != 0 else [])]


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """Run it with its data in this folder; yields its endpoint, ``HOST:PORT``.

    Raises:
        LabError: It does not come up; with what it wrote last.
    """
    address, data = _free_address(), folder / "etcd"
    shutil.rmtree(data, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    client, peer = f"http://{address}:{CLIENT_PORT}", f"http://{address}:{PEER_PORT}"
    command = [
        *("setpriv", "--pdeathsig", "KILL", "etcd"),  # it ends with the rehearsal, whatever ends that
        *("--name=rehearsal", f"--data-dir={data}"),
        *(f"--listen-client-urls={client}", f"--advertise-client-urls={client}"),
        *(f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}"),
        f"--initial-cluster=rehearsal={peer}",
        *("--heartbeat-interval=100", "--election-timeout=1000"),
    ]
    log = folder / "etcd.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        poll_until(
            lambda: _answers(address),
            lambda up: up or process.poll() is not None,
            within_s=_READY_S,
            every_s=0.1,
        )
        if process.poll() is not None or not _answers(address):
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-_TAIL_LINES:])
            raise LabError(f"etcd does not come up; the end of its log:\n{tail}")
        yield f"{address}:{CLIENT_PORT}"
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(data, ignore_errors=True)


def _answers(address: str) -> bool:
    """Whether it takes connections; the run waits for more by itself."""
    try:
        with socket.create_connection((address, CLIENT_PORT), 1):
            return True
    except OSError:
        return False


def _free_address() -> str:
    """An address of the loopback network where nobody listens: so the ports are the usual ones."""
    while True:
        address = f"127.{secrets.randbelow(127) + 64}.{secrets.randbelow(254) + 1}.1"
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, CLIENT_PORT))
            except OSError:
                continue
            return address
