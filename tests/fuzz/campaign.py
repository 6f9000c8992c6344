"""Many inputs for one target: each measured, and whatever is wrong with one kept."""

from __future__ import annotations

import resource
import signal
import traceback
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from fuzz.budget import MOST_BYTES, MOST_S, Meter
from fuzz.recipe import RECIPE_BYTES, build
from fuzz.targets import TARGETS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from fuzz.target import Target

PACKAGE = str(Path(__file__).parents[2] / "lib" / "ferryman")
ROUND = 10_000
"""Inputs that Hypothesis makes in a row: it keeps all of a row's draws in memory."""
ADDRESS_SPACE = 6 << 30
"""Bytes."""
LONGEST_S = 20
"""Seconds of CPU time after which an input is given up."""
BATCH = 50
"""Recipes that are cut out of one draw of Hypothesis, which costs more than most targets do."""
BATCHES = st.binary(min_size=BATCH * RECIPE_BYTES, max_size=BATCH * RECIPE_BYTES)
RECIPES = st.one_of(st.binary(max_size=8), st.binary(min_size=RECIPE_BYTES // 2, max_size=RECIPE_BYTES))
"""One or two damages, or many."""


class EndlessError(BaseException):
    """An input was given up; nothing that reads catches it."""


@dataclass
class Report:
    """What a target did with its inputs."""

    target: str
    inputs: int = 0
    slowest_s: float = 0.0
    largest_bytes: int = 0
    wrong: dict[str, bytes] = field(default_factory=dict)
    """What went wrong and where, with the recipe of the shortest input."""
    times: dict[str, int] = field(default_factory=dict)
    """How many inputs did that."""

    def add(self, what: str, recipe: bytes) -> None:
        """Keep that an input went wrong."""
        self.times[what] = self.times.get(what, 0) + 1
        if what not in self.wrong or len(recipe) < len(self.wrong[what]):
            self.wrong[what] = recipe


def limit() -> None:
    """Give this process so much address space that an input that wants more ends in a MemoryError."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))


def work(portion: tuple[str, int, int]) -> Report:
    """What a process of a pool does: the target of this name, so many inputs, a seed."""
    name, inputs, seed_number = portion
    return run(TARGETS[name], inputs, seed_number)


def run(target: Target, inputs: int, seed_number: int) -> Report:
    """Give a target so many inputs."""
    report = Report(target.name)
    for number in range(-(-inputs // ROUND)):
        _round(target, report, min(ROUND, inputs - number * ROUND), seed_number * 1_000_003 + number)
    return report


def _round(target: Target, report: Report, inputs: int, seed_number: int) -> None:
    @seed(seed_number)
    @settings(
        max_examples=-(-inputs // BATCH),
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(BATCHES)
    def each(batch: bytes) -> None:
        for recipe in _recipes(batch):
            _measure(target, report, recipe)

    each()


def _recipes(batch: bytes) -> Iterator[bytes]:
    """The recipes of a draw; half of them do one or two damages, the others many."""
    for begin in range(0, len(batch), RECIPE_BYTES):
        recipe = batch[begin : begin + RECIPE_BYTES]
        yield recipe[: 4 + recipe[-2] % 8] if recipe[-1] & 1 else recipe


def _measure(target: Target, report: Report, recipe: bytes) -> None:
    text = build(recipe, target.seeds, target.words)
    meter = Meter()
    meter.begin()
    what = outcome(target, text)
    meter.end()
    report.inputs += 1
    report.slowest_s = max(report.slowest_s, meter.seconds)
    report.largest_bytes = max(report.largest_bytes, meter.grown)
    if what:
        report.add(what, recipe)
    elif meter.seconds > MOST_S:
        report.add(f"more than {MOST_S} s of CPU time", recipe)
    elif meter.grown > MOST_BYTES:
        report.add(f"more than {MOST_BYTES >> 20} MiB", recipe)


def outcome(target: Target, text: str) -> str:
    """What went wrong with an input, and where; empty where it was read or refused as it should be."""
    try:
        with _limited():
            target.read(text)
    except target.refuses:
        return ""
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001  # this is what is looked for
        return f"{type(error).__name__} at {_place(error)}"
    return ""


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename.startswith(PACKAGE)] or list(frames)
    return f"{own[-1].filename.removeprefix(PACKAGE + chr(47))}:{own[-1].lineno}"


@contextmanager
def _limited() -> Iterator[None]:
    def give_up(number: int, frame: FrameType | None) -> None:
        raise EndlessError

    before = signal.signal(signal.SIGVTALRM, give_up)
    signal.setitimer(signal.ITIMER_VIRTUAL, LONGEST_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
