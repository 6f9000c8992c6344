"""The words of the command line: the only module that imports click.

Cookbooks and commands say ``option`` and ``argument`` from here: an option that takes one value is given
once, and a number is a finite one. Groups are lazy: ``ferryman --help`` shows every command without importing
one of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click import (
    Abort,
    Choice,
    ClickException,
    Command,
    Context,
    FloatRange,
    IntRange,
    Parameter,
    confirm,
    echo,
    get_current_context,
    pass_context,
    pass_obj,
    version_option,
)
from click import Path as PathType
from click.exceptions import BadParameter, Exit, UsageError

from ferryman.docstrings import docstring

Function = TypeVar("Function", bound="Callable[..., Any] | Command")

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from click.core import ParameterSource
    from click.shell_completion import CompletionItem

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
    "LazyCommand",
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


class Argument(click.Argument):
    """A word that stands by its place; a number is a finite one."""

    def type_cast_value(self, ctx: Context, value: Any) -> Any:  # noqa: ANN401  # click's own types
        """The word as a value of its type.

        Raises:
            BadParameter: It is none.
        """
        return _finite(super().type_cast_value(ctx, value), ctx, self)


class Option(click.Option):
    """An option of which no value is dropped in silence: one that takes a single value is given once."""

    def add_to_parser(self, parser: Any, ctx: Context) -> None:  # noqa: ANN401  # click's is private
        """Have every value that is given, not the last one alone."""
        if self._takes_one_value:
            parser.add_option(obj=self, opts=self.opts, dest=self.name, action="append", nargs=self.nargs)
        else:
            super().add_to_parser(parser, ctx)

    def consume_value(self, ctx: Context, opts: Mapping[str, Any]) -> tuple[Any, ParameterSource]:
        """The value, and where it comes from.

        Raises:
            BadParameter: It was given more than once.
        """
        if self._takes_one_value and (given := opts.get(self.name or "")):
            if len(given) > 1:
                words = ", then ".join(repr(value) for value in given)
                raise BadParameter(f"it is given {len(given)} times, {words}; say it once", ctx, self)
            opts = {**opts, str(self.name): given[0]}
        return super().consume_value(ctx, opts)

    def type_cast_value(self, ctx: Context, value: Any) -> Any:  # noqa: ANN401  # click's own types
        """What was given as a value of its type; raises as ``Argument.type_cast_value``."""
        return _finite(super().type_cast_value(ctx, value), ctx, self)

    @property
    def _takes_one_value(self) -> bool:
        return not (self.multiple or self.is_flag or self.count)


def argument(*declarations: str, **given: Any) -> Callable[[Function], Function]:  # noqa: ANN401  # as click's
    """Declare a word of a command that stands by its place, as click does."""
    return click.argument(*declarations, **{"cls": Argument, **given})


def option(*declarations: str, **given: Any) -> Callable[[Function], Function]:  # noqa: ANN401  # as click's
    """Declare an option of a command, as click does."""
    return click.option(*declarations, **{"cls": Option, **given})


def command(*declarations: Any, **given: Any) -> Callable[[Any], Command]:  # noqa: ANN401  # as click's
    """Declare a command, as click does; its help is the function's docstring."""
    return lambda function: click.command(*declarations, **given)(_described(function))


def group(*declarations: Any, **given: Any) -> Callable[[Any], Group]:  # noqa: ANN401  # as click's
    """Declare a command that has commands, as click does; its help is the function's docstring."""
    return lambda function: click.group(*declarations, **{"cls": Group, **given})(_described(function))


def _described(function: Any) -> Any:  # noqa: ANN401  # a function, or what a decorator made of it
    """The function with its docstring, which click shows and Python may have stripped."""
    function.__doc__ = docstring(function)
    return function


def _finite(value: Any, ctx: Context, parameter: Parameter) -> Any:  # noqa: ANN401  # whatever the type makes
    """The value; a comparison with nan is false, so that ranges alone would let it pass."""
    numbers = value if isinstance(value, tuple) else (value,)
    for number in numbers:
        if isinstance(number, float) and not math.isfinite(number):
            raise BadParameter(f"{number} is no finite number", ctx, parameter)
    return value


@dataclass(frozen=True, slots=True)
class LazyCommand:
    """A command that is imported when it is called, and shown by its one line until then."""

    describe: Callable[[], str]
    """What returns its one line of help."""
    load: Callable[[], Command]


class Group(click.Group):
    """A command that has commands, whose help is their functions' docstrings."""

    group_class = type

    def add_command(self, cmd: Command, name: str | None = None) -> None:
        """Have one more, with the help that Python may have stripped."""
        if cmd.help is None and cmd.callback is not None:
            cmd.help = docstring(cmd.callback)
        super().add_command(cmd, name)


class LazyGroup(Group):
    """A group whose commands come from a mapping that is asked for late, once the options are known."""

    def __init__(
        self,
        *,
        name: str,
        help: str,  # noqa: A002  # click's word
        children: Callable[[Context], Mapping[str, LazyCommand]],
        callback: Callable[..., Any] | None = None,
        params: list[Parameter] | None = None,
    ) -> None:
        super().__init__(name=name, help=help, callback=callback, params=params)
        self._children = children

    def list_commands(self, ctx: Context) -> list[str]:
        """The names of the group's commands, in alphabetical order."""
        return sorted(self._children(ctx))

    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:
        """The command of this name, imported now; None where there is none."""
        child = self._children(ctx).get(cmd_name)
        return child.load() if child else None

    def shell_complete(self, ctx: Context, incomplete: str) -> list[CompletionItem]:
        """What a shell offers in the place of this word: commands, none of which is imported, and options."""
        from click.shell_completion import CompletionItem  # noqa: PLC0415  # only here

        commands = [
            CompletionItem(name, help=child.describe())
            for name, child in sorted(self._children(ctx).items(), key=lambda named: named[0])
            if name.startswith(incomplete)
        ]
        return commands + Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: Context, formatter: click.HelpFormatter) -> None:
        """Write the commands and their one line of help each; imports none of them."""
        children = sorted(self._children(ctx).items(), key=lambda named: named[0])
        with formatter.section("Commands"):
            formatter.write_dl([(name, child.describe()) for name, child in children])


def declared_parameters(function: Callable[..., Any]) -> list[Parameter]:
    """The parameters that ``argument`` and ``option`` put on a function, in the order they stand."""
    declared: list[Parameter] = getattr(function, "__click_params__", [])
    return list(reversed(declared))
