"""Docstrings that the product shows to people: titles of steps, help of commands.

``python -OO`` strips them from what it compiles, so there they are read from the source.
"""

from __future__ import annotations

import ast
import inspect
import sys
import tokenize
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_STRIPPED = 2
"""The level of optimisation from which on Python strips docstrings."""


def docstring(thing: type | Callable[..., Any]) -> str | None:
    """The docstring of a class or a function, its indentation taken away; None where it has none of its own.

    A dataclass without a docstring has its signature as one: Python gives it that.
    """
    own = thing.__dict__.get("__doc__") if isinstance(thing, type) else thing.__doc__
    if sys.flags.optimize >= _STRIPPED:
        own = _from_source(thing) or own
    return inspect.cleandoc(own) if isinstance(own, str) else None


def inherited_docstring(cls: type) -> str | None:
    """The docstring of a class, or of the nearest above it that has one; None where none has."""
    return next((doc for each in cls.__mro__ if each is not object and (doc := docstring(each))), None)


def _from_source(thing: type | Callable[..., Any]) -> str | None:
    try:
        file = inspect.getsourcefile(inspect.unwrap(thing))  # decorators are in files of their own
        return _docstrings_in(file).get(thing.__qualname__) if file else None
    except (OSError, TypeError, SyntaxError, ValueError):  # typed in, built in, or no longer there
        return None


@cache
def _docstrings_in(file: str) -> Mapping[str, str]:
    """By qualified name: the docstrings of all classes and functions of a file."""
    with tokenize.open(file) as source:
        return dict(_described(ast.parse(source.read()), ""))


def _described(node: ast.AST, prefix: str) -> Iterator[tuple[str, str]]:
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _described(child, prefix)
            continue
        if (doc := ast.get_docstring(child, clean=False)) is not None:
            yield f"{prefix}{child.name}", doc
        below = f"{child.name}." if isinstance(child, ast.ClassDef) else f"{child.name}.<locals>."
        yield from _described(child, f"{prefix}{below}")
