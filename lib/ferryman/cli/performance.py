"""A cookbook performed, resumed or rolled back: everything comes together here, and apart again."""

from __future__ import annotations

import os
import pwd
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ferryman import __version__
from ferryman.commandline import Exit, confirm
from ferryman.console.screen import Screen
from ferryman.cookbook.ferry import Ferry
from ferryman.engine.clock import SystemClock
from ferryman.engine.database import Database
from ferryman.engine.journal import Journal, Order
from ferryman.engine.runner import Runner, without_asking
from ferryman.engine.steps import Change
from ferryman.errors import UsageError
from ferryman.fleet.ssh import Fleet
from ferryman.inventory import Inventory
from ferryman.report import JsonLines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ferryman.cli.app import App
    from ferryman.config import Config
    from ferryman.cookbook.command import CookbookCommand, RunOptions
    from ferryman.engine.ending import Ending
    from ferryman.engine.plan import Plan
    from ferryman.engine.runner import Confirm, OnDoubt
    from ferryman.events import Subscriber
    from ferryman.model import Edit


def perform(app: App, cookbook: CookbookCommand, arguments: Mapping[str, Any], options: RunOptions) -> None:
    """A new run of a cookbook; leaves with the run's exit code."""
    order = Order(
        cookbook=cookbook.cookbook,
        arguments=arguments,
        operator=_operator(),
        reason=options.reason,
        task=options.task,
        dry_run=options.dry_run,
        version=__version__,
    )
    with _ferry(app, rehearsal=options.dry_run) as ferry:
        plan = cookbook.plan(ferry, arguments)
        asks = not (options.yes or options.dry_run) and _changes(plan)
        if asks and not _is_interactive():
            raise UsageError("there is nobody to ask before the first change: say --yes, or --dry-run")
        screen, subscribers = _audience(app)
        runner = _runner(
            app.config, subscribers, options.on_doubt, _asking(screen) if asks else without_asking
        )
        _leave(runner.perform(order, plan))


def resume(app: App, run: str, *, accept_changed_plan: bool, on_doubt: OnDoubt) -> None:
    """Go on with a run; leaves with the run's exit code."""
    with _taken_up(app, run) as (plan, subscribers):
        runner = _runner(app.config, subscribers, on_doubt, without_asking)
        _leave(runner.resume(run, plan, accept_changed_plan=accept_changed_plan))


def roll_back(app: App, run: str, *, accept_changed_plan: bool) -> None:
    """Put back what a run changed; leaves with the run's exit code."""
    with _taken_up(app, run) as (plan, subscribers):
        runner = _runner(app.config, subscribers, "hold", without_asking)
        _leave(runner.roll_back(run, plan, accept_changed_plan=accept_changed_plan))


@contextmanager
def _taken_up(app: App, run: str) -> Iterator[tuple[Plan, list[Subscriber]]]:
    """The plan of a run in the journal, built anew from its cookbook and its arguments."""
    entry = Journal(Database.at(app.config.journal), SystemClock()).run(run)
    cookbook = app.shelf.find(entry.order.cookbook).load()
    with _ferry(app, rehearsal=False) as ferry:
        ferry.taken_up = True
        yield cookbook.plan(ferry, entry.order.arguments), _audience(app)[1]


@contextmanager
def _ferry(app: App, *, rehearsal: bool) -> Iterator[Ferry]:
    config = inside_the_lab(app.config)
    inventory = Inventory.load(config.inventory)
    with Fleet(inventory.host_addresses(), config.ssh, rehearsal=rehearsal) as fleet:
        yield Ferry(config, fleet, rehearsal=rehearsal, stock=inventory)


def inside_the_lab(config: Config) -> Config:
    """With ``lab = true`` this process enters the lab's control namespace: nothing it sends gets out.

    Raises:
        LabError: The lab is not up.
    """
    if not config.lab:
        return config
    from ferryman import lab  # noqa: PLC0415  # only where there is one

    access = lab.enter(lab.LabPlace.of(config.folder))
    ssh = config.ssh.model_copy(update={"identity": access.identity, "known_hosts": access.known_hosts})
    return config.model_copy(update={"ssh": ssh})


def _runner(config: Config, subscribers: Sequence[Subscriber], on_doubt: str, confirm: Confirm) -> Runner:
    return Runner(
        database=Database.at(config.journal),
        subscribers=subscribers,
        confirm=confirm,
        on_doubt="rollback" if on_doubt == "rollback" else "hold",
    )


def _audience(app: App) -> tuple[Screen, list[Subscriber]]:
    screen = Screen(to_stderr=app.json, verbose=app.verbose, picture=app.picture)
    return screen, [*([JsonLines(sys.stdout)] if app.json else []), screen]


def _asking(screen: Screen) -> Callable[[Sequence[Edit]], bool]:
    def ask(edits: Sequence[Edit]) -> bool:
        return screen.ask(list(edits), lambda question: confirm(question, err=True))

    return ask


def _changes(plan: Plan) -> bool:
    return any(isinstance(step, Change) for step in plan.steps)


def _leave(ending: Ending) -> None:
    raise Exit(ending.exit_code)


def _operator() -> str:
    """Who is at the keyboard: the user behind sudo, where there is one."""
    name = os.environ.get("SUDO_USER") or pwd.getpwuid(os.getuid()).pw_name
    return f"{name}@{os.uname().nodename}"


def _is_interactive() -> bool:
    """Whether there is somebody to ask."""
    return sys.stdin.isatty() and sys.stderr.isatty()
