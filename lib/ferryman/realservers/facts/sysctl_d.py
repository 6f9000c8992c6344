"""What the kernel's settings will be after the next boot: sysctl.d's files, evaluated as they are applied.

Sources: sysctl.d(5); src/sysctl/sysctl.c and src/shared/sysctl-util.c of systemd for what the manual leaves
open (equal values, names with dots, where ``-key`` stands); sysctl(8) of procps for hosts without systemd.
Both programs are run beside this on made-up files: ``tests/unit/realservers/test_sysctl_readers.py``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from ferryman.realservers.facts.kernel_number import BLANKS, kernel_number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SYSCTL_CONF = "/etc/sysctl.conf"
FOLDERS = ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib")
"""A file hides those of the same name in later folders, also when it is empty or a link to /dev/null."""
SYSTEMD_BLANKS = " \t\n\r"
SYSTEMD_ENDS = r"\r\n|\n\r|[\n\r\0]"
PROCPS_ENDS = r"\n"
"""What ends a line: not what else str.splitlines takes for an end."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line that sets a key, or with ``-key`` keeps globs from it."""

    file: str
    number: int
    key: str
    """As a path below /proc/sys; may be a glob."""
    value: str | None
    """The value that it sets; None for ``-key``, which leaves the key as it is."""
    path: str = ""
    """The path as the program compares it with those that a glob finds; procps leaves needless slashes in."""

    @property
    def is_glob(self) -> bool:
        """Whether it is for all keys that match."""
        return any(sign in self.key for sign in "*?[")

    @property
    def number_wanted(self) -> int | None:
        """The number that the kernel makes of the value, None when it sets none or the kernel refuses it."""
        return None if self.value is None else kernel_number(self.value)

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
                hidden = self.systemd and where.name.startswith(".")
                if str(where.parent) == f"{folder}/sysctl.d" and path.endswith(".conf") and not hidden:
                    counting.setdefault(where.name, path)
        ordered = [counting[name] for name in sorted(counting)]
        last = [SYSCTL_CONF] if SYSCTL_CONF in self.files and not self.systemd else []
        return ordered + last

    @cached_property
    def lines(self) -> tuple[Line, ...]:
        """Every line of the files that count, in order, those that are overridden too."""
        return tuple(
            line for path in self.in_order() for line in _lines(path, self.files[path], systemd=self.systemd)
        )

    @cached_property
    def in_force(self) -> Mapping[str, Line]:
        """By key or glob, the line that systemd keeps, in the order in which it applies them."""
        holding: dict[str, Line] = {}
        for line in self.lines:
            known = holding.get(line.key)
            if known is None or known.value != line.value:  # one that says the same keeps the earlier's place
                holding.pop(line.key, None)
                holding[line.key] = line
        return holding

    def writes(self, key: str) -> Iterator[Line]:
        """The lines whose values are written to a key, in that order; the kernel may refuse some.

        systemd writes one line for a key that is spelt out, and procps all of them; both keep globs off it.
        """
        lines = self.in_force.values() if self.systemd else self.lines
        spelt_out = any(line.path == key for line in lines)
        for line in lines:
            if line.value is not None and line.covers(key) and not (line.is_glob and spelt_out):
                yield line

    def effective(self, key: str) -> Line | None:
        """The line whose number a key has once all are applied; None when none sets it."""
        return next((line for line in reversed([*self.writes(key)]) if line.number_wanted is not None), None)

    def refused(self, key: str) -> Line | None:
        """The line that is the last word for a key and that the kernel refuses; None when there is none."""
        last = next(reversed([*self.writes(key)]), None)
        return last if last is not None and last.number_wanted is None else None

    def winner(self, key: str) -> Line | None:
        """The line that decides a key, ``-key`` too; None when none is for it.

        A line for the key itself beats every glob, wherever it stands; of the globs the last one wins.
        """
        written = [*self.writes(key)]
        return written[-1] if written else self.in_force.get(key)

    def overridden(self, key: str) -> Iterator[Line]:
        """Lines for a key that another file's line takes the place of, with another value."""
        winner = self.winner(key)
        if winner is None:
            return
        for line in self.lines[: self.lines.index(winner)]:
            differs = line.value is not None and line.number_wanted != winner.number_wanted
            if line.covers(key) and line.file != winner.file and differs:
                yield line


def _lines(path: str, text: str, *, systemd: bool) -> Iterator[Line]:
    ends, blanks = (SYSTEMD_ENDS, SYSTEMD_BLANKS) if systemd else (PROCPS_ENDS, BLANKS)
    for number, line in enumerate(re.split(ends, text), 1):
        assignment = line.strip(blanks)
        if not assignment or assignment[0] in "#;":
            continue
        key, equals, value = assignment.partition("=")
        if equals or key.startswith("-"):
            name = key.removeprefix("-").rstrip(blanks)
            spelt = _as_path(name.strip(blanks) if systemd else name.removeprefix("-"))
            usual = _simplified(spelt, trailing=systemd)
            yield Line(
                path, number, usual, value.strip(blanks) if equals else None, usual if systemd else spelt
            )


def normal(key: str) -> str:
    """A key as a path below /proc/sys.

    >>> normal("net.ipv4.conf.eth0/100.rp_filter")
    'net/ipv4/conf/eth0.100/rp_filter'
    >>> normal("net/ipv4/conf/eth0.100/rp_filter")
    'net/ipv4/conf/eth0.100/rp_filter'
    """
    return _simplified(_as_path(key.strip()))


def _as_path(key: str) -> str:
    """With slashes between its parts, by the sign that comes first in it."""
    first = next((sign for sign in key if sign in "./"), "/")
    return key.translate(str.maketrans("./", "/.")) if first == "." else key


def _simplified(path: str, *, trailing: bool = True) -> str:
    """Without needless slashes; one at the end asks for a folder, and is systemd's to take away."""
    simple = re.sub("/+", "/", path).removeprefix("/")
    return simple.removesuffix("/") if trailing else simple
