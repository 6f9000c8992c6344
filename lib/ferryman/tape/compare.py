"""Compares what a run decided with what the recorded one did: steps, findings, probes, changes, the outcome.

Words do not count: a finding is its check, host and verdict; a change what it is made to. Within one phase of
a step findings may come in any order.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Literal

from ferryman.tape.difference import Difference

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ferryman.tape.form import PlannedStep

Decision = tuple[object, ...]
End = Literal["both", "recorded", "now"]
"""Which of the two runs is known to its end."""


@dataclass(slots=True)
class _Phase:
    """A phase of a step, and what was decided in it."""

    name: str
    decisions: Counter[Decision] = field(default_factory=Counter)
    outcome: str = ""


def compare_plans(recorded: Sequence[PlannedStep], now: Sequence[PlannedStep]) -> Difference | None:
    """The first step that is another one; titles do not count."""
    for number, (was, is_now) in enumerate(zip_longest(recorded, now), 1):
        if was is None:
            return Difference(f"step {number} is new: {is_now.title}")
        if is_now is None:
            return Difference(f"step {number} is gone: {was.title}")
        if (was.step, was.about) != (is_now.step, is_now.about):
            return Difference(f"step {number} is {is_now.title}, and was {was.title}")
    return None


def compare_events(
    recorded: Iterable[Mapping[str, Any]],
    now: Iterable[Mapping[str, Any]],
    titles: Sequence[str],
    *,
    ends: End = "both",
) -> Difference | None:
    """The first decision that is another one.

    ``ends``: whether both were followed to their end, or one of them ended early: the recorded run, which was
    killed, or this one, which went another way.
    """
    old, new = list(recorded), list(now)
    before, after = _phases(old, "run", titles), _phases(new, "run", titles)
    if ends != "both":  # the last phase is not whole: what it has too little says nothing
        both = min(len(before), len(after)) - 1
        if ends == "recorded" and _is_new(before[both], after[both]):
            return _compare(before[both], after[both])
        before, after = before[:both], after[:both]
    for was, is_now in zip_longest(before, after):
        if was is None:
            return Difference("it went on, where the recorded run had ended", step=is_now.name)
        if is_now is None:
            return Difference("it did not come to this, as the recorded run did", step=was.name)
        if difference := _compare(was, is_now):
            return difference
    if ends != "both":
        return None
    return _compare(_all(old, "watch"), _all(new, "watch"))


def _is_new(was: _Phase, now: _Phase) -> bool:
    """Whether something was decided in a phase that the recorded one did not decide."""
    return was.name == now.name and bool(now.decisions - was.decisions)


def _compare(was: _Phase, now: _Phase) -> Difference | None:
    if was.name != now.name:
        return Difference(f"it was at this, where the recorded run was at {was.name}", step=now.name)
    gone, new = was.decisions - now.decisions, now.decisions - was.decisions
    if gone or new:
        return Difference(_in_words(gone, new), step=now.name)
    if was.outcome != now.outcome:
        return Difference(
            f"it ended {now.outcome or 'not'}, and was {was.outcome or 'not ended'}", step=now.name
        )
    return None


def _in_words(gone: Counter[Decision], new: Counter[Decision]) -> str:
    for *about, decided in new:
        for *recorded, was in gone:
            if about == recorded:
                return f"{_words(about)}: {decided}, and was {was}"
    parts = [f"new: {_words(decision)}" for decision in list(new)[:1]]
    parts += [f"gone: {_words(decision)}" for decision in list(gone)[:1]]
    return "; ".join(parts)


def _words(decision: Iterable[object]) -> str:
    return " ".join(str(word) for word in decision if word != "")


def _phases(events: Iterable[Mapping[str, Any]], lane: str, titles: Sequence[str]) -> list[_Phase]:
    phases = [_Phase("before the first step")]
    for event in events:
        if event.get("lane", "run") != lane:
            continue
        match event["event"]:
            case "step-started":
                phases.append(_Phase(_name(event, titles)))
            case "step-finished":
                phases[-1].outcome = event["outcome"]
            case _:
                _decide(phases[-1], event)
    return phases


def _all(events: Iterable[Mapping[str, Any]], lane: str) -> _Phase:
    found = _Phase("the watch")
    for event in events:
        if event.get("lane", "run") == lane:
            _decide(found, event)
    return found


def _decide(phase: _Phase, event: Mapping[str, Any]) -> None:
    decision = _decision(event)
    if decision is not None:
        phase.decisions[decision] += 1


def _decision(event: Mapping[str, Any]) -> Decision | None:
    match event["event"]:
        case "finding":
            return event["host"], event["check"], event["verdict"]
        case "probe":
            where = f"{event['protocol']} {event['vip']} port {event['port']}"
            return event["host"], "probe of", where, event["verdict"]
        case "change":
            applied = "applied" if event["applied"] else "would be applied"
            return "change of", event["kind"], event["target"], applied
    return None


def _name(event: Mapping[str, Any], titles: Sequence[str]) -> str:
    place = event["step"]
    title = titles[place] if 0 <= place < len(titles) else event.get("title", "")
    return f"step {place + 1}, {title} ({event['phase']})"
