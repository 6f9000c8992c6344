"""What a look at many hosts over SSH costs, here and with others: real sshds, each on an address of its own.

    sudo .venv/bin/python -m tests.bench.facts [--hosts 50 200] [--rounds 5] [--facts] [--install]

Figures only. Everything happens in a network namespace that ends with it. ``--install`` puts the peers into
an environment of their own, in ~/.cache/ferryman-bench; those that are not there are left out. The rounds go
through all of them in turn, so that a machine that slows down slows all. Client and servers share it.
A library's look is measured inside its process, imports not counted; a tool's look is its whole process.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shlex
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

import paramiko

from ferryman.hosts.framing import command_line, new_token
from ferryman.hosts.verbs.realservers import ReadFacts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

ROOT = Path(__file__).parents[2]
PEERS = Path.home() / ".cache" / "ferryman-bench"
PACKAGES = ("asyncssh", "pyinfra", "parallel-ssh", "fabric", "cumin", "clustershell", "ansible-core")
INSIDE = "FERRYMAN_BENCH_NAMESPACE"
SHORT = "sysctl -n net.ipv4.conf.all.rp_filter; ip -j link"
CURVE = "curve25519-sha256"
SLOW = "default kex"
"""Marks those that take one turn alone: OpenSSH 9's own first choice of key exchange costs it much CPU."""
TICKS = os.sysconf("SC_CLK_TCK")

LIBRARIES = ("ferryman", "paramiko-16", "paramiko-32", "asyncssh", "parallel-ssh", "fabric")

SSHD_CONFIG = """\
ListenAddress {address}
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
PermitRootLogin yes
MaxStartups 1000
AuthorizedKeysFile {folder}/id_ed25519.pub
HostKey {folder}/host_ed25519
SetEnv HOME={folder}/home
"""

SSH_CONFIG = """\
User root
IdentityFile {folder}/id_ed25519
IdentitiesOnly yes
UserKnownHostsFile {folder}/known_hosts
BatchMode yes
LogLevel ERROR
"""

CUMIN_CONFIG = """\
transport: clustershell
log_file: {folder}/cumin.log
default_backend: direct
clustershell:
    ssh_options: ['-F {folder}/{config}']
    fanout: 64
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one turn took, in seconds."""

    first: float
    second: float
    kept: float | None
    client: float
    """Of CPU, in the client and all it started, for every look of the turn."""
    machine: float
    """Of CPU, on all cores, servers and all."""


class Sshds:
    """One sshd for each host, on addresses of this namespace's own loopback."""

    def __init__(self, folder: Path, count: int) -> None:
        self.folder = folder
        self.hosts = [f"127.66.{number // 200}.{number % 200 + 1}" for number in range(count)]
        self._running: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        for name in ("id_ed25519", "host_ed25519"):
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / name)]
            subprocess.run(command, check=True)
        (self.folder / "home").mkdir()
        key = " ".join((self.folder / "host_ed25519.pub").read_text().split()[:2])
        (self.folder / "known_hosts").write_text("".join(f"{host} {key}\n" for host in self.hosts))
        (self.folder / "inventory.py").write_text(f"hosts = {self.hosts!r}\n")  # pyinfra's
        self._configure()
        for host in self.hosts:
            self._start(host)
        for host in self.hosts:
            self._await(host)
        return self

    def _configure(self) -> None:
        plain = SSH_CONFIG.format(folder=self.folder)
        (self.folder / "ssh").write_text(plain)
        (self.folder / "ssh-curve").write_text(f"{plain}KexAlgorithms {CURVE}\n")
        for config in ("ssh", "ssh-curve"):
            text = CUMIN_CONFIG.format(folder=self.folder, config=config)
            (self.folder / f"cumin-{config}.yaml").write_text(text)

    def _start(self, host: str) -> None:
        config = self.folder / f"sshd-{host}"
        config.write_text(SSHD_CONFIG.format(address=host, folder=self.folder))
        sshd = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/sbin")
        assert sshd is not None, "openssh-server is not installed"
        clean = {"PATH": os.environ["PATH"]}
        self._running.append(
            subprocess.Popen([sshd, "-D", "-f", str(config)], stderr=subprocess.DEVNULL, env=clean)
        )

    def _await(self, host: str) -> None:
        for _ in range(500):
            with suppress(OSError), socket.create_connection((host, 22), 1):
                return
            time.sleep(0.02)
        raise SystemExit(f"sshd did not come up on {host}")

    def __exit__(self, *_: object) -> None:
        for sshd in self._running:
            sshd.terminate()
        for sshd in self._running:
            sshd.wait()


def machine_cpu() -> float:
    """Seconds that all cores have been at work since they booted."""
    user, nice, system, _, _, irq, soft, *_ = map(int, Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + irq + soft) / TICKS


def client_cpu() -> float:
    """Seconds of CPU of children that have ended."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


@contextmanager
def spent() -> Iterator[dict[str, float]]:
    """Wall, CPU of ended children, CPU of the machine; filled in at the end."""
    cost: dict[str, float] = {}
    began, client, machine = time.perf_counter(), client_cpu(), machine_cpu()
    yield cost
    cost |= {"wall": time.perf_counter() - began}
    cost |= {"client": client_cpu() - client, "machine": machine_cpu() - machine}


def of_library(name: str, place: Sshds, command: str) -> Cost:
    """In a process of its own, with the Python that has it."""
    ours = name == "ferryman" or name.startswith("paramiko")
    python = sys.executable if ours else str(PEERS / "bin" / "python")
    argv = [python, str(Path(__file__).with_name("peers.py")), name, str(place.folder), command]
    with spent() as cost:
        answer = run(argv, place, "\n".join(place.hosts))
    looks = json.loads(answer)
    return Cost(looks["first"], looks["second"], looks["kept"], cost["client"], cost["machine"])


def of_tool(argv: Sequence[str], place: Sshds) -> Cost:
    """A whole process; it keeps nothing, so its second look is its first again."""
    with spent() as cost:
        run(argv, place, "\n".join(place.hosts))
    return Cost(cost["wall"], cost["wall"], None, cost["client"], cost["machine"])


def run(argv: Sequence[str], place: Sshds, stdin: str) -> str:
    """To its end, which must be a good one."""
    environment = {
        "PATH": f"{PEERS}/bin:{os.environ['PATH']}",
        "HOME": str(place.folder / "home"),
        "ANSIBLE_SSH_ARGS": "",
        "LC_ALL": "C.UTF-8",
    }
    done = subprocess.run(
        argv, input=stdin, capture_output=True, text=True, check=False, timeout=300, env=environment
    )
    assert done.returncode == 0, f"{shlex.join(argv)[:300]}: {done.stdout[-500:]}{done.stderr[-1500:]}"
    return done.stdout


def tools(place: Sshds, command: str) -> dict[str, list[str]]:
    """The command lines of those that are here, with ssh as it comes and with one quick key exchange."""
    hosts, folder = ",".join(place.hosts), place.folder
    found = {
        "pyinfra": [
            *("pyinfra", f"{folder}/inventory.py", "--user", "root", "--key", f"{folder}/id_ed25519", "-y"),
            *("--data", f"ssh_known_hosts_file={folder}/known_hosts", "exec", "--", command),
        ]
    }
    for config, kex in (("ssh", SLOW), ("ssh-curve", CURVE)):
        ssh = ["-F", str(folder / config)]
        each = ["xargs", "-P50", "-I{}", "ssh", *ssh, "{}", command]
        found |= {
            f"xargs -P50 ssh, {kex}": each,
            f"clush -f50, {kex}": ["clush", "-f50", "-q", "-o", shlex.join(ssh), "-w", hosts, command],
            f"cumin, {kex}": ["cumin", "-c", f"{folder}/cumin-{config}.yaml", "--force", hosts, command],
            f"ansible raw f50, {kex}": [
                *("ansible", "all", "-i", f"{hosts},", "-f50", "-m", "raw", "-a", command),
                *("--ssh-common-args", f"{shlex.join(ssh)} -o ControlMaster=no"),
            ],
        }
    path = f"{PEERS}/bin:{os.environ['PATH']}"
    return {name: argv for name, argv in found.items() if shutil.which(argv[0], path=path)}


def contestants(place: Sshds, command: str) -> Mapping[str, Callable[[], Cost]]:
    """What is compared on this machine: by name, a function that makes one turn of looks."""
    here = LIBRARIES if (PEERS / "bin" / "python").exists() else LIBRARIES[:3]
    libraries = {name: partial(of_library, name, place, command) for name in here}
    return libraries | {name: partial(of_tool, argv, place) for name, argv in tools(place, command).items()}


def compare(place: Sshds, command: str, given: argparse.Namespace) -> None:
    """All of them in turn, so many times; a table of medians."""
    costs: dict[str, list[Cost]] = defaultdict(list)
    for turn in range(given.rounds):
        everybody = list(contestants(place, command).items())
        for name, look in (
            reversed(everybody) if turn % 2 else everybody
        ):  # nobody always follows the same one
            slow = turn > 0 and SLOW in name
            if not slow and (not given.only or any(word in name for word in given.only)):
                with suppressed(name):
                    costs[name].append(look())
    load = os.getloadavg()[0]
    print(f"\n{len(place.hosts)} hosts, {command.strip()[:50]!r}; medians; load {load:.1f} at the end")
    print(f"{'':<36}{'first':>8}{'second':>8}{'kept':>8}{'client CPU':>12}{'machine CPU':>13}{'turns':>7}")
    for name, turns in costs.items():
        print(f"{name:<36}{row(turns)}{len(turns):7}")


def row(turns: Sequence[Cost]) -> str:
    """The medians of these turns in seconds, as columns of the table."""
    kept = [turn.kept for turn in turns if turn.kept is not None]
    first, second, client, machine = (
        statistics.median(getattr(turn, what) for turn in turns)
        for what in ("first", "second", "client", "machine")
    )
    last = f"{statistics.median(kept):8.3f}" if kept else f"{'-':>8}"
    return f"{first:8.3f}{second:8.3f}{last}{client:12.2f}{machine:13.2f}"


@contextmanager
def suppressed(name: str) -> Iterator[None]:
    """A peer that does not work is told of, and the others go on."""
    try:
        yield
    except (AssertionError, subprocess.TimeoutExpired) as error:
        print(f"{name} did not work: {error}")


def phases(place: Sshds) -> None:
    """How far a connection is taken, and what it costs until there: the key exchange apart from the rest."""
    key = paramiko.Ed25519Key.from_private_key_file(str(place.folder / "id_ed25519"))

    def go(host: str, how_far: int) -> None:
        with socket.create_connection((host, 22)) as connection:
            if how_far == 0:
                connection.recv(100)
                return
            with paramiko.Transport(connection) as transport:
                transport.start_client(timeout=60)
                if how_far > 1:
                    transport.auth_publickey("root", key)
                if how_far > 2:
                    channel = transport.open_session()
                    channel.exec_command(SHORT)
                    channel.makefile().read()

    print(f"\n{len(place.hosts)} hosts, plain paramiko in 32 threads, how far each connection is taken:")
    print(f"{'':<32}{'wall':>8}{'client CPU':>12}{'machine CPU':>13}  (seconds)")
    for how_far, what in enumerate(("TCP and banner", "and key exchange", "and login", "and a command")):
        began, client, machine = time.perf_counter(), time.process_time(), machine_cpu()
        with ThreadPoolExecutor(32) as pool:
            list(pool.map(lambda host, how_far=how_far: go(host, how_far), place.hosts))
        wall, client = time.perf_counter() - began, time.process_time() - client
        print(f"{what:<32}{wall:8.3f}{client:12.2f}{machine_cpu() - machine:13.2f}")


def install() -> None:
    """The peers, into an environment of their own."""
    subprocess.run([sys.executable, "-m", "venv", str(PEERS)], check=True)
    subprocess.run([str(PEERS / "bin" / "pip"), "install", "-q", *PACKAGES], check=True)


def inside(words: Sequence[str]) -> int:
    """Itself in a network of its own, where all that it started ends with it."""
    namespace = ["unshare", "--net", "--pid", "--mount-proc", "--kill-child", "--fork"]
    command = [*namespace, sys.executable, "-m", "tests.bench.facts", *words]
    return subprocess.run(command, check=False, cwd=ROOT, env={**os.environ, INSIDE: "1"}).returncode


def main() -> None:
    """The comparison, in a namespace of its own."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.facts")
    parser.add_argument("--hosts", type=int, nargs="+", default=[50, 200])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="*", default=[], help="parts of names")
    parser.add_argument(
        "--facts", action="store_true", help="Ferryman's script of facts too, which takes longer"
    )
    parser.add_argument("--install", action="store_true")
    given = parser.parse_args()
    if given.install:
        install()
    if INSIDE not in os.environ:
        raise SystemExit(inside([word for word in sys.argv[1:] if word != "--install"]))
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    for count in given.hosts:
        with tempfile.TemporaryDirectory(prefix="ferryman-bench-") as name, Sshds(Path(name), count) as place:
            compare(place, SHORT, given)
            if given.facts:
                compare(place, command_line(ReadFacts(), new_token()), given)
            phases(place)


if __name__ == "__main__":
    main()
