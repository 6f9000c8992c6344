"""What the kernel's settings will be after the next boot: sysctl.d's files, evaluated as they are applied.

Sources: sysctl.d(5); src/sysctl/sysctl.c and src/shared/sysctl-util.c of systemd for what the manual leaves
open (equal values, names with dots, where ``-key`` stands); sysctl(8) of procps for hosts without systemd.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SYSCTL_CONF = "/etc/sysctl.conf"
FOLDERS = ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib")
"""A file hides those of the same name in later folders, also when it is empty or a link to /dev/null."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line that sets a key, or with ``-key`` keeps globs from it."""

    file: str
    number: int
    key: str
    """As a path below /proc/sys; may be a glob."""
    value: str | None
    """The value that it sets; None for ``-key``, which leaves the key as it is."""

    @property
    def is_glob(self) -> bool:
        """Whether it is for all keys that match."""
        return any(sign in self.key for sign in "*?[")

    @property
    def number_wanted(self) -> int | None:
        """The value as a number, None when it is none."""
        return int(self.value) if self.value is not None and re.fullmatch(r"-?\d+", self.value) else None

    def covers(self, key: str) -> bool:
        """Whether it is for this key; a ``*`` stands for one part of the path, as in glob(7)."""
        if not self.is_glob:
            return self.key == key
        parts, wanted = key.split("/"), self.key.split("/")
        return len(parts) == len(wanted) and all(map(fnmatchcase, parts, wanted))

    def __str__(self) -> str:
        text = f"-{self.key}" if self.value is None else f"{self.key} = {self.value}"
        return f"{self.file}:{self.number} ({text})"


@dataclass(frozen=True)
class SysctlFiles:
    """The files that set the kernel's settings at boot, by path."""

    files: Mapping[str, str] = field(default_factory=dict)
    systemd: bool = True
    """Whether systemd applies them, at boot and again to every new device; else procps does, at boot."""

    def in_order(self) -> list[str]:
        """The paths of the files that count, in the order in which they are applied."""
        counting: dict[str, str] = {}
        for folder in FOLDERS:
            for path in self.files:
                where = PurePosixPath(path)
                if str(where.parent) == f"{folder}/sysctl.d" and where.suffix == ".conf":
                    counting.setdefault(where.name, path)
        ordered = [counting[name] for name in sorted(counting)]
        last = [SYSCTL_CONF] if SYSCTL_CONF in self.files and not self.systemd else []
        return ordered + last

    @cached_property
    def lines(self) -> tuple[Line, ...]:
        """Every line of the files that count, in order, those that are overridden too."""
        return tuple(line for path in self.in_order() for line in _lines(path, self.files[path]))

    @cached_property
    def in_force(self) -> Mapping[str, Line]:
        """By key or glob, the line that holds, in the order in which they are applied."""
        holding: dict[str, Line] = {}
        for line in self.lines:
            known = holding.get(line.key)
            if known is None or not self._stands(known, line):
                holding.pop(line.key, None)
                holding[line.key] = line
        return holding

    def _stands(self, known: Line, later: Line) -> bool:
        """Whether an earlier line for the same key keeps its place, which matters between two globs.

        In systemd one that says the same does; in procps one with a value does before ``-key``.
        """
        return known.value == later.value if self.systemd else later.value is None

    def winner(self, key: str) -> Line | None:
        """The line that decides a key; None when none is for it.

        A line for the key itself beats every glob, wherever it stands; of the globs the last one wins.
        """
        if (own := self.in_force.get(key)) is not None:
            return own
        globs = [line for line in self.in_force.values() if line.is_glob and line.covers(key)]
        with_value = [line for line in globs if line.value is not None]
        return with_value[-1] if with_value else None

    def overridden(self, key: str) -> Iterator[Line]:
        """Lines for a key that another file's line takes the place of, with another value."""
        winner = self.winner(key)
        if winner is None:
            return
        for line in self.lines[: self.lines.index(winner)]:
            if line.covers(key) and line.file != winner.file and line.value not in (None, winner.value):
                yield line


def _lines(path: str, text: str) -> Iterator[Line]:
    for number, line in enumerate(text.splitlines(), 1):
        assignment = line.strip()
        if not assignment or assignment[0] in "#;":
            continue
        key, equals, value = assignment.partition("=")
        if equals:
            yield Line(path, number, normal(key.removeprefix("-")), value.strip())
        elif key.startswith("-"):
            yield Line(path, number, normal(key[1:]), None)


def normal(key: str) -> str:
    """A key as a path below /proc/sys.

    >>> normal("net.ipv4.conf.eth0/100.rp_filter")
    'net/ipv4/conf/eth0.100/rp_filter'
    >>> normal("net/ipv4/conf/eth0.100/rp_filter")
    'net/ipv4/conf/eth0.100/rp_filter'
    """
    key = key.strip()
    first = next((sign for sign in key if sign in "./"), "/")
    if first == ".":
        key = key.translate(str.maketrans("./", "/."))
    return re.sub("/+", "/", key).strip("/")
