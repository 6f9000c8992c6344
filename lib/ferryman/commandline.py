"""The words of the command line: the only module that imports click.

Cookbooks and commands say ``option`` and ``argument`` from here. Groups are lazy: ``ferryman --help`` shows
every command without importing one of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click
from click import (
    Abort,
    Choice,
    ClickException,
    Command,
    Context,
    FloatRange,
    Group,
    IntRange,
    Parameter,
    argument,
    command,
    confirm,
    echo,
    get_current_context,
    group,
    option,
    pass_context,
    pass_obj,
    version_option,
)
from click import Path as PathType
from click.exceptions import Exit, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "Abort",
    "Choice",
    "ClickException",
    "Command",
    "Context",
    "Exit",
    "FloatRange",
    "Group",
    "IntRange",
    "Lazily",
    "LazyGroup",
    "Parameter",
    "PathType",
    "UsageError",
    "argument",
    "command",
    "confirm",
    "declared_parameters",
    "echo",
    "get_current_context",
    "group",
    "option",
    "pass_context",
    "pass_obj",
    "version_option",
]


@dataclass(frozen=True, slots=True)
class Lazily:
    """A command that is imported when it is called, and shown by its one line until then."""

    help: str
    load: Callable[[], Command]


class LazyGroup(Group):
    """A group whose commands come from a mapping that is asked for late, once the options are known."""

    def __init__(
        self,
        *,
        name: str,
        help: str,  # noqa: A002  # click's word
        children: Callable[[Context], Mapping[str, Lazily]],
        callback: Callable[..., Any] | None = None,
        params: list[Parameter] | None = None,
    ) -> None:
        super().__init__(name=name, help=help, callback=callback, params=params)
        self._children = children

    def list_commands(self, ctx: Context) -> list[str]:
        """The names, in alphabetical order."""
        return sorted(self._children(ctx))

    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:
        """The command itself, imported now."""
        child = self._children(ctx).get(cmd_name)
        return child.load() if child else None

    def format_commands(self, ctx: Context, formatter: click.HelpFormatter) -> None:
        """The commands and their one line each, nothing imported."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, child.help) for name, child in sorted(self._children(ctx).items())])


def declared_parameters(function: Callable[..., Any]) -> list[Parameter]:
    """The parameters that ``argument`` and ``option`` put on a function, in the order they stand."""
    declared: list[Parameter] = getattr(function, "__click_params__", [])
    return list(reversed(declared))
