"""What a tape costs a run: CPU of its process with and without, size, and what a replay of it takes.

    PYTHONPATH=lib:tests .venv/bin/python -m tests.bench.tape [--pairs 5] [--service static]

Migrates and rolls back in a lab of its own, with ``[tape] keep = false`` and with the default, in turn; each
row is one run's user and system time in seconds. Then every tape is replayed in a process of its own.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
from argparse import ArgumentParser
from typing import TYPE_CHECKING

from ferryman import lab as the_lab
from lab.conftest import own_folder
from lab.running import RunningLab

if TYPE_CHECKING:
    from pathlib import Path


def cpu_s(command: list[str]) -> float:
    """User and system time of a command, in seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def ferryman(lab: RunningLab, *words: str) -> list[str]:
    return [sys.executable, "-m", "ferryman", "--config", str(lab.folder / "ferryman.toml"), *words]


def tapes(lab: RunningLab) -> list[Path]:
    return sorted((lab.folder / ".ferryman" / "tapes").glob("*.tape"))


def main() -> None:
    parser = ArgumentParser()
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--service", default="static")
    given = parser.parse_args()
    with own_folder() as folder:
        lab = RunningLab(folder)
        the_lab.up(lab.place)
        try:
            measure(lab, given.service, given.pairs)
        finally:
            the_lab.down(lab.place)


def measure(lab: RunningLab, service: str, pairs: int) -> None:
    config = lab.folder / "ferryman.toml"
    plain = config.read_text()
    seconds: dict[str, list[float]] = {"without": [], "with": []}
    for number in range(pairs):
        for name in ("without", "with") if number % 2 else ("with", "without"):
            config.write_text(plain + ("\n[tape]\nkeep = false\n" if name == "without" else ""))
            seconds[name].append(cpu_s(ferryman(lab, "migrate", service, "--site", "lab", "--yes")))
            runs = subprocess.run(
                ferryman(lab, "--output", "json", "runs", "--limit", "1"),
                capture_output=True,
                text=True,
                check=True,
            )
            run = runs.stdout.partition('"run": "')[2].partition('"')[0]
            cpu_s(ferryman(lab, "rollback", run))
    for name, found in seconds.items():
        print(f"{name:8} median {statistics.median(found):.3f} s of CPU; {[round(s, 3) for s in found]}")
    kept = tapes(lab)
    sizes = [path.stat().st_size for path in kept]
    replays = [cpu_s(ferryman(lab, "replay", str(path))) for path in kept]
    print(f"{len(kept)} tapes of {min(sizes)} to {max(sizes)} bytes")
    print(f"replay: median {statistics.median(replays):.3f} s of CPU, most {max(replays):.3f} s")


if __name__ == "__main__":
    main()
