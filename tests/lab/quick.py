"""The lab's configuration for tests: what it waits for is as short as the lab allows."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FOR_ALL: Mapping[str, Mapping[str, float]] = {
    "traffic": {"requests": 6, "upload_bytes": 200_000},
    "directors": {"drain_timeout": 3},
    "watch": {"every": 3, "soak": 0.5},
}
"""The watch makes a round or two in a migration; more would be a load for a guest of one CPU.

Requests of before are over at once where conn_reuse_mode is 3."""


def configure(folder: Path, tables: Mapping[str, Mapping[str, float]]) -> None:
    """Set keys in tables that the folder's ferryman.toml has."""
    file = folder / "ferryman.toml"
    text = file.read_text()
    for table, values in tables.items():
        text = _with(text, table, values)
    file.write_text(text)


def _with(text: str, table: str, values: Mapping[str, float]) -> str:
    before, heading, rest = text.partition(f"\n[{table}]\n")
    assert heading, f"ferryman.toml has no [{table}]"
    inside, bracket, after = rest.partition("\n[")
    kept = [line for line in inside.splitlines() if line.partition(" =")[0] not in values]
    mine = [f"{key} = {value}" for key, value in values.items()]
    return before + heading + "\n".join([*mine, *kept]) + bracket + after
