"""A plan cut at every call to the outside: the world ends all old or all new, and as the run said."""

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

    from ferryman.engine.endings import Ending
    from ferryman.engine.runner import OnDoubt
    from ferryman.testing.fakes import Moment, Scene, WayOn


def cut_everywhere(build: Callable[[Cuts], Scene], *, twice: bool = False, briefly: bool = False) -> int:
    """Cut a plan at every call to the outside, in every way, and look what is left.

    Args:
        build: Makes a fresh scene, the same each time, whose every outside call goes through the cuts.
        twice: After a refusal or a kill, kill once more at every call that follows; many more runs.
        briefly: At every call too, but by kill -9 before and after it, and SIGTERM; each way on in turn.

    Returns:
        How many runs were cut.

    Raises:
        AssertionError: The world ended in between, or otherwise than the run said; with the way to get there.
    """
    with _quietly():
        return _cut_everywhere(build, twice, briefly)


def _cut_everywhere(build: Callable[[Cuts], Scene], twice: bool, briefly: bool) -> int:
    bank = _uncut(build)
    count = 0
    for trial in _brief_trials(bank.calls) if briefly else _trials(bank.calls):
        used = _try(build, bank, trial)
        count += 1
        again = twice and trial.cuts[0].blow in {_say_no, _kill}
        for at in range(trial.cuts[0].at + 1, used if again else 0):
            for moment in ("before", "after"):
                _try(build, bank, trial.again(Cut(at, moment, _kill)))
                count += 1
    return count


@dataclass(frozen=True, slots=True)
class _Banks:
    """How the world is before and after, and how many calls lie between."""

    old: object
    new: object
    calls: int


@dataclass(frozen=True, slots=True)
class _Trial:
    name: str
    cuts: tuple[Cut, ...]
    way: WayOn
    on_doubt: OnDoubt

    def again(self, cut: Cut) -> _Trial:
        name = f"{self.name}, and kill -9 {cut.moment} call {cut.at}"
        return _Trial(name, (*self.cuts, cut), self.way, self.on_doubt)


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the word that the operator gets for each signal: there are hundreds."""
    log = logging.getLogger(signals.__name__)
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before


def _uncut(build: Callable[[Cuts], Scene]) -> _Banks:
    cuts = Cuts()
    scene = build(cuts)
    old, ending = _frozen(scene), Harness().perform(scene.plan())
    _expect(ending.outcome == "done", f"without any cut, it ended {ending.outcome}: {ending.reason}")
    return _Banks(old, _frozen(scene), cuts.calls)


def _trials(calls: int) -> Iterator[_Trial]:
    moments: tuple[Moment, ...] = ("before", "after")
    ways: tuple[WayOn, ...] = ("resume", "rollback")
    choices: tuple[OnDoubt, ...] = ("hold", "rollback")
    for at in range(calls):
        for moment in moments:
            for name, blow in _BLOWS.items():
                for way in ways:
                    for on_doubt in choices if blow is _lose_the_answer else choices[:1]:
                        text = f"{name} {moment} call {at}, on doubt {on_doubt}, then {way}"
                        yield _Trial(text, (Cut(at, moment, blow),), way, on_doubt)


def _brief_trials(calls: int) -> Iterator[_Trial]:
    ways: Iterator[WayOn] = cycle(("resume", "rollback"))
    for at, (name, moment) in product(range(calls), _BRIEFLY):
        way = next(ways)
        yield _Trial(f"{name} {moment} call {at}, then {way}", (Cut(at, moment, _BLOWS[name]),), way, "hold")


_WAYS = 4
"""How often a run may be taken up again: once for each thing that went wrong in it, and once to spare."""


def _try(build: Callable[[Cuts], Scene], banks: _Banks, trial: _Trial) -> int:
    """Run one trial until it has settled; how many calls that took."""
    cuts = Cuts(*trial.cuts)
    scene, dock = build(cuts), Harness()
    ending = _attempt(lambda: dock.perform(scene.plan(), on_doubt=trial.on_doubt))
    ways = 0
    while ending is None or ending.outcome in {"held", "stranded"}:
        ways += 1
        _expect(ways <= _WAYS, f"{trial.name}: still not settled: {ending and ending.reason}")
        kept = not scene.plan().locks or dock.locked
        _expect(bool(kept), f"{trial.name}: the run is open, and has no lock")
        ending = _attempt(lambda: dock.go_on(scene.plan(), trial.way, on_doubt=trial.on_doubt))
    wanted = banks.new if ending.outcome == "done" else banks.old
    seen = scene.world()
    _expect(seen == wanted, f"{trial.name}: ended {ending.outcome}, and left {seen!r}, wanted {wanted!r}")
    _expect(not dock.locked, f"{trial.name}: ended {ending.outcome}, and kept its lock")
    return cuts.calls


def _attempt(run: Callable[[], Ending]) -> Ending | None:
    try:
        return run()
    except Killed:
        return None


def _frozen(scene: Scene) -> object:
    """The world as it is now, whatever happens to it later."""
    return deepcopy(scene.world())


def _expect(so: bool, otherwise: str) -> None:
    if not so:
        raise AssertionError(otherwise)


def _lose_the_answer() -> None:
    raise UnknownOutcomeError("the answer was lost")


def _say_no() -> None:
    raise VerifyError("the host said no")


def _break() -> None:
    raise ZeroDivisionError("a bug in a step")


def _kill() -> None:
    raise Killed


def _terminate() -> None:
    _expect(
        signal.getsignal(signal.SIGTERM) != signal.SIG_DFL, "nobody listens: call this in the main thread"
    )
    signal.raise_signal(signal.SIGTERM)


_BLOWS: Mapping[str, Callable[[], None]] = {
    "an answer lost": _lose_the_answer,
    "a refusal": _say_no,
    "a bug": _break,
    "SIGTERM": _terminate,
    "kill -9": _kill,
}
_BRIEFLY: Sequence[tuple[str, Moment]] = (("kill -9", "before"), ("kill -9", "after"), ("SIGTERM", "after"))
