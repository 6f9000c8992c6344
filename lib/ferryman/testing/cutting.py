"""A plan cut at every call to the outside: the world ends as before or as wanted, and as the run said."""

from __future__ import annotations

import logging
import signal
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from itertools import cycle, product
from typing import TYPE_CHECKING

from ferryman.engine import signals
from ferryman.errors import UnknownOutcomeError, VerifyError
from ferryman.testing.fakes import Cut, Cuts, Harness, Killed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ferryman.engine.runner import OnDoubt
    from ferryman.outcomes import RunResult
    from ferryman.testing.fakes import RecoveryCommand, Scene, When


def cut_everywhere(build: Callable[[Cuts], Scene], *, twice: bool = False, briefly: bool = False) -> int:
    """Cut a plan at every call to the outside, with every fault, and compare the world that is left.

    Args:
        build: Makes a fresh scene, the same each time, whose every outside call goes through the cuts.
        twice: After a refusal or a kill, kill once more at every call that follows: many more runs.
        briefly: At every call, only kill -9 before and after it, and SIGTERM; resume and rollback in turn.

    Returns:
        How many runs were cut.

    Raises:
        AssertionError: The world ended half changed, or not as the run said; names the trial.
    """
    with _quietly():
        return _cut_everywhere(build, twice, briefly)


def _cut_everywhere(build: Callable[[Cuts], Scene], twice: bool, briefly: bool) -> int:
    endpoints = _uncut(build)
    count = 0
    for trial in _brief_trials(endpoints.calls) if briefly else _trials(endpoints.calls):
        used = _try(build, endpoints, trial)
        count += 1
        repeat = twice and trial.cuts[0].fault in {_refuse, _kill}
        for at in range(trial.cuts[0].at + 1, used if repeat else 0):
            for when in ("before", "after"):
                _try(build, endpoints, trial.and_then(Cut(at, when, _kill)))
                count += 1
    return count


@dataclass(frozen=True, slots=True)
class _Endpoints:
    """The world before and after, and how many calls lie between."""

    before: object
    after: object
    calls: int


@dataclass(frozen=True, slots=True)
class _Trial:
    name: str
    cuts: tuple[Cut, ...]
    way: RecoveryCommand
    on_doubt: OnDoubt

    def and_then(self, cut: Cut) -> _Trial:
        name = f"{self.name}, and kill -9 {cut.when} call {cut.at}"
        return _Trial(name, (*self.cuts, cut), self.way, self.on_doubt)


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the message that the operator gets for each signal: there are hundreds."""
    log = logging.getLogger(signals.__name__)
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before


def _uncut(build: Callable[[Cuts], Scene]) -> _Endpoints:
    cuts = Cuts()
    scene = build(cuts)
    before, result = _snapshot(scene), Harness().perform(scene.plan())
    _expect(result.outcome == "done", f"without any cut, it ended {result.outcome}: {result.reason}")
    return _Endpoints(before, _snapshot(scene), cuts.calls)


def _trials(calls: int) -> Iterator[_Trial]:
    ways: tuple[RecoveryCommand, ...] = ("resume", "rollback")
    choices: tuple[OnDoubt, ...] = ("hold", "rollback")
    for at in range(calls):
        for when in _BOTH:
            for name, fault in _FAULTS.items():
                for way in ways:
                    for on_doubt in choices if fault is _lose_the_answer else choices[:1]:
                        text = f"{name} {when} call {at}, on doubt {on_doubt}, then {way}"
                        yield _Trial(text, (Cut(at, when, fault),), way, on_doubt)


def _brief_trials(calls: int) -> Iterator[_Trial]:
    ways: Iterator[RecoveryCommand] = cycle(("resume", "rollback"))
    for at, (name, when) in product(range(calls), _BRIEF):
        way = next(ways)
        yield _Trial(f"{name} {when} call {at}, then {way}", (Cut(at, when, _FAULTS[name]),), way, "hold")


_ATTEMPTS = 4
"""How often a run may be resumed or rolled back: once for each cut, and some to spare."""


def _try(build: Callable[[Cuts], Scene], endpoints: _Endpoints, trial: _Trial) -> int:
    """Run one trial until the run is over, compare the world, and return how many calls that took."""
    cuts = Cuts(*trial.cuts)
    scene, harness = build(cuts), Harness()
    result = _attempt(lambda: harness.perform(scene.plan(), on_doubt=trial.on_doubt))
    attempts = 0
    while result is None or result.outcome in {"held", "stranded"}:
        attempts += 1
        _expect(attempts <= _ATTEMPTS, f"{trial.name}: still not over: {result and result.reason}")
        keeps_lock = not scene.plan().locks or harness.locked
        _expect(bool(keeps_lock), f"{trial.name}: the run is open, and has no lock")
        result = _attempt(lambda: harness.recover(scene.plan(), trial.way, on_doubt=trial.on_doubt))
    wanted = endpoints.after if result.outcome == "done" else endpoints.before
    seen = scene.world()
    _expect(seen == wanted, f"{trial.name}: ended {result.outcome}, and left {seen!r}, wanted {wanted!r}")
    _expect(not harness.locked, f"{trial.name}: ended {result.outcome}, and kept its lock")
    return cuts.calls


def _attempt(run: Callable[[], RunResult]) -> RunResult | None:
    try:
        return run()
    except Killed:
        return None


def _snapshot(scene: Scene) -> object:
    """A copy of the world as it is now."""
    return deepcopy(scene.world())


def _expect(is_so: bool, otherwise: str) -> None:
    if not is_so:
        raise AssertionError(otherwise)


def _lose_the_answer() -> None:
    raise UnknownOutcomeError("the answer was lost")


def _refuse() -> None:
    raise VerifyError("the host said no")


def _break() -> None:
    raise ZeroDivisionError("a bug in a step")


def _kill() -> None:
    raise Killed


def _terminate() -> None:
    _expect(
        signal.getsignal(signal.SIGTERM) != signal.SIG_DFL,
        "no handler is installed: call this in the main thread",
    )
    signal.raise_signal(signal.SIGTERM)


_BOTH: tuple[When, ...] = ("before", "after")
_FAULTS: Mapping[str, Callable[[], None]] = {
    "an answer lost": _lose_the_answer,
    "a refusal": _refuse,
    "a bug": _break,
    "SIGTERM": _terminate,
    "kill -9": _kill,
}
_BRIEF: Sequence[tuple[str, When]] = (("kill -9", "before"), ("kill -9", "after"), ("SIGTERM", "after"))
