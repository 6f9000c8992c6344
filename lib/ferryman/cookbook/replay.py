"""A recorded run again: the cookbook as it is today, in the world as its tape has it."""

from __future__ import annotations

import logging
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from ferryman import waits
from ferryman.config import Config
from ferryman.cookbook.context import Ferry
from ferryman.cookbook.taping import CONFIGURED, planned
from ferryman.engine.clock import SystemClock
from ferryman.engine.process import ProcessId
from ferryman.engine.runner import Runner
from ferryman.errors import FerrymanError, TapeError
from ferryman.inventory import Inventory
from ferryman.outcomes import Outcome, RunResult
from ferryman.state import NewRecord, RunRequest, SqliteStore
from ferryman.state.sqlite.database import Database
from ferryman.tape.compare import compare_events, compare_plans
from ferryman.tape.difference import Difference
from ferryman.tape.file import read
from ferryman.tape.keys import CONFIRM, current_lane
from ferryman.tape.replaying import TapeHosts, replaying_ports
from ferryman.tape.world import DivergedError, EndOfTapeError, TapeWorld

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ferryman.cookbook.command import CookbookCommand
    from ferryman.engine.plan import Plan
    from ferryman.events import Occurrence
    from ferryman.tape.compare import End
    from ferryman.tape.file import Entry, Tape

    FindCookbook = Callable[[str], CookbookCommand]
_NOBODY = ProcessId("tape", 1, 1, "tape")
"""Who held a run that is taken up on a tape; dead."""


@dataclass(frozen=True, slots=True)
class Replay:
    """How a replay went."""

    tape: Tape
    difference: Difference | None
    told: tuple[str, ...] = ()
    """What is no difference, and worth knowing: reads more or fewer, a tape that ends early."""
    entries: tuple[Entry, ...] = ()
    """The tape's entries with the reads of today, where only reads are others than the recorded ones."""


def replay(path: Path, find: FindCookbook) -> Replay:
    """Run a tape's cookbook against its recorded world.

    Raises:
        TapeError: It cannot be read, or is damaged.
        UsageError: Its cookbook is not there.
    """
    return replayed(read(path), find)


def replayed(tape: Tape, find: FindCookbook) -> Replay:
    """As ``replay``, of a tape that was read already."""
    try:
        cookbook = find(tape.header.cookbook)
    except FerrymanError as error:
        raise TapeError(f"{tape.path}: {error}") from error
    return _Replaying(tape).run(cookbook)


class _Replaying:
    """One replay under way."""

    def __init__(self, tape: Tape) -> None:
        self._tape = tape
        self._world = TapeWorld(tape)
        self._events: list[dict[str, Any]] = []
        self._plan: Plan | None = None

    def run(self, cookbook: CookbookCommand) -> Replay:
        ended: RunResult | None = None
        told: list[str] = []
        early = False
        try:
            with waits.using(self._world), closing(self._world), _quiet():
                ended = self._performed(cookbook)
        except DivergedError:
            pass
        except EndOfTapeError:
            early = True
        except FerrymanError as error:
            if isinstance(error, TapeError):
                raise
            ended = RunResult(_outcome_of(error), str(error), self._tape.header.run)
        if self._world.broken is not None:
            raise self._world.broken
        if early:
            told.append(f"{self._tape.path}: the recorded run was cut off here; it went the same until then")
        difference = self._difference(ended, early=early)
        told += [*([] if early else self._world.told), *self._left_reads(early=early)]
        only_reads = told and difference is None and not early
        entries = self._world.entries_used() if only_reads else self._tape.entries
        return Replay(self._tape, difference, tuple(told), entries)

    def _performed(self, cookbook: CookbookCommand) -> RunResult:
        header = self._tape.header
        ferry = self._ferry()
        self._plan = plan = self._built(cookbook, ferry)
        with closing(self._store(ferry.request)) as store:
            runner = Runner(
                store=store,
                subscribers=[self._heard],
                confirm=lambda _: bool(self._world.ask(CONFIRM)),
                on_doubt=header.options["on_doubt"],
                clock=self._world,
                fence_off=ferry.fence_off,
                observer=self._world,
                wait_s=ferry.config.directors.wait,
            )
            if header.action == "perform":
                return runner.perform(ferry.request, plan)
            act = runner.resume if header.action == "resume" else runner.roll_back
            return act(header.run, plan, accept_changed_plan=True, operator=header.operator)

    def _built(self, cookbook: CookbookCommand, ferry: Ferry) -> Plan:
        """The plan of today's cookbook for the recorded arguments."""
        given = self._tape.header.arguments
        taken = [parameter.name for parameter in cookbook.params]
        if unknown := sorted(set(given) - set(taken)):
            raise TapeError(
                f"{self._tape.path}: {cookbook.name} takes no argument {', '.join(map(ascii, unknown))}"
            )
        try:
            return cookbook.plan(ferry, given)
        except FerrymanError:
            raise
        except Exception as error:
            raise TapeError(
                f"{self._tape.path}: {cookbook.name} makes no plan of these arguments: "
                f"{type(error).__name__}: {error}"
            ) from error

    def _ferry(self) -> Ferry:
        header = self._tape.header
        hosts = TapeHosts(self._world, dry_run=header.options["dry_run"])
        request = RunRequest(
            cookbook=header.cookbook,
            arguments=header.arguments,
            operator=header.operator,
            dry_run=header.options["dry_run"],
            run_id=header.run,
        )
        return Ferry(
            self._config(),
            hosts,
            dry_run=request.dry_run,
            resumed=header.action != "perform",
            request=request,
            clock=self._world,
            fence_off=hosts.fence,
            loaded_inventory=Inventory.of_texts(header.inventory),
            ports=replaying_ports(self._world),
        )

    def _config(self) -> Config:
        recorded = self._tape.header.config
        known = {name: recorded[name] for name in CONFIGURED if name in recorded}
        inventory = recorded.get("inventory", "inventory")
        try:
            return Config(file=Path("ferryman.toml"), inventory=inventory, **known)
        except (ValidationError, TypeError) as error:
            raise TapeError(f"{self._tape.path}: its configuration is not understood: {error}") from error

    def _store(self, request: RunRequest) -> SqliteStore:
        """A journal of its own, with what the recorded one had when the run was taken up."""
        database = Database.in_memory()
        journal = self._tape.header.journal
        if journal is not None:
            try:
                _fill(SqliteStore(database, owner=_NOBODY), request, journal)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise TapeError(f"{self._tape.path}: its journal is not understood: {error}") from error
        return SqliteStore(database, clock=SystemClock(), alive=lambda _: False)

    def _heard(self, occurrence: Occurrence) -> None:
        event = occurrence.event
        self._events.append({"event": event.event, **event.as_dict(), "lane": current_lane()})

    def _difference(self, ended: RunResult | None, *, early: bool) -> Difference | None:
        header = self._tape.header
        if self._plan is not None and (found := compare_plans(header.plan, planned(self._plan))):
            return found
        titles = self._plan.titles if self._plan is not None else tuple(step.title for step in header.plan)
        recorded = [entry.data for entry in self._tape.entries if entry.kind == "event"]
        asked = self._world.difference
        ends: End = "now" if early else "both" if asked is None else "recorded"
        if found := compare_events(recorded, self._events, titles, ends=ends):
            return found
        if asked is not None:
            return replace(asked, step=asked.step or self._where(titles))
        if early:
            return None
        return self._other_end(ended) or self._left_writes()

    def _where(self, titles: tuple[str, ...]) -> str:
        """The step that the run was at when it went another way."""
        for event in reversed(self._events):
            if event["event"] == "step-started" and event["lane"] == "run":
                return f"step {event['step'] + 1}, {titles[event['step']]} ({event['phase']})"
        return ""

    def _other_end(self, ended: RunResult | None) -> Difference | None:
        recorded = next((entry.data for entry in self._tape.entries if entry.kind == "outcome"), None)
        if recorded is None:
            return None
        was = f"{recorded['outcome']} (exit code {recorded['exit_code']})"
        now = "not ended" if ended is None else f"{ended.outcome} (exit code {ended.exit_code})"
        if was == now:
            return None
        why = "" if ended is None else (ended.reason.splitlines() or [""])[0]
        return Difference(f"it ended {now}, and the recorded run {was}", why)

    def _left_writes(self) -> Difference | None:
        writes, _ = self._world.left_over
        if not writes:
            return None
        return Difference(f"it did not do {writes[0]}, which the recorded run did")

    def _left_reads(self, *, early: bool) -> list[str]:
        _, reads = self._world.left_over
        if early or self._world.difference is not None or not reads:
            return []
        more = f", and {len(reads) - 1} more" if len(reads) > 1 else ""
        return [f"it did not ask {reads[0]}, which the recorded run did{more}"]


@contextmanager
def _quiet() -> Iterator[None]:
    """What the run would log for its operator is not logged: there is none."""
    log = logging.getLogger("ferryman")
    before = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(before)


def _fill(store: SqliteStore, request: RunRequest, journal: Mapping[str, Any]) -> None:
    """Begin the run as its journal has it, and leave it as it was left."""
    run = store.begin(request, _Recorded(tuple(journal["plan"]), str(journal["fingerprint"])))
    store.append(
        run,
        [
            NewRecord(record["time"], record["kind"], record["payload"], record["step"], record["phase"])
            for record in journal["records"]
        ],
    )
    if journal["outcome"] is not None:
        left = journal["outcome"], journal["exit_code"]
        ended = next(row for row in Outcome if (row.word, row.exit_code) == left)
        store.finish(RunResult(ended, str(journal["ending"]), run), is_final=True)


@dataclass(frozen=True, slots=True)
class _Recorded:
    """A plan as a journal has it."""

    titles: tuple[str, ...]
    fingerprint: str


def _outcome_of(error: FerrymanError) -> Outcome:
    """How the command ends when the error leaves it."""
    return next(row for row in Outcome if row.exit_code == error.exit_code)
