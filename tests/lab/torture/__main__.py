"""Kill real runs in real labs until it is known that they all end all new or all old.

From the repository:

    PYTHONPATH=lib:tests .venv/bin/python -m lab.torture --kills 500 --labs 2 --seed 1
    PYTHONPATH=lib:tests .venv/bin/python -m lab.torture --visitors --kills 300
    PYTHONPATH=lib:tests .venv/bin/python -m lab.torture --report .ferryman/torture/seed-1-*.jsonl
    PYTHONPATH=lib:tests .venv/bin/python -m lab.torture --only '{"name": …}'

Each lab appends to a file of its own, trial by trial; the same command goes on where it was interrupted. It
leaves with 1 when any trial ended wrong; the report has what replays it.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import active_children
from pathlib import Path

from lab.running import REPOSITORY
from lab.torture.report import as_text, summed
from lab.torture.trial_runner import Share, work
from lab.torture.trials import Trial


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m lab.torture", description=__doc__)
    parser.add_argument("--kills", type=int, default=40, help="how many, over all labs")
    parser.add_argument("--labs", type=int, default=1, help="side by side; each keeps one processor busy")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--services", default="static,maps", help="static: ipvsadm; maps, web: keepalived")
    parser.add_argument(
        "--visitors",
        action="store_true",
        help="other commands come and go all the while, and some runs take more than a minute",
    )
    parser.add_argument("--results", type=Path, default=REPOSITORY / ".ferryman" / "torture")
    parser.add_argument(
        "--only", type=json.loads, metavar="TRIAL", help="replay one, as the report prints it"
    )
    parser.add_argument("--report", type=Path, nargs="+", metavar="FILE", help="sum files of results up")
    parser.add_argument("--json", action="store_true", help="the report as JSON")
    return parser.parse_args()


def _shares(given: argparse.Namespace) -> list[Share]:
    given.results.mkdir(parents=True, exist_ok=True)
    only = Trial.of(given.only) if given.only else None
    labs = 1 if only else given.labs
    services = (only.service,) if only else tuple(given.services.split(","))
    name = "only" if only else f"{'visitors-' if given.visitors else ''}seed-{given.seed}"
    return [
        Share(
            index=index,
            labs=labs,
            kills=-(-given.kills // labs),
            seed=given.seed,
            services=services,
            results=given.results / f"{name}-{index}.jsonl",
            only=only,
            visitors=given.visitors and only is None,
        )
        for index in range(labs)
    ]


def main() -> int:
    """Make the trials that the command line asks for, then report; 1 when any ended wrong."""
    given = _arguments()
    files = given.report
    if not files:
        shares = _shares(given)
        files = [share.results for share in shares]
        if given.only:
            files[0].unlink(missing_ok=True)
        with ProcessPoolExecutor(len(shares), initializer=_heed_signals) as pool:
            each = pool.map(partial(work, say=_say), shares)
            _pass_on_signals()
            list(each)
    total = summed(files)
    print(json.dumps(total) if given.json else as_text(total))  # noqa: T201  # what was asked for
    return 1 if total["wrong"] else 0


def _heed_signals() -> None:
    """Told to end, a worker takes its lab down first, however often it is told."""

    def end(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        sys.exit(143)

    signal.signal(signal.SIGTERM, end)


def _pass_on_signals() -> None:
    """Told to end, the workers are told too: one whose parent is gone waits for work for ever."""

    def end(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for worker in active_children():
            worker.terminate()
        sys.exit(143)

    signal.signal(signal.SIGTERM, end)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201  # progress


if __name__ == "__main__":
    sys.exit(main())
