"""A plan at whose every call to the outside a third party writes first: what the run then says is true.

"Done" and "rolled back" are judged by the world as it is, not by what the run believes. A third party may
write after the run has looked for the last time, and no run can know of that: so what they write counts from
the run's last own change on, for then it has to look at everything once more, or from when a command began.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import product
from typing import TYPE_CHECKING

from ferryman.testing.fakes import Cut, Harness
from ferryman.testing.observing import (
    ATTEMPTS,
    Observed,
    kill,
    observed,
    refuse,
    run_command,
    warnings,
    without_repeats,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from ferryman.outcomes import RunResult
    from ferryman.testing.fakes import Cuts, RecoveryCommand, Scene

_SHOWN = 3
"""How many of the faults that were found are shown in full."""
_STRIDE = 5
"""A third party writes before every fifth call of a process that resumes or rolls back a killed run."""
_RUN = ("perform",)


def meddle_everywhere(
    build: Callable[[Cuts], Scene], *, briefly: bool = False, first: int = 0, every: int = 1
) -> int:
    """Let a third party write before any call to the outside, and judge what the run says then.

    They do so once in each trial: in a run, in one that a host refuses late, in the rollback of one that is
    done, and in resume or rollback of a killed run. A run that is held or stranded is resumed or
    rolled back undisturbed, until it is over or keeps saying who blocks it.

    Args:
        build: Makes a fresh scene, the same each time, whose every outside call goes through the cuts; it
            has ``third_parties`` and says what is its ``own``.
        briefly: Only right after each call that changes something, and at the beginning.
        first: With ``every``: a share of the trials: those number ``first``, ``first + every`` and so on.
        every: The number of shares.

    Returns:
        How many trials there were.

    Raises:
        AssertionError: Something that a run said was not true, or it overwrote what was not its own.
    """
    run = _undisturbed(build, _RUN, None)
    trials = list(_trials(build, run, briefly=briefly))[first::every]
    faults = [fault for trial in trials for fault in _faults(build, trial, frozenset(run.made))]
    if faults:
        raise AssertionError("\n".join([f"{len(faults)} in {len(trials)} trials:", *faults[:_SHOWN]]))
    return len(trials)


def _faults(build: Callable[[Cuts], Scene], trial: _Trial, makes: frozenset[str]) -> Iterator[str]:
    """What is wrong in a trial; where a run stayed open, the trial is made again with resume instead."""
    attempt = _Attempt(build, trial, makes)
    yield from attempt.faults()
    if attempt.attempts and trial.commands == _RUN:
        yield from _Attempt(build, replace(trial, way="resume"), makes).faults()


@dataclass(frozen=True, slots=True)
class _Trial:
    situation: str
    commands: Sequence[str]
    """``perform``, ``resume``, ``rollback``: each in a process of its own."""
    cut: Cut | None
    at: int
    """The third party writes before this call."""
    third_party: int
    """Which third party, by their place in the scene."""
    way: RecoveryCommand
    """What is done with a run that stayed open."""


def _trials(build: Callable[[Cuts], Scene], run: Observed, *, briefly: bool) -> Iterator[_Trial]:
    """Every trial: by situation, call and third party."""
    assert run.scene
    third_parties = range(len(run.scene.third_parties))
    assert third_parties, "the scene has nobody else in it: see Scene.third_parties"
    yield from _of("a run", _RUN, None, _places(0, run, briefly=briefly), third_parties)
    if not run.changes:
        return
    last = Cut(run.changes[-1], "before", refuse)
    places = _places(0, _undisturbed(build, _RUN, last), briefly=briefly)
    yield from _of(f"a run that is refused call {last.at}", _RUN, last, places, third_parties)
    commands_back = ("perform", "rollback")
    places = _places(run.calls, _undisturbed(build, commands_back, None), briefly=briefly)
    yield from _of("the rollback of a run that is done", commands_back, None, places, third_parties)
    ways: tuple[RecoveryCommand, ...] = ("resume", "rollback")
    for number, way in product(run.changes, ways):
        killed, commands = Cut(number, "after", kill), ("perform", way)
        end = number + 2 if briefly else _undisturbed(build, commands, killed).calls
        situation = f"the {way} of a run that was killed at call {number}"
        yield from _of(situation, commands, killed, range(number + 1, end, _STRIDE), third_parties)


def _places(begin: int, peace: Observed, *, briefly: bool) -> Sequence[int]:
    """The calls before which the third party writes."""
    if not briefly:
        return range(begin, peace.calls)
    edges = {begin, *(number + 1 for number in peace.changes)}
    return sorted(place for place in edges if begin <= place < peace.calls)


def _of(
    situation: str,
    commands: Sequence[str],
    cut: Cut | None,
    places: Sequence[int],
    third_parties: Sequence[int],
) -> Iterator[_Trial]:
    way: RecoveryCommand = "resume" if commands[-1] == "resume" else "rollback"
    for at, third_party in product(places, third_parties):
        yield _Trial(situation, commands, cut, at, third_party, way)


def _undisturbed(build: Callable[[Cuts], Scene], commands: Sequence[str], cut: Cut | None) -> Observed:
    """The same commands without a third party."""
    cuts = Observed(None, *([cut] if cut else []))
    scene, harness = observed(build, cuts), Harness()
    for command in commands:
        run_command(harness, scene, command)
    return cuts


@dataclass
class _Attempt:
    """One trial, and what was wrong with it."""

    build: Callable[[Cuts], Scene]
    trial: _Trial
    makes: frozenset[str]
    """Everything that a run of it puts into the world, sooner or later."""
    harness: Harness = field(default_factory=Harness)

    def __post_init__(self) -> None:
        self.cuts = Observed(self.trial.at, *([self.trial.cut] if self.trial.cut else []))
        self.scene = observed(self.build, self.cuts)
        self.third_party = self.cuts.third_party = self.scene.third_parties[self.trial.third_party]
        self.began, self.earlier, self.attempts = 0, 0, 0

    def faults(self) -> Iterator[str]:
        """What is wrong, with the trial that shows it."""
        trial = self.trial
        where = f"{trial.situation}; {self.third_party.name} before call {trial.at}, then {trial.way}"
        messages: list[str] = []
        for fault in self._wrong(messages):
            yield f"{where}: {fault}\n    it said: " + without_repeats(messages)
            return

    def _wrong(self, messages: list[str]) -> Iterator[str]:
        result: RunResult | None = None
        for command in self.trial.commands:
            result = yield from self._judged(command, messages)
            self.cuts.spare()
            if result is not None and result.outcome != "done":
                break
        while result is None or result.outcome in {"held", "stranded"}:
            self.attempts += 1
            if self.attempts > ATTEMPTS:
                yield from self._unsettled(result)
                return
            result = yield from self._judged(self.trial.way, messages)

    def _judged(self, command: str, messages: list[str]) -> Generator[str, None, RunResult | None]:
        self.cuts.let_in()
        self.began, self.earlier = self.cuts.calls, len(self.harness.events)
        try:
            result = run_command(self.harness, self.scene, command)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is a fault to report
            messages.append(f"{command}: {type(error).__name__}: {error}")
            yield f"{command} raised {type(error).__name__}"
            return None
        if result is None:
            messages.append(f"{command}: killed")
            return None
        messages.append(f"{command}: {result.outcome}: {result.reason}")
        yield from self._untrue(result)
        lost = sorted(self.cuts.put - self.makes - set(self.cuts.own.in_place()))
        if lost and result.outcome != "done":  # a run takes what it finds when it begins for its before
            yield f"{result.outcome}, and what a third party wrote was overwritten: {'; '.join(lost)}"
        if self.cuts.own.rest() != self.cuts.rest:
            yield f"{result.outcome}, and what is not the run's own was changed"
        return result

    def _untrue(self, result: RunResult) -> Iterator[str]:
        """What of a result is not true."""
        lines = {"done": self._not_done, "rolled-back": self._not_back, "interrupted": self._not_back}
        if result.outcome in lines:
            yield from lines[result.outcome](result)
            if self.harness.locked:
                yield f"{result.outcome}, and it kept its lock"
        elif result.outcome == "refused":
            yield from self._not_refused(result)
        elif result.outcome in {"held", "stranded"}:
            yield from self._not_open(result)
        else:
            yield f"it ended {result.outcome}"

    def _not_done(self, result: RunResult) -> Iterator[str]:
        del result
        allowed = frozenset[str]() if self._must_know else self.cuts.took
        if missing := sorted(set(self.cuts.own.missing()) - allowed):
            yield f"done, and the world is otherwise: {'; '.join(missing)}"

    def _not_back(self, result: RunResult) -> Iterator[str]:
        in_place = set(self.cuts.own.in_place())
        if ours := sorted(in_place - self.cuts.put):
            yield f"{result.outcome}, and of the run there is still: {'; '.join(ours)}"
        theirs = sorted(in_place & self.cuts.put)
        if theirs and self._must_know and not self._is_before and not self._named(result):
            yield f"{result.outcome}, and not a word of what a third party made so: {'; '.join(theirs)}"

    def _not_refused(self, result: RunResult) -> Iterator[str]:
        if self._changed:
            yield f"refused, and call {self._changed[-1]} changed something"
        if not self._is_done and (ours := sorted(set(self.cuts.own.in_place()) - self.cuts.put)):
            yield f"refused, and of the run there is still: {'; '.join(ours)}"
        if not self._named(result):
            yield "refused, and not a word of who blocks it"
        if self.harness.locked:
            yield "refused, and it kept its lock"

    def _not_open(self, result: RunResult) -> Iterator[str]:
        if not self.cuts.mattered and self.cuts.wrote:
            yield f"{result.outcome}, and nobody blocks it"
        if not self._named(result):
            yield f"{result.outcome}, and not a word of who blocks it"
        if self.scene.plan().locks and not self.harness.locked:
            yield f"{result.outcome}, and it has no lock"

    def _unsettled(self, result: RunResult | None) -> Iterator[str]:
        """It stays held or stranded: then something must be left for a person to put right.

        What a third party made just as the run would have, no run may take for its own: the journal may
        have lost the record of it. So a person has to say.
        """
        in_place = set(self.cuts.own.in_place())
        if result is None:
            yield "killed for ever"
        elif self.trial.way == "rollback" and not in_place - (self.cuts.put - self.makes):
            yield f"{result.outcome} for ever, and nothing of the run is left"
        elif "by hand" not in result.reason:
            yield f"{result.outcome} for ever, and it does not say what to do by hand"

    @property
    def _is_done(self) -> bool:
        """Whether the run is one that is done, and that only its rollback was refused for."""
        return self.harness.journal.runs()[0].outcome == "done"

    @property
    def _changed(self) -> Sequence[int]:
        return [number for number in self.cuts.changes if number >= self.began]

    @property
    def _is_before(self) -> bool:
        """Whether they wrote before the run had changed anything: it may have found it there."""
        return self.cuts.at is not None and self.cuts.at <= min(self.cuts.changes, default=self.cuts.at)

    @property
    def _must_know(self) -> bool:
        """Whether the run had to look at everything after they wrote."""
        latest = max([self.began, *(number + 1 for number in self.cuts.changes)])
        return self.cuts.at is not None and self.cuts.at <= latest

    def _named(self, result: RunResult) -> bool:
        texts = [result.reason, *warnings(self.harness.events[self.earlier :])]
        return any(word in text for word in self.third_party.words for text in texts)
