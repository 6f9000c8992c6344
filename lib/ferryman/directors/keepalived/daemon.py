"""Which keepalived a director has, and whether the one that runs there is the one whose files are edited.

A reload command says nothing of that: it may reach no process, or one that reads another file.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

OLDEST = (2, 2, 7)
"""The oldest keepalived that is changed."""

_DEFAULT = "/etc/keepalived/keepalived.conf"
_FILE_OPTION = re.compile(r"(?:^|\s)(?:-[PCBlDGXVIRndaxme]*f\s*|--use-file[=\s])(\S+)")
"""``-f`` behind options that take no value (``parse_cmdline`` of keepalived's core/main.c), or its long
form."""


def daemon_blockers(version: str, running: Sequence[str], config: str) -> list[str]:
    """Why nothing may be changed through this keepalived: its version, or the command lines that run."""
    return [*_version_blockers(version), *_process_blockers(running, config)]


def _version_blockers(printed: str) -> Iterator[str]:
    found = re.search(r"\bv(\d+)\.(\d+)\.(\d+)", printed)
    oldest = ".".join(map(str, OLDEST))
    if not found:
        yield f"`keepalived -v` says {printed!r}: no version that can be read, wanted {oldest} or newer"
    elif tuple(map(int, found.groups())) < OLDEST:
        yield f"keepalived {found[0]} is older than {oldest}, whose reloads were tried: upgrade it first"


def _process_blockers(lines: Sequence[str], config: str) -> Iterator[str]:
    if not lines:
        yield (
            "no keepalived runs in its network namespace (ps -C keepalived): a reload would change nothing;"
            " start it first"
        )
        return
    files = sorted({_file_of(line) for line in lines})
    if config not in files:
        yield (
            f"keepalived runs with {', '.join(files)}, but config says {config}:"
            " name the file it runs with as config in directors.yaml"
        )


def _file_of(line: str) -> str:
    """The configuration file of a command line."""
    given: list[str] = _FILE_OPTION.findall(line)
    return given[-1] if given else _DEFAULT
