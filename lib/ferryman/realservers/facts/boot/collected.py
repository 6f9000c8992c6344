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
        pattern = re.compile(rf"^\s*(?:export\s+)?{re.escape(key)}\s*=\s*(?P<value>.*?)\s*$")
        found = [match["value"] for line in self.lines(file) if (match := pattern.match(line.text))]
        return None if not found else re.sub(r"\s+#.*$", "", found[-1]).strip("\"'")


def boot_of(text: str, around: str, *, systemd: bool) -> Boot:
    """From the sections ``boot`` (what grep found) and ``around`` (what is there).

    Raises:
        ValueError: The second is not what the script prints.
    """
    files: dict[str, list[ConfigLine]] = defaultdict(list)
    for row in text.split("\n"):
        if (found := LINE.fullmatch(row.rstrip("\r"))) is not None:
            files[found["file"]].append(ConfigLine(found["file"], int(found["number"]), found["text"]))
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
