"""Sums up what the results of torture come to."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path


def summed(files: Iterable[Path]) -> dict[str, Any]:
    """Trials, cuts by kind, ends, visits, notes of these files of results; every wrong one with its trial."""
    rows = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    commands = [command for row in rows for command in row["commands"]]
    return {
        "trials": len(rows),
        "cuts": sum(row["struck"] for row in rows),
        "cuts by kind": dict(Counter(kind for row in rows for kind in _kinds(row))),
        "ends": dict(Counter(row["end"] for row in rows)),
        "held on the way": sum(command["status"] == 7 for command in commands),
        "stranded on the way": sum(command["status"] == 5 for command in commands),
        "long runs": sum(row["trial"].get("soak_s", 0) > 0 for row in rows),
        "visits": dict(sum((Counter(row.get("visits", {})) for row in rows), Counter[str]())),
        "notes": dict(Counter(_without_names(note) for row in rows for note in row["notes"])),
        "lab hours": round(sum(row["seconds"] for row in rows) / 3600, 2),
        "wrong": [row for row in rows if row["end"] == "wrong"],
    }


def as_text(total: dict[str, Any]) -> str:
    """The summary as lines of text for people."""
    lines = [f"{name:>20}  {value}" for name, value in total.items() if not isinstance(value, dict | list)]
    for name, value in total.items():
        if isinstance(value, dict):
            lines.append(f"{name:>20}")
            lines += [f"{count:>20}  {what}" for what, count in sorted(value.items())]
    for row in total["wrong"]:
        lines += ["", f"WRONG {row['name']}: replay with --only '{json.dumps(row['trial'])}'"]
        lines += [f"    {problem}" for problem in row["wrong"]]
        lines += [
            f"    {each['arguments']}: {each['status']} at {each['last_call']}" for each in row["commands"]
        ]
    return "\n".join(lines)


def _kinds(row: dict[str, Any]) -> Sequence[str]:
    """Of each cut that fell: what fell, and where."""
    cuts = row["trial"]["cuts"]
    pairs = zip(cuts, row["commands"], strict=False)
    return [_kind(cut, command) for cut, command in pairs if command["struck"]]


def _kind(cut: dict[str, Any], command: dict[str, Any]) -> str:
    what = command["arguments"].split()[0]
    if "share" in cut:
        return f"{cut['fault']} {what} at a random instant"
    return f"{cut['fault']} {what} {cut['when']} {command['last_call'].split()[1]}"


def _without_names(note: str) -> str:
    return " ".join(word for word in note.split() if not word.startswith("2026"))
