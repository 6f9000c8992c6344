"""Reads keepalived's files on a director, and finds those in which a service's virtual servers stand.

Includes are followed by keepalived's own rules (``read_conf_file`` and ``check_include`` of its lib/parser.c,
tried with 2.2.7): everything after the word is one glob, with csh's braces; a relative one counts from the
folder of the file that has it, by the name under which that was opened, links unresolved; what is no regular
file, or is executable, is skipped; ``$NAME`` is not replaced in it. The director's shell reads somewhat too
much, because it knows no braces, and which of it counts is decided here.

That a virtual server stands there twice is refused: ``keepalived -t`` takes it without a word.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from ferryman.directors.keepalived.text import (
    Statement,
    TextError,
    blocks_of,
    includes,
    parse,
    portless_for,
    unconditional,
    unnamed,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ferryman.model import VirtualService

Files = Mapping[str, Mapping[str, Any]]
"""``{path: {"text": …, "mode": "0644"}}``, as they stand in a before."""


def holders(config: str, files: Files, virtuals: Iterable[VirtualService]) -> list[str]:
    """The files, of all that were read, in which these virtual services' blocks stand; each block once.

    Raises:
        TextError: A block is nowhere, or more than once, or in what cannot be followed; names file and line.
    """
    found, problems = reached(config, files)
    if problems:
        raise problems[0]
    return sorted({_holder(virtual, config, found) for virtual in virtuals})


def virtuals_in(text: str, virtuals: Iterable[VirtualService]) -> tuple[VirtualService, ...]:
    """Those of the virtual services that have a block in this text."""
    statements = parse(text)
    return tuple(virtual for virtual in virtuals if blocks_of(statements, virtual))


@dataclass(frozen=True, slots=True)
class ReachedFile:
    """A file that keepalived reads."""

    statements: tuple[Statement, ...]
    condition: str
    """On which it is included; an empty one means always."""


Reached = dict[str, ReachedFile]
"""The files that keepalived reads, by path."""


def reached(config: str, files: Files) -> tuple[Reached, list[TextError]]:
    """What keepalived reads of these files, from the configuration on, and what could not be followed."""
    found: Reached = {}
    problems: list[TextError] = []
    waiting = [(config, "")]
    while waiting:
        path, condition = waiting.pop()
        if path in found or path not in files or int(files[path]["mode"], 8) & 0o111:
            continue
        try:
            statements = _parsed(path, files)
        except TextError as problem:
            problems.append(problem)
            continue
        found[path] = ReachedFile(statements, condition)
        for include in includes(statements):
            on = (
                f"{path}: line {include.line}: {' '.join(include.texts)}"
                if include.texts[0].startswith("@")
                else ""
            )
            try:
                waiting += [(included, condition or on) for included in _included(path, include, files)]
            except TextError as problem:
                problems.append(problem)
    return found, problems


def _parsed(path: str, files: Files) -> tuple[Statement, ...]:
    try:
        return parse(files[path]["text"])
    except TextError as problem:
        raise TextError(f"{path}: {problem}") from problem


def _included(path: str, include: Statement, files: Files) -> list[str]:
    words = unconditional(include)
    if len(words) != 2 or include.body is not None or re.search(r"\$|\{[^}]*/", words[1]):  # noqa: PLR2004  # include MASK
        raise TextError(f"{path}: line {include.line}: {' '.join(include.texts)}: cannot be followed")
    masks = [str(PurePosixPath(path).parent / mask) for mask in _without_braces(words[1])]
    return [file for file in files if any(PurePosixPath(file).match(mask) for mask in masks)]


def _without_braces(mask: str) -> Iterator[str]:
    """The masks that csh makes of one with braces: a{b,c} is ab and ac."""
    found = re.search(r"\{([^{}]*)\}", mask)
    if not found:
        yield mask
        return
    for part in found[1].split(","):
        yield from _without_braces(mask[: found.start()] + part + mask[found.end() :])


def _holder(virtual: VirtualService, config: str, read: Reached) -> str:
    found = [
        (path, block.line, file.condition)
        for path, file in read.items()
        for block in blocks_of(file.statements, virtual)
    ]
    named = f"virtual_server {virtual.vip} {virtual.port} ({virtual.protocol})"
    if not found:
        raise TextError(f"{config}: no {named} in it, nor in what it includes{_instead(virtual, read)}")
    if len(found) > 1:
        places = ", ".join(f"{path}: line {line}" for path, line, _ in found)
        raise TextError(f"{len(found)} {named}, wanted one: {places}")
    ((path, line, condition),) = found
    if condition:
        raise TextError(f"{path}: line {line}: {named} counts on some directors only, by {condition}")
    return path


def _instead(virtual: VirtualService, read: Reached) -> str:
    """What takes its traffic, or where it may stand all the same, in a form that is not edited."""
    taking = [
        f"; {path}: {line}" for path, file in read.items() for line in portless_for(file.statements, virtual)
    ]
    if taking:
        return "".join(taking)
    lines = [
        f"{path}: line {statement.line}: {' '.join(statement.texts)}"
        for path, file in read.items()
        for statement in unnamed(file.statements)
    ]
    return "; of these, which are not edited, one may be it: " + ", ".join(lines) if lines else ""
