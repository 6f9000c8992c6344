"""Runs a cookbook, resumes a run, rolls one back: here everything that takes part is put together."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from ferryman import __version__
from ferryman.cli import output, terminal_check
from ferryman.cli.confirm import confirmed
from ferryman.cli.host_helper import needs_in
from ferryman.cli.no_hosts import NoHosts, plan_of
from ferryman.cli.operator import operator
from ferryman.cli.state import enter_lab, store_of
from ferryman.click_shim import Exit
from ferryman.console.json_lines import JsonLines, acknowledgements
from ferryman.console.screen import Screen
from ferryman.cookbook.context import Ferry
from ferryman.cookbook.taping import TapedCommand, Taping, journal_of
from ferryman.engine.runner import Runner, without_asking
from ferryman.engine.steps import Change
from ferryman.errors import ConfigError, InventoryError, UsageError
from ferryman.hosts.ssh import Fleet
from ferryman.inventory import Inventory
from ferryman.permissions import WRITE, denied
from ferryman.printable import printable
from ferryman.state import RunRequest, new_run_id
from ferryman.state.factory import foretellings_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ferryman.cli.app import App
    from ferryman.cookbook.command import CookbookCommand, RunOptions
    from ferryman.engine.plan import Plan
    from ferryman.engine.runner import Confirm, OnDoubt
    from ferryman.events import Subscriber
    from ferryman.hooks import RunAction
    from ferryman.model import Edit
    from ferryman.outcomes import RunResult
    from ferryman.state import Store
    from ferryman.tape.form import Action

    End = Callable[[RunResult], RunResult]


def perform(app: App, cookbook: CookbookCommand, arguments: Mapping[str, Any], options: RunOptions) -> None:
    """A new run of a cookbook; leaves with the run's exit code."""
    request = RunRequest(
        cookbook=cookbook.cookbook,
        arguments=arguments,
        operator=operator(),
        reason=options.reason,
        task=options.task,
        dry_run=options.dry_run,
        version=__version__,
        run_id=new_run_id(datetime.now(UTC)),
    )
    with store_of(app.config) as store, _ferry(app, request, cookbook) as (ferry, taping):
        plan = plan_of(cookbook, ferry, arguments)
        asks = not (options.yes or options.dry_run) and _changes(plan)
        if asks and not _is_interactive():
            raise UsageError("there is nobody to ask before the first change: say --yes, or --dry-run")
        if _changes(plan) and not options.dry_run:
            terminal_check.warn()
        screen, subscribers = _subscribers(app, plan)
        subscribers += _hooks(ferry, request, request.operator, "begins")
        confirm = _asking(screen) if asks else without_asking
        runner = _runner(ferry, store, subscribers, options.on_doubt, confirm)
        changes = _changes(plan) and not options.dry_run
        file = app.cookbooks.find(request.cookbook).file
        command = TapedCommand(plan, file, options.on_doubt)
        with _taped(taping, runner, ferry, command) as (followed, end):
            result = end(followed.perform(request, plan))
        _leave(app, result, changes=changes)


def resume(app: App, run: str, *, accept_changed_plan: bool, on_doubt: OnDoubt) -> None:
    """Go on with a run; leaves with the run's exit code."""
    who = operator()
    with _reopened(app, run, on_doubt, who, "goes on") as (plan, runner, end):
        result = end(runner.resume(run, plan, accept_changed_plan=accept_changed_plan, operator=who))
    _leave(app, result)


def roll_back(app: App, run: str, *, accept_changed_plan: bool) -> None:
    """Put back what a run changed; leaves with the run's exit code."""
    who = operator()
    with _reopened(app, run, "hold", who, "goes back") as (plan, runner, end):
        result = end(runner.roll_back(run, plan, accept_changed_plan=accept_changed_plan, operator=who))
    _leave(app, result)


@contextmanager
def _reopened(
    app: App, run: str, on_doubt: OnDoubt, operator: str, action: RunAction
) -> Iterator[tuple[Plan, Runner, End]]:
    """The plan of a run in the journal, built anew from its cookbook and arguments, and a runner for it."""
    with store_of(app.config) as store:
        entry = store.run(run)
        file = app.cookbooks.find(entry.request.cookbook)
        cookbook = file.load()
        with _ferry(app, replace(entry.request, run_id=run), cookbook, resumed=True) as (ferry, taping):
            with _explain_inventory(run, action):
                plan = plan_of(cookbook, ferry, entry.request.arguments)
            terminal_check.warn()
            subscribers = [*_subscribers(app, plan)[1], *_hooks(ferry, entry.request, operator, action)]
            runner = _runner(ferry, store, subscribers, on_doubt, without_asking)
            way: Action = "resume" if action == "goes on" else "rollback"
            journal = None if taping is None else journal_of(store, entry)
            command = TapedCommand(plan, file.file, on_doubt, way, journal)
            with _taped(taping, runner, ferry, command) as (followed, end):
                yield plan, followed, end


@contextmanager
def _taped(
    taping: Taping | None, runner: Runner, ferry: Ferry, command: TapedCommand
) -> Iterator[tuple[Runner, End]]:
    """The runner, with what is to get its result; recorded where runs are."""
    if taping is None:
        yield runner, lambda result: result
        return
    with taping.of(taping.header(ferry, command)) as end:
        yield taping.followed(runner), end


@contextmanager
def _explain_inventory(run: str, action: RunAction) -> Iterator[None]:
    """Add to an error of the inventory what it means for a run that is to be resumed or rolled back.

    Only entries that the run names are read: what is wrong elsewhere stops nobody.
    """
    try:
        yield
    except InventoryError as error:
        command = f"ferryman {'resume' if action == 'goes on' else 'rollback'} {run}"
        hint = (
            f"these are entries that run {run} needs, and they were sound when it began; nothing was changed "
            f"just now, and all is as the run left it (ferryman show {run}); mend them, then: {command}"
        )
        raise InventoryError([*error.problems, hint]) from error


@contextmanager
def _ferry(
    app: App, request: RunRequest, cookbook: CookbookCommand, *, resumed: bool = False
) -> Iterator[tuple[Ferry, Taping | None]]:
    """The world of a run, and what records it, where runs are recorded."""
    config = app.config if cookbook.asks == "nobody" else enter_lab(app.config)
    taping = Taping(config) if config.tape.keep else None
    inventory = Inventory.load(config.inventory)
    ferry_on = partial(
        Ferry,
        config,
        dry_run=request.dry_run,
        resumed=resumed,
        request=request,
        loaded_inventory=inventory,
    )
    try:
        opened = Fleet(
            inventory.host_addresses(),
            config.ssh,
            dry_run=request.dry_run,
            needs_of=needs_in(inventory, config.management),
        )
    except ConfigError as why:
        yield ferry_on(NoHosts(why)), None
        return
    with opened as fleet:
        ferry = ferry_on(fleet, fence_off=fleet.fence)
        yield (ferry if taping is None else taping.listening(ferry, fleet)), taping


def _runner(
    ferry: Ferry, store: Store, subscribers: Sequence[Subscriber], on_doubt: str, confirm: Confirm
) -> Runner:
    return Runner(
        store=store,
        subscribers=subscribers,
        confirm=confirm,
        on_doubt="rollback" if on_doubt == "rollback" else "hold",
        wait_s=ferry.config.directors.wait,
        fence_off=ferry.fence_off,
        foretellings=foretellings_of(ferry.config),
    )


def _subscribers(app: App, plan: Plan) -> tuple[Screen, list[Subscriber]]:
    if app.picture is not None and (obstacle := denied(app.picture, WRITE)):
        raise UsageError(f"--picture: {app.picture}: cannot be written: {obstacle}; nothing was begun")
    screen = Screen(to_stderr=app.json, verbose=app.verbose or plan.shows_passing, picture=app.picture)
    lines = [JsonLines(sys.stdout, acknowledgements(os.environ))] if app.json else []
    return screen, [*lines, screen]


def _hooks(ferry: Ferry, request: RunRequest, operator: str, action: RunAction) -> list[Subscriber]:
    """The hooks that ``[hooks]`` names; last of all subscribers, for the operator is not to wait for them."""
    if ferry.config.hooks.is_empty:
        return []
    from ferryman.hooks import notifier_of  # noqa: PLC0415  # its HTTP client takes a while

    return [notifier_of(ferry.config.hooks, request, operator, action)]


def _asking(screen: Screen) -> Callable[[Sequence[Edit]], bool]:
    def ask(edits: Sequence[Edit]) -> bool:
        return screen.ask(list(edits), confirmed)

    return ask


def _changes(plan: Plan) -> bool:
    return any(isinstance(step, Change) for step in plan.steps)


def _leave(app: App, ending: RunResult, *, changes: bool = True) -> None:
    """Leave with the run's exit code; where its output was lost, say on standard error how it ended.

    A run that changes nothing and whose reader has gone is silent, as any program is.
    """
    lost = output.lost()
    if lost is not None and (changes or not isinstance(lost, BrokenPipeError)):
        message = f"ferryman: run {ending.run}: {ending.outcome} (exit code {ending.exit_code})"
        message += f"; the output is not whole: {lost}"
        message += (
            "" if app.json else f"\n{ending.reason}"
        )  # in JSON people read it on standard error already
        with suppress(OSError):
            print(printable(message), file=sys.stderr)  # noqa: T201  # this is the screen
    raise Exit(ending.exit_code)


def _is_interactive() -> bool:
    """Whether there is somebody to ask."""
    return sys.stdin.isatty() and sys.stderr.isatty()
