"""Firewall rules of a tape's host, as far as the lab's kernel can have them: those of iptables."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from ferryman.tape.in_lab.realservers import Change
from ferryman.tape.in_lab.state import without_counts

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from ferryman.tape.in_lab.names import Names
    from ferryman.tape.in_lab.state import Seen

CHECKS = frozenset({"firewall", "mss", "open-decapsulator", "forwards-strangers"})
"""The checks that look at rules."""


def changes(
    recorded: Seen, now: Seen, names: Names, pods: Mapping[str, str], versions: Collection[int] = (4, 6)
) -> Iterator[Change]:
    """What makes the lab's rules the recorded ones, for each of these families that has others.

    A rule that names an address nothing stands for in the lab is left out: no packet of the lab has it.
    """
    for version, program in ((4, "iptables-legacy"), (6, "ip6tables-legacy")):
        if version not in versions:
            continue
        wanted = mapped(recorded.rules(version), names, pods)
        if _decided(wanted) == _decided(without_counts(now.rules(version))):
            continue
        if wanted:
            text = "\n".join([*wanted, ""])
            command = f"printf %s {shlex.quote(text)} | {program}-restore"
        else:
            tables = ("filter", "mangle", "nat", "raw")
            command = "\n".join(f"{program} -t {table} -F 2>/dev/null || :" for table in tables)
        yield Change(f"other firewall rules of IPv{version}", CHECKS, (command,))


def mapped(rules: str, names: Names, pods: Mapping[str, str]) -> tuple[str, ...]:
    """Rules as iptables-save wrote them, for the lab."""
    lines = []
    for line in without_counts(rules):
        if line.startswith("-") and names.has_strangers(line):
            continue
        words = [pods.get(word, word) for word in names.text(line).split(" ")]
        lines.append(" ".join(words) + (" [0:0]" if line.startswith(":") else ""))
    return tuple(lines)


def _decided(lines: tuple[str, ...]) -> frozenset[tuple[str, ...]]:
    """By table, the lines that are no empty chain with the policy that all have."""
    tables: dict[str, list[str]] = {}
    table = ""
    for line in lines:
        if line.startswith("*"):
            table = line
        elif line != "COMMIT" and not (line.startswith(":") and " DROP" not in line):
            tables.setdefault(table, []).append(line.removesuffix(" [0:0]"))
    return frozenset((name, *each) for name, each in tables.items())
