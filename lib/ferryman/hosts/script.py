"""Shell scripts that know what they ask: the function that built them, and its arguments.

To a host a script is a text like any other. A fake host answers by the function and the arguments, so that
the text can be rewritten without touching any fake.
"""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, ParamSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

P = ParamSpec("P")


class Script(str):  # noqa: SLOT000  # it has attributes
    """The text of a shell script, with what it was built from."""

    builder: Callable[..., Script]
    """The decorated function that built it."""
    arguments: Mapping[str, Any]
    """The function's arguments by name, defaults too."""


def script(build: Callable[P, str]) -> Callable[P, Script]:
    """Make the text that a function returns a ``Script``; its arguments must not be iterators.

    A text that is put together from scripts is a plain ``str`` again: decorate the function whose text is
    sent.
    """
    signature = inspect.signature(build)

    @functools.wraps(build)
    def builder(*args: P.args, **kwargs: P.kwargs) -> Script:
        given = signature.bind(*args, **kwargs)
        given.apply_defaults()
        text = Script(build(*args, **kwargs))
        text.builder, text.arguments = builder, given.arguments
        return text

    return builder
