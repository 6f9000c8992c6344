"""What a cookbook's file says of itself, read from its syntax tree: no line of it is executed."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, NamedTuple

from ferryman.trust import untrusted

if TYPE_CHECKING:
    from pathlib import Path


class Description(NamedTuple):
    """What lists of cookbooks show of one."""

    summary: str
    """The first line of its docstring; in brackets why there is none."""
    owner: str


def description_of(file: Path) -> Description:
    """The first line of the module's docstring, and the ``OWNER`` it names."""
    if reason := untrusted(file):
        return Description(f"(is not trusted: {reason})", "")
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return Description(f"(cannot be read: {error})", "")
    doc = (ast.get_docstring(tree) or "").partition("\n")[0]
    return Description(doc, _constant(tree, "OWNER"))


def _constant(tree: ast.Module, name: str) -> str:
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=found)], value=ast.Constant(value=str(text))):
                if found == name:
                    return text
    return ""
