"""What a look at many hosts over SSH costs, here and with others: real sshds, each on an address of its own.

    sudo .venv/bin/python -m tests.bench.facts [--hosts 50] [--rounds 5] [--only WORD…] [--install]

Figures only. Everything happens in a network namespace that ends with it. ``--install`` puts the peers into
an environment of their own, in ~/.cache/ferryman-bench; those that are not there are left out.

The same for all: what a user gets by default, each look in a process of its own that has kept nothing, the
same number of turns, everybody in each round and in the other order in the next one. A ratio is the median
of the rounds' own ratios, so that a machine that slows down slows both. First looks and looks on connections
that were opened before stand apart, and so do a look's own time and that of the whole process.
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
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from ferryman.hosts.framing import command_line, new_token
from ferryman.hosts.helper import sudo
from ferryman.hosts.verbs.realservers import ReadCounters, ReadFacts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ferryman.hosts.verbs import Verb

ROOT = Path(__file__).parents[2]
PEERS = Path.home() / ".cache" / "ferryman-bench"
PACKAGES = ("asyncssh", "pyinfra", "parallel-ssh", "fabric", "ansible-core")
INSIDE = "FERRYMAN_BENCH_NAMESPACE"
SHORT = "sysctl -n net.ipv4.conf.all.rp_filter; ip -j link"
TICKS = os.sysconf("SC_CLK_TCK")
OURS = "ferryman"
ALONE = 20
"""How often a script is run alone."""

UNFAIR = {
    OURS: "of facts it parses the answers too, which nobody else does; it frames every command: env and one"
    " more sh on the host",
    "paramiko": "32 threads, as ferryman has by default; nothing is framed, and only a host's own line of"
    " known_hosts is read",
    "asyncssh": "all hosts at once, without a limit; nothing is framed",
    "parallel-ssh": "verifies no host key; a pool of 50",
    "fabric": "a thread for each host",
    "pyinfra": "a whole process each time, which prints all answers; keeps nothing from one to the next",
    "OpenSSH": "a process for each host, 50 side by side; by default its key exchange has sntrup761, which"
    " costs more CPU than the curve25519 of paramiko and asyncssh, and is worth more",
    "OpenSSH curve25519": "as the one above with the others' key exchange, which is no default",
    "OpenSSH kept": "ControlPersist, which is no default; its first look leaves a process for each host",
    "ansible": "its defaults: 5 hosts at a time, ControlPersist for a minute, sntrup761 as OpenSSH",
    "ansible -f50": "50 hosts at a time, which is no default",
    "ansible setup": "another question: its own facts, which Python gathers on the host; 50 hosts at a time",
}

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


@dataclass(frozen=True, slots=True)
class Cost:
    """What one look took, in seconds."""

    inner: float | None
    """Of the look alone; None where nobody can tell it from the process."""
    whole: float
    client: float
    """Of CPU, in the client and all it started."""
    machine: float
    """Of CPU, on all cores, servers and all."""


@dataclass(frozen=True, slots=True)
class Row:
    """Everything that was measured of one of them, round by round."""

    first: dict[int, Cost]
    kept: dict[int, Cost]


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
        (self.folder / "ssh").write_text(SSH_CONFIG.format(folder=self.folder))
        (self.folder / "cp").mkdir(mode=0o700)

    def close_masters(self) -> None:
        """End what ssh left behind to keep connections: the next look finds none."""
        for path in (*self.folder.glob("cp/*"), *self.folder.glob("home/.ansible/cp/*")):
            command = ["ssh", "-F", str(self.folder / "ssh"), "-S", str(path), "-O", "exit", "any"]
            subprocess.run(command, capture_output=True, check=False, timeout=20)

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


def look(argv: Sequence[str], place: Sshds, stdin: str, *, inner: bool = False) -> Cost:
    """One process to its end, which must be a good one; ``inner`` says that it prints its own seconds."""
    with spent() as cost:
        said = run(argv, place, stdin)
    return Cost(float(said) if inner else None, cost["wall"], cost["client"], cost["machine"])


def run(argv: Sequence[str], place: Sshds, stdin: str = "") -> str:
    """What a command prints, run as by a user who has just logged in."""
    environment = {
        "PATH": f"{PEERS}/bin:{os.environ['PATH']}",
        "HOME": str(place.folder / "home"),
        "ANSIBLE_LOCALHOST_WARNING": "False",
        "ANSIBLE_PYTHON_INTERPRETER": "/usr/bin/python3",
        "LC_ALL": "C.UTF-8",
    }
    done = subprocess.run(
        argv, input=stdin, capture_output=True, text=True, check=False, timeout=300, env=environment
    )
    assert done.returncode == 0, f"{shlex.join(argv)[:300]}: {done.stdout[-500:]}{done.stderr[-1500:]}"
    return done.stdout


def tools(place: Sshds, command: str, *, facts: bool) -> dict[str, tuple[list[str], bool]]:
    """The command lines of those that are here, and whether a second one finds the first's connections."""
    hosts, folder = ",".join(place.hosts), place.folder
    plain = ["-F", str(folder / "ssh")]
    persist = ["-o", "ControlMaster=auto", "-o", "ControlPersist=60", "-o", f"ControlPath={folder}/cp/%C"]
    ansible = ["ansible", "all", "-i", f"{hosts},", "--ssh-common-args", shlex.join(plain)]
    raw = ["-m", "raw", "-a", json.dumps({"_raw_params": command})]

    def ssh(*options: str) -> list[str]:
        return ["xargs", "-P50", "-I{}", "ssh", *plain, *options, "{}", command]

    found = {
        "OpenSSH": (ssh(), False),
        "OpenSSH curve25519": (ssh("-o", "KexAlgorithms=curve25519-sha256"), False),
        "OpenSSH kept": (ssh(*persist), True),
        "pyinfra": (
            [
                *("pyinfra", f"{folder}/inventory.py", "--user", "root", "--key", f"{folder}/id_ed25519"),
                *("-y", "--data", f"ssh_known_hosts_file={folder}/known_hosts", "exec", "--", command),
            ],
            False,
        ),
        "ansible": ([*ansible, *raw], True),
        "ansible -f50": ([*ansible, "-f50", *raw], True),
    }
    if facts:
        found["ansible setup"] = ([*ansible, "-f50", "-m", "setup"], True)
    path = f"{PEERS}/bin:{os.environ['PATH']}"
    return {name: tool for name, tool in found.items() if shutil.which(tool[0][0], path=path)}


def libraries() -> dict[str, str]:
    """Those that are here, by name: the Python that has them."""
    theirs = PEERS / "bin" / "python"
    others = dict.fromkeys(("asyncssh", "parallel-ssh", "fabric"), str(theirs)) if theirs.exists() else {}
    return {OURS: sys.executable, "paramiko": sys.executable, **others}


def turn(name: str, place: Sshds, command: str, *, facts: bool) -> tuple[Cost, Cost | None]:
    """A first look, and one on kept connections where there is such a thing; nothing is left of either."""
    if (python := libraries().get(name)) is not None:
        asked = json.dumps({"hosts": place.hosts, "command": command, "facts": facts})
        argv = [python, str(Path(__file__).with_name("peers.py")), name]
        first, kept = (
            look([*argv, mode, str(place.folder)], place, asked, inner=True) for mode in ("first", "kept")
        )
        return first, kept
    argv, keeps = tools(place, command, facts=facts)[name]
    hosts = "\n".join(place.hosts)
    try:
        first = look(argv, place, hosts)
        return first, look(argv, place, hosts) if keeps else None
    finally:
        place.close_masters()


def compare(place: Sshds, command: str, given: argparse.Namespace, *, facts: bool) -> None:
    """All of them in turn, so many times; a table of medians and ratios."""
    names = [*libraries(), *tools(place, command, facts=facts)]
    chosen = [name for name in names if name == OURS or not given.only or any(w in name for w in given.only)]
    rows: dict[str, Row] = defaultdict(lambda: Row({}, {}))
    began = os.getloadavg()[0]
    for number in range(given.rounds):
        for name in reversed(chosen) if number % 2 else chosen:  # nobody always follows the same one
            with suppressed(name):
                first, kept = turn(name, place, command, facts=facts)
                rows[name].first[number] = first
                if kept is not None:
                    rows[name].kept[number] = kept
    what = "the script of facts" if facts else repr(command)
    print(f"\n{len(place.hosts)} hosts are asked {what}; medians of {given.rounds} rounds, seconds;", end=" ")
    print(f"load {began:.1f} at the beginning, {os.getloadavg()[0]:.1f} at the end")
    print(
        f"{'':<20}|{'first':>8}{'ratio':>7}{'process':>9}{'ratio':>7}{'its CPU':>9}{'all CPU':>9} |"
        f"{'kept':>8}{'ratio':>7}{'process':>9}"
    )
    for name, row in rows.items():
        print(f"{name:<20}|{columns(row, rows[OURS])}", flush=True)
    print("(ratio: to ferryman's in the same round; of a tool a look is its process)\nwhat is not alike:")
    for name in rows:
        print(f"  {name}: {UNFAIR[name]}")


def columns(row: Row, ours: Row) -> str:
    """The medians of a row, and how they compare."""
    first, kept = row.first, row.kept
    text = (
        f"{median(first, own):8.3f}{ratio(first, ours.first, own):>7}"
        f"{median(first, whole):9.3f}{ratio(first, ours.first, whole):>7}"
        f"{median(first, lambda cost: cost.client):9.2f}{median(first, lambda cost: cost.machine):9.2f} |"
    )
    if not kept:
        return f"{text}{'-':>8}{'-':>7}{'-':>9}"
    return f"{text}{median(kept, own):8.3f}{ratio(kept, ours.kept, own):>7}{median(kept, whole):9.3f}"


def own(cost: Cost) -> float:
    """A look's own seconds; of a tool those of its process."""
    return cost.whole if cost.inner is None else cost.inner


def whole(cost: Cost) -> float:
    """The seconds of its process."""
    return cost.whole


def median(costs: Mapping[int, Cost], of: Callable[[Cost], float]) -> float:
    """The middle one of these."""
    return statistics.median(map(of, costs.values())) if costs else float("nan")


def ratio(theirs: Mapping[int, Cost], ours: Mapping[int, Cost], of: Callable[[Cost], float]) -> str:
    """How often ours goes into theirs, in the middle one of the rounds that both have."""
    ratios = [of(theirs[number]) / of(ours[number]) for number in theirs.keys() & ours.keys()]
    return f"{statistics.median(ratios):.2f}" if ratios else "-"


@contextmanager
def suppressed(name: str) -> Iterator[None]:
    """A peer that does not work is told of, and the others go on."""
    try:
        yield
    except (AssertionError, subprocess.TimeoutExpired) as error:
        print(f"{name} did not work: {str(error).strip()[-200:]!r}")


def alone() -> None:
    """What the scripts cost by themselves, on this host: processes, CPU, bytes."""
    print(f"\nthe scripts alone, in a namespace of this host, means of {ALONE} runs:")
    head = ("processes", "CPU ms", "sent", "sent to sudo", "received")
    print(f"{'':<12}" + "".join(f"{title:>14}" for title in head))
    for verb in (ReadFacts(), ReadCounters()):
        argv = ["sh", "-c", verb.script, "verb", *verb.words]
        first, client = last_process(), client_cpu()
        done = [subprocess.run(argv, capture_output=True, check=True) for _ in range(ALONE)]
        cpu = (client_cpu() - client) / ALONE
        processes = (last_process() - first - 1) / ALONE - 1
        received = len(done[-1].stdout) + len(done[-1].stderr)
        figures = (f"{processes:.1f}", f"{cpu * 1000:.1f}", *sent(verb), str(received))
        print(f"{verb.name:<12}" + "".join(f"{figure:>14}" for figure in figures))


def sent(verb: Verb[Any]) -> tuple[str, str]:
    """Bytes of the command line that root gets, and of what goes to the helper that has the script."""
    through_sudo = sudo.command_line(verb) + sudo.request("host", verb, new_token(), None)
    return str(len(command_line(verb, new_token()))), str(len(through_sudo))


def last_process() -> int:
    """The number of a process that was begun just now; they are counted up in this namespace."""
    return int(subprocess.run(["sh", "-c", "echo $$"], capture_output=True, check=True).stdout)


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
    parser.add_argument("--hosts", type=int, nargs="+", default=[50])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="*", default=[], help="parts of names, beside ferryman's")
    parser.add_argument("--install", action="store_true")
    given = parser.parse_args()
    if given.install:
        install()
    if INSIDE not in os.environ:
        raise SystemExit(inside([word for word in sys.argv[1:] if word != "--install"]))
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    alone()
    for count in given.hosts:
        with tempfile.TemporaryDirectory(prefix="ferryman-bench-") as name, Sshds(Path(name), count) as place:
            compare(place, SHORT, given, facts=False)
            compare(place, command_line(ReadFacts(), new_token()), given, facts=True)


if __name__ == "__main__":
    main()
