"""The strong load: ``tests/bench/load.c``, run where ferryman runs, and what it says about every request.

Up to a thousand requests a second through the lab's one CPU, each with its time and its end, and long
transfers of which every byte is compared, downloads by the program itself, uploads here.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ferryman.lab import exec_argv
from tools import require_tool

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lab.running import RunningLab

SOURCE = Path(__file__).parents[1] / "bench" / "load.c"
END_S = 40.0
"""A load ends within seconds; one whose packets nobody answers waits for its time-outs first."""


class Request(NamedTuple):
    """One short or kept request; times as of ``time.monotonic``, in seconds."""

    kind: str
    client_port: int
    due: float
    latency: float
    problem: str | None


class Held(NamedTuple):
    """One connection that had more than one request, or a long one."""

    kind: str
    client_port: int
    opened: float
    closed: float
    moved_bytes: int
    name: str
    problem: str | None


class Latency(NamedTuple):
    """Latencies of requests, in milliseconds."""

    p50: float
    p99: float
    longest: float

    def __str__(self) -> str:
        return f"{self.p50:.0f} / {self.p99:.0f} / {self.longest:.0f}"


@dataclass(frozen=True)
class Pace:
    """How much of what; requests for each second, transfers at once."""

    shorts: int = 0
    kept: int = 0
    downloads: int = 0
    uploads: int = 0


@dataclass
class Outcome:
    """What became of a load; empty until it has ended."""

    requests: list[Request] = field(default_factory=list)
    held: list[Held] = field(default_factory=list)
    log: Path = Path("/dev/null")
    """What it has said so far."""

    def so_far(self) -> int:
        """How many requests have come to an end, while it runs."""
        return self.log.read_bytes().count(b'["request"')

    @property
    def lost(self) -> list[Request | Held]:
        """Requests without their answer, and connections that broke or moved a wrong byte."""
        everything: list[Request | Held] = [*self.requests, *self.held]
        return [request for request in everything if request.problem]

    @property
    def transfers(self) -> list[Held]:
        """The downloads and uploads among the connections."""
        return [connection for connection in self.held if connection.kind in ("download", "upload")]

    def latency(self, begin: float, end: float) -> Latency:
        """Of the requests that were due in this time; all 0 when none was."""
        times = sorted(request.latency * 1000 for request in self.requests if begin <= request.due < end) or [
            0.0
        ]
        return Latency(times[len(times) // 2], times[len(times) * 99 // 100], times[-1])


@contextmanager
def flowing(lab: RunningLab, vip: str, port: int, pace: Pace) -> Iterator[Outcome]:
    """This load meanwhile, from when all its transfers are on their way; what became of it, once it is over.

    Skips the test where there is no C compiler.
    """
    with tempfile.TemporaryDirectory(prefix="ferryman-load-") as name:
        folder = Path(name)
        outcome = Outcome(log=folder / "said")
        argv = [*_built(lab, folder, [vip, str(port), *map(str, _words(pace))])]
        with (
            outcome.log.open("w") as log,
            subprocess.Popen(
                argv, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.PIPE, text=True
            ) as load,
        ):
            assert load.stdin
            assert load.stderr
            try:
                first_line = load.stderr.readline()
                assert first_line == "begun\n", f"the load did not begin: {first_line}{load.stderr.read()}"
                yield outcome
                load.stdin.close()
                load.wait(END_S)
            finally:
                load.kill()
            assert load.returncode == 0, load.stderr.read()
        for line in outcome.log.read_text().splitlines():
            what, *values = json.loads(line)
            if what == "request":
                outcome.requests.append(Request(*values))
            else:
                outcome.held.append(Held(*values))
        outcome.held = _compared(lab, outcome.held, (folder / "pattern").read_bytes())


def _words(pace: Pace) -> list[int]:
    return [pace.shorts, pace.kept, pace.downloads, pace.uploads]


def _built(lab: RunningLab, folder: Path, words: Sequence[str]) -> list[str]:
    """The command that runs it in the control namespace, whose user may be another one than ours."""
    require_tool("gcc", package="gcc")
    folder.chmod(0o755)
    program, pattern = folder / "load", folder / "pattern"
    subprocess.run(["gcc", "-O2", "-o", str(program), str(SOURCE)], check=True)
    shutil.copyfile(lab.place.share / "files/lab/download", pattern)
    return exec_argv(lab.place, "control", [str(program), *words, str(pattern)])


def _compared(lab: RunningLab, held: list[Held], pattern: bytes) -> list[Held]:
    """The same; uploads of which the realserver has kept other bytes than were sent have a problem."""
    names = [connection.name for connection in held if connection.kind == "upload" and not connection.problem]
    if not names:
        return held
    sums = lab.console("web1", f"cd /lab/kept; sha256sum {' '.join(names)}; rm -f {' '.join(names)}")
    kept = {line.split()[1]: line.split()[0] for line in sums.splitlines()}
    return [
        connection._replace(problem="wrong bytes")
        if connection.name in names and kept[connection.name] != _hash(pattern, connection.moved_bytes)
        else connection
        for connection in held
    ]


def _hash(pattern: bytes, length: int) -> str:
    times, rest = divmod(length, len(pattern))
    return hashlib.sha256(pattern * times + pattern[:rest]).hexdigest()
