"""Imports the file of a cookbook and finds the command that it declares."""

from __future__ import annotations

import importlib.util
import sys
from typing import TYPE_CHECKING

from ferryman.cookbook.command import CookbookCommand
from ferryman.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


def load(file: Path) -> CookbookCommand:
    """Import a cookbook's file and return its command.

    Raises:
        UsageError: It cannot be imported, or does not declare exactly one cookbook; names file and line.
    """
    name = f"ferryman_cookbook:{file}".replace(".", "_")  # a dot would make it a part of a package
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec, file
    assert spec.loader, file
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up while it runs
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise UsageError(
            f"{file}:{_line_in(file, error)}: cannot be imported: {type(error).__name__}: {error}"
        ) from error
    declared = [value for value in vars(module).values() if isinstance(value, CookbookCommand)]
    if len(declared) != 1:
        raise UsageError(f"{file}: declares {len(declared)} cookbooks, expected one @cookbook")
    return declared[0]


def _line_in(file: Path, error: BaseException) -> int:
    """The line number in the cookbook's own file that an import error came from; 1 if it is unknown."""
    if isinstance(error, SyntaxError):
        return error.lineno or 1
    line, trace = 1, error.__traceback__
    while trace:
        if trace.tb_frame.f_code.co_filename == str(file):
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
