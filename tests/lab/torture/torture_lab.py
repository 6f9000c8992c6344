"""A lab for torture: commands are run and cut in it, then its world, journal and locks are looked at."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ferryman import lab as the_lab
from ferryman.hosts.verbs.routes import PROTOCOL
from ferryman.retry import poll_until
from ferryman.state import SqliteStore
from lab import migration
from lab.conftest import own_folder
from lab.quick import configure
from lab.running import REPOSITORY, RunningLab
from lab.torture.cutter import Call, Cut
from lab.torture.trials import Chart, Course, Instant
from lab.visitors import REASON

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ferryman.outcomes import RunOutcome

World = dict[str, str]
SETTLES_S = 15.0
"""keepalived takes a realserver back when its health check has passed again."""
COMMAND_S = 240.0
SOAKS = 2
"""A soak with each director."""
LEFT_FILES = "ls -A /etc/keepalived /etc/keepalived/services /tmp"


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that has ended, by itself or not."""

    arguments: tuple[str, ...]
    status: int
    """Its exit code; negative: the signal that ended it."""
    seconds: float
    calls: tuple[Call, ...]
    events: tuple[dict[str, Any], ...]
    stderr: str
    struck: bool
    """Whether what was to go wrong did."""

    @property
    def died(self) -> bool:
        """Whether it was ended from outside, and could not tell any more."""
        return self.status < 0

    def kept_routes(self) -> dict[str, str]:
        """By director: the commands that take away the host routes which were told to stay."""
        findings = [
            event for event in self.events if event["event"] == "finding" and event["check"] == "host-routes"
        ]
        return {
            finding["host"]: finding["remedy"].partition(": ")[2]
            for finding in findings
            if finding["verdict"] == "warn"
        }


@dataclass(frozen=True, slots=True)
class Entry:
    """A run as ``ferryman runs`` lists it."""

    run: str
    service: str
    outcome: RunOutcome | None

    @property
    def is_open(self) -> bool:
        """Whether the journal has it as begun and neither done nor rolled back."""
        return bool(self.run) and self.outcome in (None, "held", "stranded")


class TortureLab:
    """One lab that is up, with short waits, and what its world was before anything was tried."""

    def __init__(self, lab: RunningLab) -> None:
        self.lab = lab
        self.old: World = {}
        self.new: dict[str, World] = {}
        """By service: the world once it has been migrated, with nothing cut."""
        self.charts: dict[str, Chart] = {}
        self.files = ""
        self._config = str(lab.folder / "ferryman.toml")
        self._calls = lab.folder / "calls.jsonl"

    def measure(self, services: Sequence[str]) -> None:
        """Look at the old world, migrate each service and take it back, and keep what was seen.

        Raises:
            AssertionError: The lab cannot even do that.
        """
        self.old, self.files = migration.world(self.lab), self.left_files()
        for service in services:
            migrated = self.migrate(service)
            assert migrated.status == 0, migrated.stderr
            self.take_kept_routes_away([migrated])
            self.new[service] = migration.world(self.lab)
            back = self.take_up("rollback", self.newest())
            assert back.status == 0, back.stderr
            self.take_kept_routes_away([back])
            assert self.difference(self.old) == [], "an uncut migration and rollback must leave nothing"
            courses = [Course(ended.calls, ended.seconds) for ended in (migrated, back)]
            self.charts[service] = Chart(service, *courses)

    def migrate(
        self, service: str, cut: Cut | Instant | None = None, *, soak_s: float = 0.0, heartbeat_s: float = 0.0
    ) -> Ended:
        """A new run, and what happens to it."""
        soak = ("--soak", f"{soak_s:g}") if soak_s else ()
        course_s = self._course_s(service, "migrate") + SOAKS * soak_s
        return self._run(("migrate", service, "--site", "lab", "--yes", *soak), cut, course_s, heartbeat_s)

    def take_up(
        self, way: str, entry: Entry, cut: Cut | Instant | None = None, *, heartbeat_s: float = 0.0
    ) -> Ended:
        """Resume a run or roll it back, and what happens to that."""
        return self._run((way, entry.run), cut, self._course_s(entry.service, way), heartbeat_s)

    def _course_s(self, service: str, way: str) -> float:
        chart = self.charts.get(service)
        if chart is None:
            return 0.0
        return (chart.rollback if way == "rollback" else chart.migration).seconds

    def _run(
        self, arguments: tuple[str, ...], cut: Cut | Instant | None, course_s: float, heartbeat_s: float
    ) -> Ended:
        """Run one command of ferryman in a process of its own; an ``Instant`` is a share of ``course_s``."""
        given = json.dumps(asdict(cut) if isinstance(cut, Cut) else None)
        command = [sys.executable, "-m", "lab.torture.cutter", str(self._calls), given, f"{heartbeat_s:g}"]
        began = time.monotonic()
        with subprocess.Popen(
            [*command, "--config", self._config, "--output", "json", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
        ) as process:
            stdout, stderr, hit = _communicate(process, cut, course_s)
        calls = tuple(Call(**whole_line) for whole_line in _whole_lines(self._calls.read_text()))
        struck = hit or (isinstance(cut, Cut) and sum(map(cut.fits, calls)) > cut.nth)
        seconds = time.monotonic() - began
        events = tuple(whole_line for whole_line in _whole_lines(stdout) if "event" in whole_line)
        return Ended(arguments, process.returncode, seconds, calls, events, stderr, struck)

    def newest(self) -> Entry:
        """The latest run in the journal that is no visitor's; one without a name when there is none."""
        with self._store() as store:
            runs = [run for run in store.runs(1000) if run.request.reason != REASON]
        if not runs:
            return Entry("", "", None)
        return Entry(runs[0].id, runs[0].request.arguments["service"], runs[0].outcome)

    def faults(self, run: str) -> list[str]:
        """What of a run is not as it was written."""
        with self._store() as store:
            return store.faults(run)

    def locks(self, run: str = "") -> list[str]:
        """The locks that are taken, and by which run; those of one run alone if it is named."""
        with self._store() as store:
            return [f"{lock.key} of {lock.run}" for lock in store.locks() if run in ("", lock.run)]

    def left_files(self) -> str:
        """The files in the directors' folders that a driver writes in."""
        script = "".join(f"ip netns exec {host} sh -c '{LEFT_FILES}'\n" for host in migration.DIRECTORS)
        return self.lab.console("rt", script)

    def difference(self, wanted: World) -> list[str]:
        """How the world differs from this one, once it has had time to settle; a line each."""
        seen = poll_until(lambda: migration.world(self.lab), lambda now: now == wanted, within_s=SETTLES_S)
        return [line for host in wanted for line in _differing(host, wanted[host], seen[host])]

    def take_kept_routes_away(self, ended: Sequence[Ended]) -> int:
        """Remove host routes that stayed, with the commands that were told; on how many directors they had.

        One that stayed and was not told is left, and is a difference.
        """
        kept = {host: commands for command in ended for host, commands in command.kept_routes().items()}
        script = "".join(_removal(host, commands.split("; ")) for host, commands in kept.items())
        return self.lab.console("rt", script).count("kept") if kept else 0

    @contextmanager
    def _store(self) -> Iterator[SqliteStore]:
        with closing(SqliteStore.at(self.lab.folder / ".ferryman" / "state.db")) as store:
            yield store


@contextmanager
def fresh_torture_lab(*, reuse_mode: int) -> Iterator[TortureLab]:
    """A lab of its own, taken down at the end.

    Args:
        reuse_mode: ``net.ipv4.vs.conn_reuse_mode`` of its directors. With 3, connections that a killed
            process had open count as over at once; with 1, the kernel's default, host routes stay for them.
    """
    with own_folder() as folder:
        hasten(folder)
        lab = RunningLab(folder)
        the_lab.up(lab.place)
        try:
            for host in migration.DIRECTORS:
                lab.console(host, f"echo {reuse_mode} >/proc/sys/net/ipv4/vs/conn_reuse_mode")
            yield TortureLab(lab)
        finally:
            the_lab.down(lab.place)


def hasten(folder: Path) -> None:
    """Shorten what a run waits for, in the lab's own configuration.

    The watch stays at home: its calls would come between those that are counted, at any moment.
    """
    configure(folder, {"directors": {"drain_timeout": 0.2}, "watch": {"every": 3600, "soak": 0}})


def _communicate(
    process: subprocess.Popen[str], cut: Cut | Instant | None, course_s: float
) -> tuple[str, str, bool]:
    """Wait for its end; the two streams, and whether a signal from outside reached it."""
    hit = False
    if isinstance(cut, Instant):
        try:
            return *process.communicate(timeout=cut.share * course_s), False
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL if cut.fault == "kill" else signal.SIGTERM)
            hit = True
    try:
        return *process.communicate(timeout=COMMAND_S), hit
    except subprocess.TimeoutExpired:
        process.kill()
        stdout, stderr = process.communicate()
        raise AssertionError(f"{process.args!r}: no end after {COMMAND_S:g} s: {stdout}\n{stderr}") from None


def environment() -> dict[str, str]:
    """The environment variables of the process that the cutter runs in."""
    return {**os.environ, "PYTHONPATH": f"{REPOSITORY / 'lib'}:{REPOSITORY / 'tests'}"}


def _whole_lines(text: str) -> list[dict[str, Any]]:
    """The JSON lines that were written to their end."""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("}\n")]


def _removal(host: str, commands: Sequence[str]) -> str:
    """A script for the router: the word ``kept`` where there are such routes, and the end of them."""
    tries = "\n".join(f"{command} 2>/dev/null || :" for command in commands)
    show = "; ".join(f"ip -{family} route show proto {PROTOCOL}" for family in (4, 6))
    look = f"({show}) | grep -q . && echo kept || :"
    return f"ip netns exec {host} sh -c {shlex.quote(look + chr(10) + tries)}\n"


def _differing(host: str, wanted: str, seen: str) -> list[str]:
    were, are = wanted.splitlines(), seen.splitlines()
    missing = [f"{host}: missing: {line}" for line in were if line not in are]
    return missing + [f"{host}: unwanted: {line}" for line in are if line not in were]
