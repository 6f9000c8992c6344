"""What was collected of a host's boot, and which of it is at work."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from ferryman.realservers.facts.boot.actions import ConfigLine

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MOST_LINES = 5_000
"""More than any host has; of one that sends more nothing is known."""
LONGEST_LINE = 1_000
"""Characters of a line that are looked at."""
LINE = re.compile(r"(?P<file>/.*?):(?P<number>\d+):(?P<text>.*)")


@dataclass(frozen=True)
class Boot:
    """The lines of its configuration that have to do with the network, and what is there and started."""

    files: Mapping[str, Sequence[ConfigLine]] = field(default_factory=dict)
    """By path, in the order of the host's answer; of each file the lines that may matter."""
    systemd: bool = True
    wanted: frozenset[str] = frozenset()
    """The units that some target wants."""
    there: frozenset[str] = frozenset()
    """Paths that exist, of those that were asked for."""
    masked: frozenset[str] = frozenset()
    """Units that are masked."""
    profiles: tuple[str, ...] = ()
    """The active profiles of tuned, in their order."""

    @cached_property
    def networkd_version(self) -> int | None:
        """The version of systemd; None where no library of it is to be seen."""
        found = (re.search(r"libsystemd-shared-(\d+)", path) for path in self.there)
        versions = [int(match[1]) for match in found if match is not None]
        return max(versions, default=None)

    def below(self, *folders: str) -> list[str]:
        """The files in these folders, in the order of their names."""
        return sorted(file for file in self.files if file.startswith(folders))

    def lines(self, file: str) -> Sequence[ConfigLine]:
        """What was collected of a file."""
        return self.files.get(file, ())

    def not_started(self, unit: str) -> str:
        """Why systemd does not start a unit at boot; empty when it does, or when systemd does not run."""
        if not self.systemd:
            return ""
        if unit in self.masked:
            return f"{unit} is masked"
        instance = re.sub(r"@\.", "@", unit)
        if unit in self.wanted or any(
            name.startswith(instance.removesuffix("service")) for name in self.wanted if "@" in unit
        ):
            return ""
        return f"{unit} is not enabled"

    def value(self, file: str, key: str) -> str | None:
        """What a file of shell variables, or of ``key = value`` lines, says last; None when it does not."""
        said = None
        for line in self.lines(file):
            name, equals, value = line.text.partition("=")
            if equals and name.strip().removeprefix("export ").strip() == key:
                said = value.partition(" #")[0].strip().strip("\"'")
        return said


def boot_of(text: str, around: str, *, systemd: bool) -> Boot:
    """From the sections ``boot`` (what grep found) and ``around`` (what is there).

    Raises:
        ValueError: The second is not what the script prints, or the first is longer than any host's.
    """
    files: dict[str, list[ConfigLine]] = defaultdict(list)
    rows = text.split("\n")
    if len(rows) > MOST_LINES:
        raise ValueError(f"its boot reads more than {MOST_LINES} lines about the network")
    for row in rows:
        if (found := LINE.fullmatch(row.rstrip("\r"))) is not None:
            text_of_line = found["text"][:LONGEST_LINE]
            files[found["file"]].append(ConfigLine(found["file"], int(found["number"]), text_of_line))
    told: dict[str, list[str]] = defaultdict(list)
    for row in around.split("\n"):
        word, _, rest = row.partition(" ")
        told[word].append(rest)
    if "boot" not in told:
        raise ValueError("not what the script prints of a boot")
    return Boot(
        files=files,
        systemd=systemd,
        wanted=frozenset(path.rpartition("/")[2] for path in told["wanted"]),
        there=frozenset(told["there"]),
        masked=frozenset(path.rpartition("/")[2] for path in told["masked"]),
        profiles=tuple(" ".join(told["tuned"]).split()),
    )
