"""``make fuzz``: two million inputs for what reads outside words; ends with 1 when one goes wrong."""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from fuzz.campaign import Report, limit, work
from fuzz.recipe import build
from fuzz.targets import TARGETS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

INPUTS = 2_000_000
PORTION = 5_000
"""Inputs of one target that a process is given at a time."""
FOUND = Path(".ferryman") / "fuzz"


def _portions(names: Sequence[str], inputs: int, seed: int) -> Iterator[tuple[str, int, int]]:
    shares = sum(TARGETS[name].share for name in names)
    left = {name: -(-inputs * TARGETS[name].share // shares) for name in names}
    while any(left.values()):
        for name in names:
            if left[name]:
                portion = min(PORTION, left[name])
                left[name] -= portion
                yield name, portion, seed + left[name]


def main() -> int:
    """Run it, print a line for each target and for each thing that went wrong."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=INPUTS)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    parser.add_argument("--target", action="append", choices=sorted(TARGETS))
    options = parser.parse_args()
    names = options.target or sorted(TARGETS)
    whole = {name: Report(name) for name in names}
    print(f"seed {options.seed}", flush=True)
    with multiprocessing.get_context("spawn").Pool(options.jobs, limit, maxtasksperchild=8) as pool:
        try:
            for report in pool.imap_unordered(work, _portions(names, options.inputs, options.seed)):
                _add(whole[report.target], report)
        except KeyboardInterrupt:
            print("stopped: what was found until now", flush=True)
    return _tell(list(whole.values()))


def _add(whole: Report, part: Report) -> None:
    whole.inputs += part.inputs
    whole.slowest_s = max(whole.slowest_s, part.slowest_s)
    whole.largest_bytes = max(whole.largest_bytes, part.largest_bytes)
    for what, recipe in part.wrong.items():
        whole.add(what, recipe)
        whole.times[what] += part.times[what] - 1


def _tell(reports: Sequence[Report]) -> int:
    for report in sorted(reports, key=lambda report: report.slowest_s):
        cost = f"{report.slowest_s:6.3f} s {report.largest_bytes >> 20:4} MiB"
        print(f"{report.target:28} {report.inputs:9,} inputs, at most {cost}")
    wrong = 0
    for report in reports:
        for number, (what, recipe) in enumerate(sorted(report.wrong.items())):
            wrong += report.times[what]
            file = FOUND / report.target.replace("/", "-") / str(number)
            file.parent.mkdir(parents=True, exist_ok=True)
            target = TARGETS[report.target]
            file.write_bytes(build(recipe, target.seeds, target.words).encode("utf-8", "surrogatepass"))
            print(
                f"{report.target}: {what}, {report.times[what]} times; recipe {recipe.hex()}, input in {file}"
            )
    print(f"{sum(report.inputs for report in reports):,} inputs, {wrong} went wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
