"""``ferryman rehearse``: scenarios on lab hosts."""

from __future__ import annotations

import threading
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ferryman.click_shim import (
    ClickException,
    Command,
    Context,
    Exit,
    Group,
    IntRange,
    PathType,
    argument,
    command,
    get_current_context,
    option,
    pass_obj,
)
from ferryman.console import tables
from ferryman.cookbook.command import CookbookCommand
from ferryman.errors import FerrymanError, UsageError
from ferryman.inventory import Inventory
from ferryman.junit import write_junit
from ferryman.lab import engines
from ferryman.outcomes import Outcome
from ferryman.permissions import WRITE, denied
from ferryman.rehearsal import etcd, report
from ferryman.rehearsal.judging import Known, Parsed
from ferryman.rehearsal.reading import Scenario, read
from ferryman.rehearsal.stage import own_stage
from ferryman.rehearsal.suite import rehearse as play_all

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ferryman.cli.app import App
    from ferryman.rehearsal.results import Result

FOLDER = Path(".ferryman") / "rehearsals"
"""Where the labs of rehearsals have their folders, beside ``ferryman.toml``."""
_FILE = PathType(dir_okay=False, path_type=Path)


@command("rehearse")
@argument("scenarios", nargs=-1, required=True, type=PathType(path_type=Path))
@option("--labs", type=IntRange(1, 16), default=1, show_default=True, help="So many labs side by side.")
@option("--check", is_flag=True, help="Read the scenarios and say what is wrong; play nothing.")
@option("--junit", type=_FILE, metavar="FILE", help="Write the results as JUnit XML.")
@option("--html", type=_FILE, metavar="FILE", help="Write the results as one HTML file.")
@pass_obj
def rehearse(  # noqa: PLR0913, PLR0917  # one for each option
    app: App, scenarios: tuple[Path, ...], labs: int, check: bool, junit: Path | None, html: Path | None
) -> None:
    """Play scenarios on lab hosts and compare their ends with what they expect.

    SCENARIOS are files, or folders of them. Each is played on a lab of its own folder, with the inventory and
    the cookbooks of the configuration in force: nothing leaves this machine. It ends with 0 when everything
    went as expected, with 8 when anything did not.
    """
    config = app.config
    if not config.lab:
        raise UsageError(
            f"{config.file}: scenarios are played on lab hosts, and want a configuration with lab = true"
        )
    for file in (junit, html):
        if file is not None:
            _require_writable(file)
    found = read(scenarios, _known(app))
    if check:
        tables.say(f"{len(found)} scenarios are sound", error=app.json)
        return
    _require_programs(found)
    parent = config.folder / FOLDER
    began = time.monotonic()
    results = play_all(
        found,
        partial(own_stage, config.file, config.inventory, tuple(config.cookbooks), parent),
        labs=labs,
        tell=_Teller(app, [scenario.name for scenario in found]),
    )
    if junit is not None:
        write_junit(junit, "ferryman rehearse", report.junit(results))
    if html is not None:
        html.write_text(report.page(results), encoding="utf-8")
    _summarise(app, results, time.monotonic() - began)
    if not all(result.passed for result in results):
        raise Exit(Outcome.DIFFERENT.exit_code)


def _require_writable(file: Path) -> None:
    """Make the folder of a report, so that what was played is not lost at the end.

    Raises:
        UsageError: It cannot be made, or the file cannot be written there.
    """
    obstacle = denied(file, WRITE)
    try:
        if not obstacle:
            file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        obstacle = error.strerror or str(error)
    if obstacle:
        raise UsageError(f"{file}: cannot be written: {obstacle}; nothing was played")


def _known(app: App) -> Known:
    return Known(
        services=Inventory.load(app.config.inventory).names,
        parse=partial(_parsed, get_current_context().find_root()),
    )


def _parsed(root: Context, words: Sequence[str]) -> Parsed:
    """A command line, read by the command that it names; nothing of it is done.

    A word RUN stands for a run that there will be.
    """
    if "--help" in words:
        return Parsed("asks for help, expected a command that does something")
    group: Command = root.command
    context, rest = root, list(words)
    try:
        while isinstance(group, Group):
            child = group.get_command(context, rest[0]) if rest else None
            if child is None:
                known = ", ".join(group.list_commands(context))
                return Parsed(f"there is no such command; there is {known}")
            rest.pop(0)
            group = child
        context = group.make_context(group.name or "", rest, parent=root)
    except ClickException as error:
        return Parsed(error.format_message())
    except FerrymanError as error:
        return Parsed(str(error))
    given = context.params
    asks = isinstance(group, CookbookCommand) and not (given.get("yes") or given.get("dry_run"))
    return Parsed(arguments=given, asks=asks)


def _require_programs(scenarios: Sequence[Scenario]) -> None:
    """Refuse what this machine cannot play, before anything is booted.

    Raises:
        LabError: It can have no lab.
        UsageError: It cannot have two control hosts, and a scenario wants them.
    """
    engine = engines.choose("auto")
    engines.require_programs(engine)
    engines.require_namespaces(engine)
    wanting = [scenario for scenario in scenarios if scenario.file.state == "etcd"]
    if wanting and (missing := etcd.missing()):
        names = ", ".join(str(scenario.path) for scenario in wanting)
        raise UsageError(f"{names}: state: etcd wants {'; '.join(missing)}; nothing was played")


class _Teller:
    """Tells each line as it comes; with JSON on standard output, on standard error."""

    def __init__(self, app: App, names: Sequence[str]) -> None:
        self._to_stderr = app.json
        self._width = max(map(len, names), default=0)
        self._began = time.monotonic()
        self._lock = threading.Lock()

    def __call__(self, scenario: str, line: str) -> None:
        """Say a line about a scenario."""
        first, *rest = line.splitlines() or [""]
        head = f"{time.monotonic() - self._began:6.1f} s  {scenario:<{self._width}}  "
        text = "\n".join([head + first, *(f"{' ' * len(head)}{more}" for more in rest)])
        with self._lock:
            tables.say(text, error=self._to_stderr)


def _summarise(app: App, results: Sequence[Result], seconds: float) -> None:
    rows = [
        {
            "scenario": result.name,
            "result": "pass" if result.passed else "fail",
            "seconds": f"{result.seconds:.1f}",
            "boot": f"{result.booted_s:.1f}" if result.booted_s else "",
            "guest_MiB": f"{result.peak_mib:.0f}" if result.peak_mib is not None else "",
            "what": result.title if result.passed else "\n".join(map(str, result.failures)),
        }
        for result in results
    ]
    columns = ["scenario", "result", "seconds", "boot", "guest_MiB", "what"]
    tables.show(rows, columns, as_json=app.json, empty="no scenarios")
    failed = sum(not result.passed for result in results)
    tables.say(f"{len(results) - failed} passed, {failed} failed, in {seconds:.0f} s", error=app.json)
