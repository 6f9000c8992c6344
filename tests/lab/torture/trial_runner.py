"""Makes trials on one lab, one after the other, from whichever state the last one left the world in."""

from __future__ import annotations

import json
import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any, Literal

from lab.torture.torture_lab import fresh_torture_lab
from lab.torture.trials import Trial, boundaries, instants, visited
from lab.visitors import Visitors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from lab.torture.cutter import Cut
    from lab.torture.torture_lab import Ended, Entry, TortureLab
    from lab.torture.trials import Instant, StartState

COMMANDS_AT_MOST = 8
"""Cut or not, a trial that is still open after so many has not ended."""
ONE_IN = 4
"""Every so many trials is at a random instant, whatever boundaries are left."""

REUSE_MODES = (1, 3)
"""Of labs in turn: with the first, host routes stay after a kill and are told; with the other they go."""

End = Literal["all-new", "all-old", "wrong"]


@dataclass(slots=True)
class Outcome:
    """How one trial ended, and what is wrong with that."""

    trial: Trial
    end: End = "wrong"
    wrong: list[str] = field(default_factory=list)
    """What is not as it must be; empty unless the end is ``wrong``."""
    notes: list[str] = field(default_factory=list)
    """What is allowed, and worth counting."""
    commands: list[Ended] = field(default_factory=list)
    visits: dict[str, int] = field(default_factory=dict)
    """How many visits there were, by kind and exit code."""
    seconds: float = 0.0

    @property
    def struck(self) -> int:
        """How many of its cuts fell."""
        return sum(command.struck for command in self.commands)

    def as_dict(self) -> dict[str, Any]:
        """The trial and how it ended, as one JSON line of the results."""
        return {
            "name": self.trial.name,
            "end": self.end,
            "struck": self.struck,
            "seconds": round(self.seconds, 1),
            "notes": self.notes,
            "wrong": self.wrong,
            "visits": self.visits,
            "commands": [_told(command, self.end == "wrong") for command in self.commands],
            "trial": self.trial.as_dict(),
        }


def make(torture_lab: TortureLab, trial: Trial) -> Outcome:
    """Make one trial, and judge what is left of it."""
    began, outcome = time.monotonic(), Outcome(trial)
    try:
        _bring(torture_lab, trial)
        _judge(torture_lab, outcome, _play_visited(torture_lab, outcome))
    except AssertionError as error:
        outcome.wrong.append(str(error))
    if outcome.wrong:
        outcome.end = "wrong"
    outcome.seconds = time.monotonic() - began
    return outcome


def _bring(torture_lab: TortureLab, trial: Trial) -> None:
    """Make the world what the trial begins with: others are taken back, this one across if need be."""
    newest = torture_lab.newest()
    here = newest.outcome == "done"
    if here and not (trial.start == "new" and newest.service == trial.service):
        back = torture_lab.take_up("rollback", newest)
        assert back.status == 0, f"an uncut rollback: {back.stderr}"
        here = False
    if trial.start == "new" and not here:
        migrated = torture_lab.migrate(trial.service)
        assert migrated.status == 0, f"an uncut migration: {migrated.stderr}"


def _play_visited(torture_lab: TortureLab, outcome: Outcome) -> Entry:
    """Play it with its visitors, all of whom have gone when it is over."""
    trial = outcome.trial
    visitors = Visitors(torture_lab.lab, trial.service, trial.guests) if trial.guests else None
    try:
        with visitors or nullcontext():
            return _play(torture_lab, outcome)
    finally:
        if visitors:
            outcome.visits = dict(visitors.visits)
            outcome.wrong += visitors.wrong


def _play(torture_lab: TortureLab, outcome: Outcome) -> Entry:
    """Cut command after command, then go on in peace until the run is over; its last entry in the journal."""
    trial, before = outcome.trial, torture_lab.newest()
    entry, way = before, "rollback" if trial.start == "new" else ""
    ways = chain(trial.ways, repeat(trial.ways[-1]))
    for cut, _ in zip(chain(trial.cuts, repeat(None)), range(COMMANDS_AT_MOST), strict=False):
        ended = _command(torture_lab, trial, way, entry, cut)
        outcome.commands.append(ended)
        entry = torture_lab.newest()
        _note(outcome, entry, way, ended)
        if entry.run == before.run and not way:
            outcome.notes.append("nothing begun")
            return before
        if not entry.is_open:
            if not torture_lab.locks(entry.run):
                return entry
            assert ended.died, f"run {entry.run} ended {entry.outcome} by itself and kept its locks"
            outcome.notes.append(f"killed: run {entry.outcome} in the journal, lock kept")
            way = "rollback"
            continue
        way = next(ways)
    raise AssertionError(f"run {entry.run} is still {entry.outcome} after {COMMANDS_AT_MOST} commands")


def _command(
    torture_lab: TortureLab, trial: Trial, way: str, entry: Entry, cut: Cut | Instant | None
) -> Ended:
    if not way:
        return torture_lab.migrate(trial.service, cut, soak_s=trial.soak_s, heartbeat_s=trial.heartbeat_s)
    return torture_lab.take_up(way, entry, cut, heartbeat_s=trial.heartbeat_s)


def _note(outcome: Outcome, entry: Entry, way: str, ended: Ended) -> None:
    """Count what is allowed, and still is not what one hopes for of a command in an undisturbed lab."""
    if ended.status in (0, -9) or (ended.struck and ended.status in (4, 130, -15)):
        return
    outcome.notes.append(f"{way or 'migrate'} ended with {ended.status}: {entry.outcome}")
    if not ended.struck and ended.status in (1, 2):
        outcome.wrong.append(f"{way or 'migrate'}: exit code {ended.status}: {ended.stderr[-2000:]}")


def _judge(torture_lab: TortureLab, outcome: Outcome, entry: Entry) -> None:
    """All new or all old, as the journal says; nothing left locked, damaged or lying about."""
    trial = outcome.trial
    state: StartState = "new" if entry.outcome == "done" else "old"
    wanted = torture_lab.new[trial.service] if state == "new" else torture_lab.old
    kept = torture_lab.take_kept_routes_away(outcome.commands)
    differing = torture_lab.difference(wanted)
    outcome.end = "all-new" if state == "new" else "all-old"
    outcome.notes += ["host routes kept, as told"] * bool(kept)
    outcome.wrong += [f"ended {entry.outcome}, but {line}" for line in differing]
    if entry.run:
        outcome.wrong += [f"run {entry.run}: {fault}" for fault in torture_lab.faults(entry.run)]
    if locks := torture_lab.locks():
        outcome.wrong.append(f"run {entry.run} ended {entry.outcome}, and locks are left: {locks}")
    if (files := torture_lab.left_files()) != torture_lab.files:
        outcome.wrong.append(f"files left on directors: {files}")


def _told(ended: Ended, in_full: bool) -> dict[str, Any]:
    last = ended.calls[-1] if ended.calls else None
    at = f"{last.number} {last.kind} {last.host} {last.text[:60]}".strip() if last else "before any call"
    row = {
        "arguments": " ".join(ended.arguments),
        "status": ended.status,
        "seconds": round(ended.seconds, 1),
        "struck": ended.struck,
        "last_call": at,
    }
    return row | ({"stderr": ended.stderr[-6000:]} if in_full else {})


@dataclass(frozen=True, slots=True)
class Share:
    """One lab's part of a long run."""

    index: int
    labs: int
    kills: int
    seed: int
    services: tuple[str, ...]
    results: Path
    only: Trial | None = None
    visitors: bool = False


def work(share: Share, say: Callable[[str], None]) -> None:
    """Make trials until this lab's share of kills is made; each result is on disk before the next trial.

    After a wrong one the lab is made anew, so that the next begins with a world that is known.
    """
    made, struck = _already(share.results)
    while struck < share.kills:
        with fresh_torture_lab(reuse_mode=REUSE_MODES[share.index % 2]) as torture_lab:
            torture_lab.measure(share.services)
            for trial in [share.only] if share.only else _endless(torture_lab, share, made):
                outcome = make(torture_lab, visited(trial, share.seed) if share.visitors else trial)
                _keep(share.results, outcome)
                made.add(trial.name)
                struck += outcome.struck
                say(_line(share, struck, outcome))
                if outcome.end == "wrong" or struck >= share.kills or share.only:
                    break
        if share.only:
            return


def _endless(torture_lab: TortureLab, share: Share, made: set[str]) -> Iterator[Trial]:
    """Trials without end that fit the state that the world is in; services take turns."""
    charts = [torture_lab.charts[name] for name in share.services]
    states: tuple[StartState, ...] = ("old", "new")
    queues = {
        (chart.service, state): _Queue(
            boundaries(chart, state, share.seed)[share.index :: share.labs],
            instants(chart, state, share.seed, (share.index, share.labs)),
            made,
        )
        for chart in charts
        for state in states
    }
    turn = 0
    while True:
        newest = torture_lab.newest()
        if newest.outcome == "done":
            yield queues[newest.service, "new"].take()
        else:
            turn += 1
            yield queues[share.services[turn % len(share.services)], "old"].take()


class _Queue:
    """Trials of one service from one state that were not made yet."""

    def __init__(self, boundaries: Sequence[Trial], instants: Iterator[Trial], made: set[str]) -> None:
        self._boundaries = [boundary for boundary in reversed(boundaries) if boundary.name not in made]
        self._instants = (instant for instant in instants if instant.name not in made)
        self._taken = 0

    def take(self) -> Trial:
        self._taken += 1
        if self._boundaries and self._taken % ONE_IN:
            return self._boundaries.pop()
        return next(self._instants)


def _already(results: Path) -> tuple[set[str], int]:
    """What an earlier, interrupted run of the same seed has made."""
    lines = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    return {result["name"] for result in lines}, sum(result["struck"] for result in lines)


def _keep(results: Path, outcome: Outcome) -> None:
    with results.open("a") as file:
        file.write(json.dumps(outcome.as_dict()) + "\n")


def _line(share: Share, struck: int, outcome: Outcome) -> str:
    remarks = "; ".join((*outcome.notes, *outcome.wrong[:3]))
    return (
        f"lab {share.index}: {struck}/{share.kills}  {outcome.trial.name}: {outcome.end} "
        f"in {outcome.seconds:.1f} s{f' ({remarks})' if remarks else ''}"
    )
