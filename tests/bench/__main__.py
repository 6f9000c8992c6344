"""Figures, not judgements: `make bench` prints how long things take on this machine now.

Medians over a few runs. Compare figures of one run with each other, not with those of another day.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ferryman.catalog.flip import flip
from ferryman.inventory import Inventory

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROOT = Path(__file__).parents[2]
REAL = Path(os.environ.get("FERRYMAN_DATA", ROOT.parent / "shared" / "data" / "wmf"))
ON_PURPOSE = "No director has connections"
"""The title of the look that waits for connections to end."""


def seconds(action: Callable[[], object]) -> float:
    """Call it once, and return the seconds that it takes."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def print_times(what: str, taken: Sequence[float]) -> None:
    """Print one line: the median and the extremes of these times, in seconds."""
    low, high = min(taken), max(taken)
    print(f"{what:<58} {statistics.median(taken):8.3f} s   ({low:.3f} to {high:.3f}, {len(taken)} runs)")


def ferryman(folder: Path, *words: str) -> str:
    """Run the command with a configuration of its own; its standard output."""
    command = [sys.executable, "-m", "ferryman", "--config", str(folder / "ferryman.toml"), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def catalog() -> None:
    """The flip, and reading all there is, on the inventory that people keep by hand."""
    file = REAL / "services.yaml"
    if not file.exists():
        print("the real catalog is not here: skipped")
        return
    text = file.read_bytes()
    lines = len(text.splitlines())
    taken = [seconds(lambda: flip(text, "apertium", "codfw", "ipip")) for _ in range(11)]
    print_times(f"flip one service of a catalog of {lines:,} lines", taken)
    print_times("read its whole inventory", [seconds(lambda: Inventory.load(REAL)) for _ in range(5)])


def migrations(folder: Path) -> None:
    """Time the lab's boot, and whole migrations in it with their rollbacks."""
    boots = []
    for _ in range(3):
        ferryman(folder, "lab", "down")
        boots.append(seconds(lambda: ferryman(folder, "lab", "up")))
    print_times("ferryman lab up", boots)
    for service, driver in (("static", "ipvsadm"), ("web", "keepalived, dual stack")):
        migrated, waited, rolled_back = [], [], []
        for _ in range(3):
            began = time.perf_counter()
            out = ferryman(folder, "--output", "json", "migrate", service, "--site", "lab", "--yes")
            migrated.append(time.perf_counter() - began)
            events = [json.loads(line) for line in out.splitlines()]
            waited.append(on_purpose(events))
            run = events[0]["run"]
            rolled_back.append(seconds(lambda run=run: ferryman(folder, "rollback", run)))  # type: ignore[misc]  # bound
        print_times(f"ferryman migrate {service} ({driver})", migrated)
        print_times("  of that, waiting on purpose for old connections", waited)
        print_times(f"ferryman rollback of {service}", rolled_back)


def on_purpose(events: list[dict[str, Any]]) -> float:
    """Seconds from the start to the end of the look that waits."""
    steps = {event["step"] for event in events if ON_PURPOSE in event.get("title", "")}
    times = [
        datetime.fromisoformat(event["time"])
        for event in events
        if event["event"] in ("step-started", "step-finished") and event["step"] in steps
    ]
    return (max(times) - min(times)).total_seconds() if times else 0.0


def main() -> None:
    """Time everything, the quick things first."""
    catalog()
    with tempfile.TemporaryDirectory(prefix="ferryman-bench-") as name:
        folder = Path(name)
        for part in ("inventory", "cookbooks"):
            shutil.copytree(ROOT / part, folder / part)
        shutil.copyfile(ROOT / "ferryman.toml", folder / "ferryman.toml")
        try:
            migrations(folder)
        finally:
            ferryman(folder, "lab", "down")


if __name__ == "__main__":
    main()
