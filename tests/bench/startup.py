"""What a command costs before it does anything, here and with others: whole processes, in turn.

    .venv/bin/python -m tests.bench.startup [--rounds 15] [--peers FOLDER]

Figures only. Each round runs every command once, in an order of its own, so that a machine that slows down
slows all. CPU is the process's own, user and system together: it says more than the wall clock where others
are at work. Ratios are of a bare interpreter's median, each of its own kind. Peers that are not installed are
left out; ``python -m tests.bench.facts --install`` puts them into ~/.cache/ferryman-bench.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
PEERS = Path.home() / ".cache" / "ferryman-bench"
"""Where ``tests.bench.facts`` installs them."""
BARE = "python -c pass"
COMPLETION = {"_FERRYMAN_COMPLETE": "bash_complete", "COMP_WORDS": "ferryman migrate --", "COMP_CWORD": "2"}


@dataclass(frozen=True, slots=True)
class Command:
    """A command, and what is unfair about comparing it."""

    words: list[str]
    unfair: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    taken: list[tuple[float, float]] = field(default_factory=list)
    """Seconds of wall clock and of CPU, of each run."""

    def run(self, folder: Path) -> None:
        """Run it once, to its end."""
        environment = {**os.environ, "FERRYMAN_CONFIG": str(folder / "ferryman.toml"), **self.environment}
        began = time.perf_counter()
        pid = os.posix_spawn(
            self.words[0],
            self.words,
            environment,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
            ],
        )
        _, status, used = os.wait4(pid, 0)
        self.taken.append((time.perf_counter() - began, used.ru_utime + used.ru_stime))
        assert os.waitstatus_to_exitcode(status) == 0, self.words


def commands(folder: Path, peers: Path) -> dict[str, Command]:
    """What is compared, by the words that are printed."""
    script = str(Path(sys.executable).with_name("ferryman"))
    peer = {name: str(peers / "bin" / name) for name in ("ansible", "ansible-playbook", "pyinfra")}
    playbook = folder / "playbook.yml"
    playbook.write_text("- hosts: localhost\n  gather_facts: false\n  tasks: []\n")
    ours = {
        BARE: Command([sys.executable, "-c", "pass"], "imports what every Python does, site and encodings"),
        "python -c 'import click'": Command(
            [sys.executable, "-c", "import click"], "the command line's own library: the floor of all below"
        ),
        "ferryman --version": Command([script, "--version"]),
        "ferryman --help": Command([script, "--help"], "reads every cookbook's first line, runs none"),
        "ferryman migrate --help": Command([script, "migrate", "--help"], "imports the cookbook, no step"),
        "completion of migrate": Command([script], "as above; a shell adds its own function", COMPLETION),
        "ferryman runs": Command(
            [script, "runs"],
            "an empty journal; on a terminal Rich takes some 0.05 s of CPU more",
        ),
        "ferryman list": Command([script, "list"], "imports every cookbook"),
        "ferryman inventory lint": Command([script, "inventory", "lint"], "of the lab's small inventory"),
    }
    theirs = {
        "ansible --version": Command([peer["ansible"], "--version"], "tells also where everything is"),
        "ansible-playbook --syntax-check": Command(
            [peer["ansible-playbook"], "--syntax-check", "-i", "localhost,", str(playbook)],
            "reads a playbook without tasks; the nearest to a plan without hosts",
        ),
        "pyinfra --version": Command([peer["pyinfra"], "--version"], "imports its SSH library for it"),
        "pyinfra --help": Command([peer["pyinfra"], "--help"], "the same"),
    }
    return ours | {name: command for name, command in theirs.items() if Path(command.words[0]).exists()}


def compare(rounds: int, peers: Path) -> None:
    """Run all of them in turn, and print medians and ratios."""
    with tempfile.TemporaryDirectory(prefix="ferryman-bench-") as name:
        folder = Path(name)
        for part in ("inventory", "cookbooks"):
            shutil.copytree(ROOT / part, folder / part)
        (folder / "ferryman.toml").write_text("")
        compared = commands(folder, peers)
        order = list(compared.values())
        for command in order:
            command.run(folder)  # compiles what is not compiled, and reads files that the kernel keeps then
            command.taken.clear()
        for _ in range(rounds):
            random.shuffle(order)
            for command in order:
                command.run(folder)
    print(f"load average {os.getloadavg()[0]:.1f}, {rounds} rounds, medians")
    print(f"{'command':<34} {'wall s':>8} {'ratio':>6} {'CPU s':>8} {'ratio':>6}  what is unfair")
    bare = medians(compared[BARE])
    for what, command in compared.items():
        wall, cpu = medians(command)
        row = (
            f"{what:<34} {wall:8.3f} {wall / bare[0]:6.1f} {cpu:8.3f} {cpu / bare[1]:6.1f}  {command.unfair}"
        )
        print(row.rstrip())


def medians(command: Command) -> tuple[float, float]:
    """The medians of wall clock and CPU, in seconds."""
    wall, cpu = zip(*command.taken, strict=True)
    return statistics.median(wall), statistics.median(cpu)


def imports() -> None:
    """Which modules each of them has imported at its end, counted; no clock is in it."""
    script = str(Path(sys.executable).with_name("ferryman"))
    environment = {**os.environ, "PYTHONPROFILEIMPORTTIME": "1"}
    for words in ([sys.executable, "-c", "pass"], [script, "--help"], [script, "migrate", "--help"]):
        done = subprocess.run(
            words, cwd=ROOT, env=environment, capture_output=True, text=True, check=True, timeout=60
        )
        number = sum(line.startswith("import time:") for line in done.stderr.splitlines()) - 1
        print(f"{' '.join([Path(words[0]).name, *words[1:]]):<34} {number:8} modules")


def main() -> None:
    """The comparison."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.startup")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--peers", type=Path, default=PEERS, help="an environment with ansible and pyinfra")
    given = parser.parse_args()
    compare(given.rounds, given.peers)
    imports()


if __name__ == "__main__":
    main()
