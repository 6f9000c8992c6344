"""What others do to ask many hosts one thing, each in its best form; run with a Python that has the peer.

    python tests/bench/peers.py PEER FOLDER COMMAND < hosts

Prints one JSON object: seconds of the first look, of the second, and of one on connections that were kept,
where the peer can keep them; imports are not counted. ``FOLDER`` has ``id_ed25519`` and ``known_hosts``.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

Look = dict[str, float | None]
USER = "root"


def good(outputs: Iterable[str], hosts: Sequence[str]) -> None:
    """Whoever does not bring an answer of every host has won nothing."""
    answers = [output for output in outputs if output]
    assert len(answers) == len(hosts), f"{len(answers)} of {len(hosts)} hosts answered"


def timed(look: Callable[[], Iterable[str]], hosts: Sequence[str]) -> float:
    """Make one look, and return the seconds that it took."""
    began = time.perf_counter()
    outputs = look()
    took = time.perf_counter() - began
    good(outputs, hosts)
    return took


def trust(client: Any, host: str, known: Any) -> None:  # noqa: ANN401
    """Its own line alone: a file of hundreds read by each client would be most of what paramiko does."""
    for kind, key in known[host].items():
        client.get_host_keys().add(host, kind, key)


def ferryman(hosts: Sequence[str], folder: Path, command: str) -> Look:
    """Ask with ferryman's own fleet and its defaults."""
    from ferryman.config import SshConfig  # noqa: PLC0415  # not in a peer's environment
    from ferryman.hosts import Completed, HostAddress  # noqa: PLC0415
    from ferryman.hosts.ssh import Fleet  # noqa: PLC0415
    from ferryman.hosts.verbs.operator import OperatorQuestion  # noqa: PLC0415

    identity, known = folder / "id_ed25519", folder / "known_hosts"
    ssh = SshConfig(user=USER, identity=identity, known_hosts=known, connect_timeout=60)
    addresses = {f"rs{number}": HostAddress(f"rs{number}", host) for number, host in enumerate(hosts)}

    def look() -> list[str]:
        answers = fleet.read_all(dict.fromkeys(addresses, OperatorQuestion((command,), shell=True)))
        for answer in answers.values():
            assert isinstance(answer, Completed), answer
        return [answer.stdout for answer in answers.values() if isinstance(answer, Completed)]

    with Fleet(addresses, ssh) as fleet:
        first = timed(look, hosts)
        kept = timed(look, hosts)
        return {"first": first, "second": kept, "kept": kept}


def paramiko(hosts: Sequence[str], folder: Path, command: str, threads: int = 32) -> Look:
    """Threads with a client each, as everybody writes it."""
    module: Any = import_module("paramiko")
    key = module.Ed25519Key.from_private_key_file(str(folder / "id_ed25519"))
    known = module.HostKeys(str(folder / "known_hosts"))

    def connected(host: str) -> Any:  # noqa: ANN401  # a peer's client
        client = module.SSHClient()
        trust(client, host, known)
        client.connect(
            host, username=USER, pkey=key, allow_agent=False, look_for_keys=False, banner_timeout=60
        )
        return client

    def ask(client: Any) -> str:  # noqa: ANN401
        output: str = client.exec_command(command)[1].read().decode()
        return output

    def once(host: str) -> str:
        with connected(host) as client:
            return ask(client)

    with ThreadPoolExecutor(threads) as pool:
        first, second = (timed(lambda: list(pool.map(once, hosts)), hosts) for _ in range(2))
        clients = list(pool.map(connected, hosts))
        kept = timed(lambda: list(pool.map(ask, clients)), hosts)
        for client in clients:
            client.close()
    return {"first": first, "second": second, "kept": kept}


def asyncssh(hosts: Sequence[str], folder: Path, command: str) -> Look:
    """Ask all hosts at once in one event loop."""
    module: Any = import_module("asyncssh")
    key = module.read_private_key(str(folder / "id_ed25519"))
    known = module.read_known_hosts(str(folder / "known_hosts"))

    def connect(host: str) -> Any:  # noqa: ANN401
        return module.connect(
            host, username=USER, client_keys=[key], known_hosts=known, config=None, login_timeout=60
        )

    async def once(host: str) -> str:
        async with connect(host) as client:
            return str((await client.run(command)).stdout)

    async def ask(client: Any) -> str:  # noqa: ANN401
        return str((await client.run(command)).stdout)

    async def seconds(answers: Awaitable[list[str]]) -> float:
        began = time.perf_counter()
        outputs = await answers
        took = time.perf_counter() - began
        good(outputs, hosts)
        return took

    async def looks() -> Look:
        first = await seconds(asyncio.gather(*map(once, hosts)))
        second = await seconds(asyncio.gather(*map(once, hosts)))
        async with AsyncExitStack() as stack:
            clients = await asyncio.gather(*(stack.enter_async_context(connect(host)) for host in hosts))
            kept = await seconds(asyncio.gather(*map(ask, clients)))
        return {"first": first, "second": second, "kept": kept}

    return asyncio.run(looks())


def parallel_ssh(hosts: Sequence[str], folder: Path, command: str) -> Look:
    """libssh2 under gevent; it verifies no host key against known_hosts."""
    clients: Any = import_module("pssh.clients")

    def made() -> Any:  # noqa: ANN401
        key = str(folder / "id_ed25519")
        return clients.ParallelSSHClient(hosts, user=USER, pkey=key, pool_size=50, timeout=60)

    def asked(client: Any) -> list[str]:  # noqa: ANN401
        answers = client.run_command(command)
        return ["\n".join(answer.stdout) for answer in answers]

    first = timed(lambda: asked(made()), hosts)
    client = made()
    second = timed(lambda: asked(client), hosts)
    return {"first": first, "second": second, "kept": timed(lambda: asked(client), hosts)}


def fabric(hosts: Sequence[str], folder: Path, command: str) -> Look:
    """Ask with a thread for each host."""
    module: Any = import_module("fabric")
    known = import_module("paramiko").HostKeys(str(folder / "known_hosts"))
    given = {"key_filename": str(folder / "id_ed25519"), "allow_agent": False, "look_for_keys": False}

    def made() -> Any:  # noqa: ANN401
        settings = module.Config(overrides={"load_ssh_configs": False})
        group = module.ThreadingGroup(*hosts, user=USER, config=settings, connect_kwargs=given)
        for connection in group:
            trust(connection.client, connection.host, known)
        return group

    def asked(group: Any) -> list[str]:  # noqa: ANN401
        return [str(done.stdout) for done in group.run(command, hide=True, in_stream=False).values()]

    def once() -> list[str]:
        with made() as group:
            return asked(group)

    first, second = timed(once, hosts), timed(once, hosts)
    with made() as group:
        asked(group)
        kept = timed(lambda: asked(group), hosts)
    return {"first": first, "second": second, "kept": kept}


def main(peer: str, folder: Path, command: str) -> None:
    """One look after another by one of them."""
    hosts = sys.stdin.read().split()
    looks: dict[str, Callable[[], Look]] = {
        "ferryman": lambda: ferryman(hosts, folder, command),
        "paramiko-16": lambda: paramiko(hosts, folder, command, 16),
        "paramiko-32": lambda: paramiko(hosts, folder, command, 32),
        "asyncssh": lambda: asyncssh(hosts, folder, command),
        "parallel-ssh": lambda: parallel_ssh(hosts, folder, command),
        "fabric": lambda: fabric(hosts, folder, command),
    }
    print(json.dumps(looks[peer]()))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
