"""The table of commands: Ferryman's own, and one for each cookbook."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from ferryman import __version__
from ferryman.cli.app import App
from ferryman.click_shim import (
    Choice,
    Context,
    LazyCommand,
    LazyGroup,
    PathType,
    declared_parameters,
    get_current_context,
    option,
    version_option,
)
from ferryman.lazy import collector_at_rest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from ferryman.cli.discovery import CookbookGroup
    from ferryman.click_shim import Command
    from ferryman.cookbook.command import CookbookCommand, RunOptions

BUILTIN = {
    "close": ("ferryman.cli.runs", "Give up a run that was put right by hand; frees its locks."),
    "host-helper": (
        "ferryman.cli.host_helper",
        "What a host needs that is reached without root: helper, sudoers.",
    ),
    "inventory": ("ferryman.cli.inventory", "Is the inventory sound? And the catalog edit alone."),
    "lab": ("ferryman.cli.lab", "Hosts made on this machine, with real IPIP and IPVS."),
    "list": ("ferryman.cli.cookbooks", "Cookbooks, their owners, one line each."),
    "new": ("ferryman.cli.cookbooks", "A new cookbook with test and scenario, from templates."),
    "rehearse": ("ferryman.cli.rehearse", "Scenarios on lab hosts, and whether they end as expected."),
    "replay": ("ferryman.cli.replay", "A recorded run again, from its tape alone."),
    "resume": ("ferryman.cli.runs", "Go on with a run that did not end."),
    "rollback": ("ferryman.cli.runs", "Put back what a run changed."),
    "runs": ("ferryman.cli.runs", "The runs in the journal, newest first."),
    "show": ("ferryman.cli.runs", "One run of the journal, whole."),
    "tape": ("ferryman.cli.tape", "Tapes of runs: for people, and without names and addresses."),
}
"""By name: the module that has a command of that name (``list`` is ``list_``), and its one line of help."""


def _children(context: Context) -> Mapping[str, LazyCommand]:
    return {**_of_group(_app(context).cookbooks), **{name: _builtin(name) for name in BUILTIN}}


def _app(context: Context) -> App:
    app = context.ensure_object(App)
    return app if app.configured else App.of(context.params)  # asked for before the callback ran


def _builtin(name: str) -> LazyCommand:
    module, summary = BUILTIN[name]
    attribute = "list_" if name == "list" else name.replace("-", "_")
    return LazyCommand(lambda: summary, lambda: _command(module, attribute))


def _command(module: str, attribute: str) -> Command:
    with collector_at_rest():
        command: Command = getattr(import_module(module), attribute)
    return command


def _of_group(group: CookbookGroup) -> dict[str, LazyCommand]:
    cookbooks = {
        name.rpartition(" ")[2]: LazyCommand(lambda file=file: file.summary, file.load)  # type: ignore[misc]  # bound
        for name, file in group.cookbooks.items()
    }
    groups = {
        name: LazyCommand(lambda below=below: below.summary, _group(name, below))  # type: ignore[misc]  # bound
        for name, below in group.groups.items()
    }
    return {**cookbooks, **groups}


def _group(name: str, group: CookbookGroup) -> Callable[[], Command]:
    return lambda: LazyGroup(name=name, help=group.summary, children=lambda _: _of_group(group))


def _remember(**given: object) -> None:
    context = get_current_context()
    context.obj = app = App.of(given)
    app.runs = _perform


def _perform(app: App, cookbook: CookbookCommand, arguments: Mapping[str, Any], options: RunOptions) -> None:
    with collector_at_rest():
        from ferryman.cli.run import perform  # noqa: PLC0415  # brings in everything

    perform(app, cookbook, arguments, options)


def _global_options() -> None:
    """A carrier for the options that stand before the command."""


for _decorate in (
    version_option(__version__, prog_name="ferryman"),
    option("--picture", type=PathType(dir_okay=False, path_type=Path), help="Save what is shown as an SVG."),
    option("-v", "--verbose", is_flag=True, help="Show findings that pass, and every probe."),
    option(
        "--output",
        type=Choice(["human", "json"]),
        default="human",
        show_default=True,
        help="json: one event a line on standard output, people's text on standard error.",
    ),
    option(
        "--config",
        type=PathType(path_type=Path),
        metavar="FILE",
        help="ferryman.toml; else $FERRYMAN_CONFIG, upwards from here, /etc/ferryman.",
    ),
):
    _global_options = _decorate(_global_options)


class _Root(LazyGroup):
    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:
        """As ``LazyGroup.get_command``; where cookbooks cannot be looked for, it raises why."""
        if cmd_name in BUILTIN:  # and no cookbook is looked for
            return _builtin(cmd_name).load()
        found = super().get_command(ctx, cmd_name)
        if found is None:
            _app(ctx).find_cookbooks()
        return found


root = _Root(
    name="ferryman",
    help="Moves load-balanced services to IPIP encapsulation, and back when anything is wrong.",
    children=_children,
    callback=_remember,
    params=declared_parameters(_global_options),
)
"""The command ``ferryman``."""
