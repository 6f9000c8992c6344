"""``@cookbook``: makes a click command of a function that returns a plan."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from ferryman.click_shim import (
    Choice,
    Command,
    Context,
    FloatRange,
    IntRange,
    argument,
    declared_parameters,
    get_current_context,
    option,
)
from ferryman.docstrings import docstring

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ferryman.cookbook.context import Ferry
    from ferryman.engine.plan import Plan

Asks = Literal["hosts", "clusters", "nobody"]
Function = TypeVar("Function", bound="Callable[..., Any]")


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What every cookbook is given on the command line."""

    dry_run: bool
    yes: bool
    reason: str
    task: str
    on_doubt: str


class CookbookRunner(Protocol):
    """What the command line puts into click's context: it runs a cookbook and ends the command."""

    def perform(self, cookbook: CookbookCommand, arguments: Mapping[str, Any], options: RunOptions) -> None:
        """Build the plan and run it; leaves through click's ``Exit`` with the run's exit code."""


class CookbookCommand(Command):
    """A cookbook as a command; ``build`` makes its plan from a ferry and the command's own arguments."""

    build: Callable[..., Plan]
    cookbook: str = ""
    """The words of its command, such as ``mtu rollout``; whoever finds its file fills them in."""
    asks: Asks = "hosts"
    """Whom its steps ask: who asks no hosts needs no SSH key, and who asks nobody needs no lab either."""

    def plan(self, ferry: Ferry, arguments: Mapping[str, Any]) -> Plan:
        """The plan that the cookbook's function returns for these arguments; raises whatever it raises.

        Raises:
            RefusedError: A step sends probes, whenever its turn is, and this process may not.
        """
        from ferryman.hosts.shared import SharedReadings  # noqa: PLC0415  # not for a help text to wait for

        hosts = SharedReadings(ferry.hosts)
        plan = replace(self.build(replace(ferry, hosts=hosts), **arguments), readings=hosts)
        watched = [*plan.watch.looks, *plan.watch.often] if plan.watch is not None else []
        if any(getattr(step, "sends_probes", False) for step in (*plan.steps, *watched)):
            ferry.need_raw_sockets()
        return plan


def cookbook_asking(asks: Asks) -> Callable[[Callable[..., Plan]], CookbookCommand]:
    """Declare a cookbook as ``cookbook`` does, whose steps ask clusters alone, or nobody."""

    def declare(build: Callable[..., Plan]) -> CookbookCommand:
        made = cookbook(build)
        made.asks = asks
        return made

    return declare


def cookbook(build: Callable[..., Plan]) -> CookbookCommand:
    """Declare a cookbook: a function of a ferry and its own options that returns a plan.

    Put it above the function's ``argument`` and ``option`` decorators. The function's docstring is the help.
    ``--dry-run``, ``--yes``, ``--reason``, ``--task`` and ``--on-doubt`` are added to each.
    """

    def invoke(dry_run: bool, yes: bool, reason: str, task: str, on_doubt: str, **arguments: object) -> None:
        context: Context = get_current_context()
        runner: CookbookRunner = context.obj
        command = context.command
        assert isinstance(command, CookbookCommand)
        runner.perform(command, arguments, RunOptions(dry_run, yes, reason, task, on_doubt))

    made = CookbookCommand(
        name=build.__name__.replace("_", "-"),
        callback=invoke,
        params=[*declared_parameters(build), *declared_parameters(_with_run_options(lambda: None))],
        help=_as_help(docstring(build) or ""),
    )
    made.build = build
    return made


def _as_help(doc: str) -> str:
    """The docstring as click wants it: a backspace before a paragraph keeps its line breaks."""
    return re.sub(r"\n\n(?=\w+: )", "\n\n\b\n", doc)


def _with_run_options(function: Callable[[], None]) -> Callable[[], None]:
    for decorate in reversed(
        (
            option("--dry-run", is_flag=True, help="A dry run: show every finding and edit, change nothing."),
            option("--yes", is_flag=True, help="Do not ask before the first change."),
            option("--reason", default="", metavar="TEXT", help="Why, for the journal."),
            option("--task", default="", metavar="ID", help="The ticket it belongs to, for the journal."),
            option(
                "--on-doubt",
                type=Choice(["hold", "rollback"]),
                default="hold",
                show_default=True,
                help="What to do when something cannot be determined after a change.",
            ),
        )
    ):
        function = decorate(function)
    return function


service_argument = argument("service")
"""``SERVICE``, a name of the service catalog."""

accept_irreversible_option = option(
    "--accept-irreversible", is_flag=True, help="Change also directors that cannot be put back."
)
"""``--accept-irreversible``, for ``Ferry.with_overrides``."""


drain_option = option(
    "--drain",
    type=FloatRange(0, 86_400),
    metavar="SECONDS",
    help="How long to wait for connections from before.  [default: directors.drain_timeout]",
)
"""``--drain SECONDS``, for ``Ferry.with_overrides``."""


def watch_options(function: Function) -> Function:
    """``--soak``, ``--failures``, ``--flaps`` and ``--retries``, for ``Ferry.with_overrides``."""
    for decorate in reversed(
        (
            option(
                "--soak",
                type=FloatRange(0, 86_400),
                metavar="SECONDS",
                help="How long nothing must go wrong after each director.  [default: watch.soak]",
            ),
            option(
                "--failures",
                type=IntRange(1, 100),
                metavar="TIMES",
                help="How many times in a row a look must fail to stop the run.  [default: watch.failures]",
            ),
            option(
                "--flaps",
                type=IntRange(0, 1000),
                metavar="TIMES",
                help="How often looks may fail and then pass before the run is held.  [default: watch.flaps]",
            ),
            option(
                "--retries",
                type=IntRange(0, 1000),
                metavar="TIMES",
                help="In how many rounds a minute a realserver may answer only when it is asked again."
                "  [default: watch.retries]",
            ),
        )
    ):
        function = decorate(function)
    return function


site_option = option("--site", required=True, metavar="SITE", help="The site to do it at.")
"""``--site SITE``."""
