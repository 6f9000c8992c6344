"""A plan at whose every call to the outside somebody else writes first: what the run then says is true.

"Done" and "rolled back" are judged by the world as it is, not by what the run believes. Somebody may write
after the run has looked for the last time, and no run can know of that: so what they write counts from the
run's last own change on, for then it has to look at everything once more, or from when a command began.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import product
from typing import TYPE_CHECKING

from ferryman.testing.fakes import Cut, Harness
from ferryman.testing.observing import (
    AGAIN,
    Observed,
    commanded,
    in_a_row,
    kill,
    observed,
    say_no,
    warnings,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from ferryman.engine.endings import Ending
    from ferryman.testing.fakes import Cuts, Scene, WayOn

_TOLD = 3
"""How many of the faults that were found are told in full."""
_STRIDE = 5
"""Of the calls of a process that takes up a killed run, each so-manieth has somebody write before it."""
_RUN = ("perform",)


def meddle_everywhere(
    build: Callable[[Cuts], Scene], *, briefly: bool = False, first: int = 0, every: int = 1
) -> int:
    """Let somebody else write before any call to the outside, and judge what the run says then.

    They do so once in each trial: during a run, one that a host refuses late, the rollback of one that is
    done, and once a killed run is taken up again, either way. A run that is held or stranded is taken up
    again in peace, until it has settled or says for good who is in the way.

    Args:
        build: Makes a fresh scene, the same each time, whose every outside call goes through the cuts; it
            has ``third_parties`` and says what is its ``own``.
        briefly: Only right after each call that changes something, and at the beginning.
        first: With ``every``: a share of the trials, which are dealt out like cards.
        every: The number of shares.

    Returns:
        How many trials there were.

    Raises:
        AssertionError: Something that a run said was not so, or it overwrote what was not its own.
    """
    run = _peace(build, _RUN, None)
    trials = list(_trials(build, run, briefly=briefly))[first::every]
    faults = [fault for trial in trials for fault in _faults(build, trial, frozenset(run.made))]
    if faults:
        raise AssertionError("\n".join([f"{len(faults)} in {len(trials)} trials:", *faults[:_TOLD]]))
    return len(trials)


def _faults(build: Callable[[Cuts], Scene], trial: _Trial, makes: frozenset[str]) -> Iterator[str]:
    """What is wrong in a trial; where a run stayed open, it is made again and resumed instead."""
    trying = _Trying(build, trial, makes)
    yield from trying.faults()
    if trying.again and trial.commands == _RUN:
        yield from _Trying(build, replace(trial, way="resume"), makes).faults()


@dataclass(frozen=True, slots=True)
class _Trial:
    situation: str
    commands: Sequence[str]
    """``perform``, ``resume``, ``rollback``: each in a process of its own."""
    cut: Cut | None
    at: int
    """Somebody writes before this call."""
    party: int
    """Who, by their place in the scene."""
    way: WayOn
    """How a run that did not settle is taken up again."""


def _trials(build: Callable[[Cuts], Scene], run: Observed, *, briefly: bool) -> Iterator[_Trial]:
    """Every trial there is: by situation, call and person."""
    assert run.scene
    parties = range(len(run.scene.third_parties))
    assert parties, "the scene has nobody else in it: see Scene.third_parties"
    yield from _of("a run", _RUN, None, _places(0, run, briefly=briefly), parties)
    if not run.changes:
        return
    last = Cut(run.changes[-1], "before", say_no)
    places = _places(0, _peace(build, _RUN, last), briefly=briefly)
    yield from _of(f"a run that is refused call {last.at}", _RUN, last, places, parties)
    back = ("perform", "rollback")
    places = _places(run.calls, _peace(build, back, None), briefly=briefly)
    yield from _of("the rollback of a run that is done", back, None, places, parties)
    ways: tuple[WayOn, ...] = ("resume", "rollback")
    for number, way in product(run.changes, ways):
        killed, commands = Cut(number, "after", kill), ("perform", way)
        end = number + 2 if briefly else _peace(build, commands, killed).calls
        situation = f"the {way} of a run that was killed at call {number}"
        yield from _of(situation, commands, killed, range(number + 1, end, _STRIDE), parties)


def _places(begin: int, peace: Observed, *, briefly: bool) -> Sequence[int]:
    """The calls before which somebody writes."""
    if not briefly:
        return range(begin, peace.calls)
    edges = {begin, *(number + 1 for number in peace.changes)}
    return sorted(place for place in edges if begin <= place < peace.calls)


def _of(
    situation: str, commands: Sequence[str], cut: Cut | None, places: Sequence[int], parties: Sequence[int]
) -> Iterator[_Trial]:
    way: WayOn = "resume" if commands[-1] == "resume" else "rollback"
    for at, party in product(places, parties):
        yield _Trial(situation, commands, cut, at, party, way)


def _peace(build: Callable[[Cuts], Scene], commands: Sequence[str], cut: Cut | None) -> Observed:
    """The same with nobody else there."""
    cuts = Observed(None, *([cut] if cut else []))
    scene, dock = observed(build, cuts), Harness()
    for command in commands:
        commanded(dock, scene, command)
    return cuts


@dataclass
class _Trying:
    """One trial, and what was wrong with it."""

    build: Callable[[Cuts], Scene]
    trial: _Trial
    makes: frozenset[str]
    """Everything that a run of it puts into the world, sooner or later."""
    dock: Harness = field(default_factory=Harness)

    def __post_init__(self) -> None:
        self.cuts = Observed(self.trial.at, *([self.trial.cut] if self.trial.cut else []))
        self.scene = observed(self.build, self.cuts)
        self.party = self.cuts.party = self.scene.third_parties[self.trial.party]
        self.began, self.heard, self.again = 0, 0, 0

    def faults(self) -> Iterator[str]:
        """What is wrong, with the way to get there."""
        where = (
            f"{self.trial.situation}; {self.party.name} before call {self.trial.at}, then {self.trial.way}"
        )
        said: list[str] = []
        for fault in self._wrong(said):
            yield f"{where}: {fault}\n    it said: " + in_a_row(said)
            return

    def _wrong(self, said: list[str]) -> Iterator[str]:
        ending: Ending | None = None
        for command in self.trial.commands:
            ending = yield from self._judged(command, said)
            self.cuts.spare()
            if ending is not None and ending.outcome != "done":
                break
        while ending is None or ending.outcome in {"held", "stranded"}:
            self.again += 1
            if self.again > AGAIN:
                yield from self._unsettled(ending)
                return
            ending = yield from self._judged(self.trial.way, said)

    def _judged(self, command: str, said: list[str]) -> Generator[str, None, Ending | None]:
        self.cuts.let_in()
        self.began, self.heard = self.cuts.calls, len(self.dock.heard)
        try:
            ending = commanded(self.dock, self.scene, command)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is a fault to be told
            said.append(f"{command}: {type(error).__name__}: {error}")
            yield f"{command} raised {type(error).__name__}"
            return None
        if ending is None:
            said.append(f"{command}: killed")
            return None
        said.append(f"{command}: {ending.outcome}: {ending.reason}")
        yield from self._false(ending)
        lost = sorted(self.cuts.put - self.makes - set(self.cuts.own.in_place()))
        if lost and ending.outcome != "done":  # a run takes what it finds when it begins for its before
            yield f"{ending.outcome}, and what somebody else wrote was overwritten: {'; '.join(lost)}"
        if self.cuts.own.rest() != self.cuts.rest:
            yield f"{ending.outcome}, and what is not the run's own was changed"
        return ending

    def _false(self, ending: Ending) -> Iterator[str]:
        """What of an ending is not so."""
        lines = {"done": self._not_done, "rolled-back": self._not_back, "interrupted": self._not_back}
        if ending.outcome in lines:
            yield from lines[ending.outcome](ending)
            if self.dock.locked:
                yield f"{ending.outcome}, and it kept its lock"
        elif ending.outcome == "refused":
            yield from self._not_refused(ending)
        elif ending.outcome in {"held", "stranded"}:
            yield from self._not_open(ending)
        else:
            yield f"it ended {ending.outcome}"

    def _not_done(self, ending: Ending) -> Iterator[str]:
        del ending
        allowed = frozenset[str]() if self._must_know else self.cuts.took
        if missing := sorted(set(self.cuts.own.missing()) - allowed):
            yield f"done, and the world is otherwise: {'; '.join(missing)}"

    def _not_back(self, ending: Ending) -> Iterator[str]:
        there = set(self.cuts.own.in_place())
        if ours := sorted(there - self.cuts.put):
            yield f"{ending.outcome}, and of the run there is still: {'; '.join(ours)}"
        theirs = sorted(there & self.cuts.put)
        if theirs and self._must_know and not self._is_before and not self._named(ending):
            yield f"{ending.outcome}, and not a word of what somebody else made so: {'; '.join(theirs)}"

    def _not_refused(self, ending: Ending) -> Iterator[str]:
        if self._changed:
            yield f"refused, and call {self._changed[-1]} changed something"
        if not self._is_done and (ours := sorted(set(self.cuts.own.in_place()) - self.cuts.put)):
            yield f"refused, and of the run there is still: {'; '.join(ours)}"
        if not self._named(ending):
            yield "refused, and not a word of who is in the way"
        if self.dock.locked:
            yield "refused, and it kept its lock"

    def _not_open(self, ending: Ending) -> Iterator[str]:
        if not self.cuts.mattered and self.cuts.wrote:
            yield f"{ending.outcome}, and nobody is in the way"
        if not self._named(ending):
            yield f"{ending.outcome}, and not a word of who is in the way"
        if self.scene.plan().locks and not self.dock.locked:
            yield f"{ending.outcome}, and it has no lock"

    def _unsettled(self, ending: Ending | None) -> Iterator[str]:
        """It goes on saying that it is held, or stranded: then something must be left to be mended.

        What somebody else made just as the run would have is no run's to take for theirs: the journal may
        have lost the record of it. So a person has to say.
        """
        there = set(self.cuts.own.in_place())
        if ending is None:
            yield "killed for ever"
        elif self.trial.way == "rollback" and not there - (self.cuts.put - self.makes):
            yield f"{ending.outcome} for ever, and nothing of the run is left"
        elif "by hand" not in ending.reason:
            yield f"{ending.outcome} for ever, and it does not say what to do by hand"

    @property
    def _is_done(self) -> bool:
        """Whether the run is one that is done, and that only its rollback was refused for."""
        return self.dock.journal.runs()[0].outcome == "done"

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

    def _named(self, ending: Ending) -> bool:
        told = [ending.reason, *warnings(self.dock.heard[self.heard :])]
        return any(word in text for word in self.party.words for text in told)
