"""Plays one scenario on one lab: the real command, what strikes it, and what is expected of its end."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ferryman import lab
from ferryman.errors import FerrymanError, LabError
from ferryman.inventory import Inventory
from ferryman.rehearsal import etcd, memory, world
from ferryman.rehearsal.expectations import Ending, compare
from ferryman.rehearsal.moments import Follower, Moment
from ferryman.rehearsal.process import Process
from ferryman.rehearsal.results import Result, Step
from ferryman.rehearsal.review import AUTHOR, Review
from ferryman.rehearsal.review import SETTINGS as REVIEW_SETTINGS
from ferryman.rehearsal.schema import Kill, Merge, Strike
from ferryman.rehearsal.settings import merged
from ferryman.rehearsal.strikes import Striker
from ferryman.retry import poll_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ferryman.model import VirtualService
    from ferryman.rehearsal.reading import Line, Scenario
    from ferryman.rehearsal.results import Tell
    from ferryman.rehearsal.stage import Stage

KILLED = 128 + signal.SIGKILL
"""The exit code of a killed process, as shells have it."""
BUSY = 6
TAKEN_OVER_S = 90.0
"""Seconds for another control host to know that a run's process is dead: its lease has to end."""
_LOAD_S = 60.0


def play(scenario: Scenario, stage: Stage, tell: Tell, is_stopped: Callable[[], bool]) -> Result:
    """Play a scenario; what went wrong is in the result. The lab is left as it is then."""
    result = Result(scenario.name, scenario.path, scenario.file.title, stage.name)
    playing = _Play(scenario, stage, result, tell, is_stopped)
    try:
        playing.play()
    except KeyboardInterrupt:
        stage.abandon()
        raise
    except (FerrymanError, OSError, subprocess.SubprocessError) as error:
        playing.step("the scenario is played to its end", failed=True, expected="no error", seen=str(error))
        stage.abandon()
    playing.require_all_struck()
    with suppress(FerrymanError, OSError):
        result.peak_mib = memory.peak_mib(stage.paths)
    result.seconds = time.monotonic() - playing.began
    return result


class _Play:
    def __init__(
        self, scenario: Scenario, stage: Stage, result: Result, tell: Tell, is_stopped: Callable[[], bool]
    ) -> None:
        self.began = time.monotonic()
        self._scenario = scenario
        self._stage = stage
        self._result = result
        self._tell = tell
        self._is_stopped = is_stopped
        self._pending: list[Strike] = list(scenario.strikes)
        self._killed: Kill | None = None
        self._striker: Striker | None = None

    def play(self) -> None:
        file = self._scenario.file
        with ExitStack() as stack:
            tables = self._tables(stack)
            self._result.booted_s = self._stage.ready(self._scenario.topology)
            self._stage.furnish(tables)
            if self._result.booted_s:
                self.step(f"{self._stage.name} is up", seen=f"after {self._result.booted_s:.1f} s")
            memory.forget_peak(self._stage.paths)
            folder, catalog = self._stage.folder, self._stage.catalog
            review = Review.of(folder / "inventory", folder) if file.catalog == "git" else None
            self._striker = striker = Striker(
                self._stage,
                self._scenario.known,
                catalog.read_bytes(),
                review,
                self._scenario.service,
                apart=file.state == "etcd",
            )
            self._strike_when(lambda moment: moment.when == "start", striker)
            before = self._look()
            services = self._services()
            with self._load(services) as requests:
                codes = self._commands(striker)
            ending = Ending(
                codes, self._result.events, before, self._look, services, self._catalog_form, requests or None
            )
            for step in compare(file.expect, ending):
                self._add(step)

    def step(self, what: str, *, failed: bool = False, expected: str = "", seen: str = "") -> None:
        """Add a step to the result, and tell it."""
        self._add(Step(what, failed, expected, seen))

    def require_all_struck(self) -> None:
        """What never struck is a failure: else a scenario that rehearses nothing would pass."""
        for strike in self._pending:
            what = f"{_words(strike)} {strike.moment}"
            self.step(
                what, failed=True, expected="that moment comes", seen=f"it never came{_hint(strike.moment)}"
            )

    def _add(self, step: Step) -> None:
        made = replace(step, after_s=time.monotonic() - self.began)
        self._result.steps.append(made)
        self._tell(self._scenario.name, str(made))

    def _tables(self, stack: ExitStack) -> dict[str, Any]:
        file = self._scenario.file
        tables: dict[str, Any] = {}
        if file.catalog == "git":
            tables = merged(tables, REVIEW_SETTINGS)
        if file.state == "etcd":
            endpoint = stack.enter_context(etcd.running(self._stage.folder.with_suffix(".etcd")))
            shared = {"state": f"etcd://{endpoint}/ferryman", "etcd": {"lease": etcd.LEASE_S}}
            tables = merged(tables, shared)
        return merged(tables, file.settings)

    def _look(self) -> world.World:
        return world.look(self._stage.paths, self._stage.topology, self._stage.catalog)

    def _services(self) -> tuple[VirtualService, ...]:
        service, site = self._scenario.service, self._scenario.site
        if service is None or site is None:
            return ()
        try:
            return (
                Inventory.load(self._stage.folder / "inventory")
                .service(service, site, begun=True)
                .virtual_services
            )
        except FerrymanError:  # a scenario may be about a service that cannot be migrated
            return ()

    def _catalog_form(self) -> str:
        folder = self._stage.folder / "inventory"
        return world.catalog_form(folder, self._scenario.service or "", self._scenario.site or "")

    # The commands

    def _commands(self, striker: Striker) -> list[int]:
        codes: list[int] = []
        run = ""
        for number, line in enumerate(self._scenario.lines, start=1):
            here = number  # bound now: the strikes of this command alone

            def is_before(moment: Moment, here: int = here) -> bool:
                return moment.when == "command" and moment.number == here

            self._strike_when(is_before, striker)
            words = [run if word == "RUN" else word for word in line.words]
            code, run = self._command(words, line, striker)
            codes.append(code)
        return codes

    def _command(self, words: Sequence[str], line: Line, striker: Striker) -> tuple[int, str]:
        """Run a command to its end, also where another process takes its run over: exit code and run."""
        code, process = self._process(words, line.control, striker)
        run = process.run or ""
        while (kill := self._killed) is not None:
            self._killed = None
            if kill.then is None:
                return KILLED, run
            if not run:
                raise LabError("the run was killed before it had an id; there is nothing to go on with")
            control = kill.on or line.control
            then = [kill.then, run]
            code, process = poll_until(
                lambda then=then, control=control: self._process(then, control, striker),  # type: ignore[misc]
                lambda ended: ended[0] != BUSY,
                within_s=TAKEN_OVER_S,
                every_s=1.0,
            )
        return code, run

    def _process(self, words: Sequence[str], control: str, striker: Striker) -> tuple[int, Process]:
        follower = Follower()
        apart = self._scenario.file.state == "etcd"
        process = Process.start(
            words,
            self._stage.config,
            self._stage.folder.with_suffix(".said"),
            control=control if apart else "",
            environment=AUTHOR,
        )
        striker.process = process

        def at_event(event: Mapping[str, Any]) -> None:
            follower.see(event)
            striker.event = event
            if event["event"] == "run-started":
                self._require_moments(follower)
            self._strike_due(lambda moment: follower.is_at(moment, event), striker)

        deadlines = [
            (moment.seconds or 0.0, self._timed(strike, striker))
            for strike in list(self._pending)
            if (moment := strike.moment).when == "seconds"
        ]
        try:
            code = process.follow(at_event, deadlines, self._is_stopped)
        finally:
            self._result.events += process.events
        striker.process = striker.event = None
        code = 128 - code if code < 0 else code
        where = f" on {control}" if apart else ""
        said = process.last_words() if not process.events and code else ""
        self.step(
            f"ferryman {' '.join(words)}{where}", seen=f"exit code {code}" + (f": {said}" if said else "")
        )
        return code, process

    def _require_moments(self, follower: Follower) -> None:
        for strike in self._pending:
            if problem := follower.problem(strike.moment):
                raise LabError(f"{strike.moment}: is no moment of this run: {problem}")

    # What strikes

    def _strike_when(self, is_due: Callable[[Moment], bool], striker: Striker) -> None:
        self._strike_due(is_due, striker)

    def _strike_due(self, is_due: Callable[[Moment], bool], striker: Striker) -> None:
        """Strike all that is due; of merges only the first, for each branch that waits is merged once."""
        merges = 0
        for strike in [strike for strike in self._pending if is_due(strike.moment)]:
            if isinstance(strike, Merge):
                merges += 1
                if merges > 1:
                    continue
            self._strike(strike, striker)

    def _timed(self, strike: Strike, striker: Striker) -> Callable[[], None]:
        def act() -> None:
            if strike in self._pending:
                if striker.process is None or striker.process.is_over:
                    return  # told at the end as a moment that never came
                self._strike(strike, striker)

        return act

    def _strike(self, strike: Strike, striker: Striker) -> None:
        self._pending.remove(strike)
        what = f"{strike.moment}"
        try:
            done = striker.strike(strike)
        except (FerrymanError, OSError, subprocess.SubprocessError) as error:
            self.step(f"{_words(strike)} {what}", failed=True, expected="it strikes", seen=str(error))
            return
        if isinstance(strike, Kill):
            self._killed = strike
        self.step(what, seen=done)

    @contextmanager
    def _load(self, services: tuple[VirtualService, ...]) -> Iterator[dict[str, Any]]:
        """Steady requests to the first virtual service; what became of them, once it is over."""
        requests: dict[str, Any] = {}
        load = self._scenario.file.load
        if load is None or not services:
            yield requests
            return
        program = Path(__file__).with_name("load.py")
        words = [str(services[0].vip), str(services[0].port), str(load.connections_per_second)]
        argv = lab.exec_argv(self._stage.paths, "control", [sys.executable, "-I", "-S", str(program), *words])
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdin is not None, "they are pipes"
            assert process.stdout is not None
            try:
                if process.stdout.readline() != "begun\n":
                    raise LabError("the load did not begin")
                yield requests
                output, _ = process.communicate(timeout=_LOAD_S)
                requests.update(json.loads(output))
            finally:
                process.kill()


def _words(strike: Strike) -> str:
    """What strikes, as the scenario has it."""
    values = strike.model_dump(exclude={"at"}, exclude_none=True)
    return ", ".join(f"{key}: {value}" for key, value in values.items())


def _hint(moment: Moment) -> str:
    if moment.when in ("before", "during", "after"):
        return "; a step before the first change is looked at in the preflight alone: in preflight of step N"
    if moment.when == "seconds":
        return "; no process of the run lived so long"
    return ""
