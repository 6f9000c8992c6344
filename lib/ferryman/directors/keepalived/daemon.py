"""Which keepalived a director has, and whether the one that runs there is the one whose files are edited.

A reload command says nothing of that: it may reach no process, or one that reads another file.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ferryman.hosts.verbs.kinds import ID

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

OLDEST = (2, 2, 7)
"""The oldest keepalived that is changed."""

_DEFAULT = "/etc/keepalived/keepalived.conf"
_FILE_OPTION = re.compile(r"(?:^|\s)(?:-[PCBlDGXVIRndaxme]*f\s*|--use-file[=\s])(\S+)")
"""``-f`` behind options that take no value (``parse_cmdline`` of keepalived's core/main.c), or its long
form."""
_SNMP_OPTION = re.compile(r"(?:^|\s)(?:-[PCBlDGXVIRndame]*x|--snmp(?:\s|$))")
_ID_OPTION = re.compile(r"(?:^|\s)(?:-[PCBlDGXVIRndaxme]*i\s*|--config-id[=\s])(\S+)")


def daemon_blockers(version: str, running: Sequence[str], config: str) -> list[str]:
    """Why nothing may be changed through this keepalived: its version, or the command lines that run."""
    return [*_version_blockers(version), *_process_blockers(running, config), *_id_blockers(running, config)]


def config_id(running: Sequence[str], config: str) -> str:
    """What the daemon with this configuration was given as its ``--config-id``; empty: the host's name.

    Lines of the configuration under another ``@id`` do not count for it, so they must not count for a test.
    """
    given = [found for line in running if _file_of(line) == config for found in _ID_OPTION.findall(line)]
    return given[-1] if given else ""


def with_snmp(running: Sequence[str], config: str) -> bool:
    """Whether the daemon with this configuration was started with all of SNMP, whatever its files say."""
    return any(_file_of(line) == config and _SNMP_OPTION.search(line) for line in running)


def _id_blockers(running: Sequence[str], config: str) -> Iterator[str]:
    given = config_id(running, config)
    if re.fullmatch(ID, given) is None:
        yield f"keepalived runs with --config-id {given}: no name that a test of its files could be given"


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
