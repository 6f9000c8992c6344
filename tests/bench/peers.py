"""What others do to ask many hosts one thing, as their manuals have it; run with a Python that has the peer.

    python tests/bench/peers.py PEER first|kept FOLDER < JSON of hosts, command, facts

Prints the seconds of one look, imports not counted: the first one with its connections, or one on connections
that were opened before. ``FOLDER`` has ``id_ed25519`` and ``known_hosts``.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

USER = "root"


@dataclass(frozen=True)
class Question:
    """What is asked, of whom."""

    hosts: Sequence[str]
    command: str
    facts: bool
    """Whether the command is Ferryman's script of facts, which Ferryman itself has as a verb."""
    folder: Path

    def good(self, outputs: Iterable[object]) -> None:
        """Whoever does not bring an answer of every host has won nothing."""
        answers = [output for output in outputs if output]
        assert len(answers) == len(self.hosts), f"{len(answers)} of {len(self.hosts)} hosts answered"

    def timed(self, look: Callable[[], Iterable[object]]) -> float:
        """Make one look, and return the seconds that it took."""
        began = time.perf_counter()
        outputs = look()
        took = time.perf_counter() - began
        self.good(outputs)
        return took


def trust(client: Any, host: str, known: Any) -> None:  # noqa: ANN401
    """Its own line alone: a file of hundreds read by each client would be most of what paramiko does."""
    for kind, key in known[host].items():
        client.get_host_keys().add(host, kind, key)


def ferryman(question: Question, *, kept: bool) -> float:
    """Ask with ferryman's own fleet and its defaults; facts are parsed too."""
    from ferryman.config import SshConfig  # noqa: PLC0415  # not in a peer's environment
    from ferryman.hosts import Completed, HostAddress  # noqa: PLC0415
    from ferryman.hosts.ssh import Fleet  # noqa: PLC0415
    from ferryman.hosts.verbs.operator import OperatorQuestion  # noqa: PLC0415
    from ferryman.hosts.verbs.realservers import ReadFacts  # noqa: PLC0415
    from ferryman.realservers.facts import Facts, Unknown  # noqa: PLC0415

    identity, known = question.folder / "id_ed25519", question.folder / "known_hosts"
    ssh = SshConfig(user=USER, identity=identity, known_hosts=known, connect_timeout=60)
    addresses = {
        f"rs{number}": HostAddress(f"rs{number}", host) for number, host in enumerate(question.hosts)
    }

    def answered(answer: object) -> object:
        if isinstance(answer, Facts):
            return answer.devices and not isinstance(answer.devices, Unknown)
        return isinstance(answer, Completed) and answer.stdout

    def look() -> list[object]:
        verbs: dict[str, Any] = {
            name: ReadFacts() if question.facts else OperatorQuestion((question.command,), shell=True)
            for name in addresses
        }
        return [answered(answer) for answer in fleet.read_all(verbs).values()]

    with Fleet(addresses, ssh) as fleet:
        first = question.timed(look)
        return question.timed(look) if kept else first


def paramiko(question: Question, *, kept: bool) -> float:
    """Threads with a client each, as everybody writes it."""
    module: Any = import_module("paramiko")
    key = module.Ed25519Key.from_private_key_file(str(question.folder / "id_ed25519"))
    known = module.HostKeys(str(question.folder / "known_hosts"))

    def connected(host: str) -> Any:  # noqa: ANN401  # a peer's client
        client = module.SSHClient()
        trust(client, host, known)
        client.connect(
            host, username=USER, pkey=key, allow_agent=False, look_for_keys=False, banner_timeout=60
        )
        return client

    def ask(client: Any) -> str:  # noqa: ANN401
        output: str = client.exec_command(question.command)[1].read().decode()
        return output

    def once(host: str) -> str:
        with connected(host) as client:
            return ask(client)

    with ThreadPoolExecutor(32) as pool:
        if not kept:
            return question.timed(lambda: list(pool.map(once, question.hosts)))
        clients = list(pool.map(connected, question.hosts))
        took = question.timed(lambda: list(pool.map(ask, clients)))
        for client in clients:
            client.close()
    return took


def asyncssh(question: Question, *, kept: bool) -> float:
    """Ask all hosts at once in one event loop."""
    module: Any = import_module("asyncssh")
    key = module.read_private_key(str(question.folder / "id_ed25519"))
    known = module.read_known_hosts(str(question.folder / "known_hosts"))

    def connect(host: str) -> Any:  # noqa: ANN401
        return module.connect(
            host, username=USER, client_keys=[key], known_hosts=known, config=None, login_timeout=60
        )

    async def ask(client: Any) -> str:  # noqa: ANN401
        return str((await client.run(question.command)).stdout)

    async def once(host: str) -> str:
        async with connect(host) as client:
            return await ask(client)

    async def look() -> float:
        async with AsyncExitStack() as stack:
            if kept:
                opened = (stack.enter_async_context(connect(host)) for host in question.hosts)
                asked = map(ask, await asyncio.gather(*opened))
            else:
                asked = map(once, question.hosts)
            began = time.perf_counter()
            outputs = await asyncio.gather(*asked)
            took = time.perf_counter() - began
        question.good(outputs)
        return took

    return asyncio.run(look())


def parallel_ssh(question: Question, *, kept: bool) -> float:
    """libssh2 under gevent; it verifies no host key against known_hosts."""
    clients: Any = import_module("pssh.clients")
    key = str(question.folder / "id_ed25519")
    client = clients.ParallelSSHClient(question.hosts, user=USER, pkey=key, pool_size=50, timeout=60)

    def look() -> list[str]:
        return ["\n".join(answer.stdout) for answer in client.run_command(question.command)]

    first = question.timed(look)
    return question.timed(look) if kept else first


def fabric(question: Question, *, kept: bool) -> float:
    """Ask with a thread for each host."""
    module: Any = import_module("fabric")
    known = import_module("paramiko").HostKeys(str(question.folder / "known_hosts"))
    given = {
        "key_filename": str(question.folder / "id_ed25519"),
        "allow_agent": False,
        "look_for_keys": False,
    }
    settings = module.Config(overrides={"load_ssh_configs": False})

    def look() -> list[str]:
        done = group.run(question.command, hide=True, in_stream=False)
        return [str(each.stdout) for each in done.values()]

    with module.ThreadingGroup(*question.hosts, user=USER, config=settings, connect_kwargs=given) as group:
        for connection in group:
            trust(connection.client, connection.host, known)
        first = question.timed(look)
        return question.timed(look) if kept else first


LOOKS = {
    "ferryman": ferryman,
    "paramiko": paramiko,
    "asyncssh": asyncssh,
    "parallel-ssh": parallel_ssh,
    "fabric": fabric,
}


if __name__ == "__main__":
    peer, mode, place = sys.argv[1:]
    print(LOOKS[peer](Question(**json.load(sys.stdin), folder=Path(place)), kept=mode == "kept"))
