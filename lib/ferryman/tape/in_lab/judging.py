"""Compares the run in a lab with the recorded one: plan, findings, probes, changes, outcome.

The watch is not compared: how often it looked is a matter of time, and what it decided shows in the outcome.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from ferryman.model import Verdict
from ferryman.tape.compare import compare_events, compare_plans
from ferryman.tape.difference import Difference

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ferryman.tape.file import Tape
    from ferryman.tape.form import PlannedStep
    from ferryman.tape.in_lab.names import Names
    from ferryman.tape.in_lab.unlike import Unlike

Event = Mapping[str, Any]
_STOP = {verdict.value for verdict in Verdict if verdict.stops}


@dataclass(frozen=True, slots=True)
class Judgement:
    """How the run in the lab compares with the recorded one."""

    difference: Difference | None
    told: tuple[str, ...] = ()


def judge(
    recorded: Tape, now: Tape, names: Names, unlike: Unlike, judged_phases: int | None = None
) -> Judgement:
    """Compare the tape of the run in the lab with the recorded one.

    ``judged_phases``: how many phases came before something that a lab cannot imitate; None: nothing did.
    """
    plan = [
        replace(step, about=tuple(names.text(name) for name in step.about)) for step in recorded.header.plan
    ]
    before = [_mapped(event, names) for event in _decisions(recorded)]
    after = [_mapped(event, None) for event in _decisions(now)]
    limits = [judged_phases, _first_not_judged(before, unlike), _first_not_judged(after, unlike)]
    if not recorded.whole:
        limits.append(sum(event["event"] == "step-started" for event in before))
    if not unlike.other_plan:
        if found := compare_plans(plan, now.header.plan):
            return Judgement(found)
    else:
        limits.append(_first_other_step(plan, now.header.plan, before))
    judged = min((limit for limit in limits if limit is not None), default=None)
    titles = [step.title for step in now.header.plan]
    told = () if judged is None else (_where_it_ends(before, judged, titles),)
    difference = compare_events(_part(before, judged, unlike), _part(after, judged, unlike), titles)
    if difference is None and judged is None:
        difference = _other_end(recorded, now)
    return Judgement(difference, told)


def _decisions(tape: Tape) -> Iterator[Event]:
    for entry in tape.entries:
        if entry.kind == "event" and entry.data.get("lane", "run") == "run":
            yield entry.data


def _mapped(event: Event, names: Names | None) -> Event:
    """An event with the lab's names and addresses; of a change, the host or the file's name is its target."""
    found = dict(event)
    for key in ("host", "vip"):
        if names is not None and isinstance(found.get(key), str):
            found[key] = names.text(found[key])
    if found["event"] == "change":
        target = str(found["target"])
        host, _, _ = target.partition(":/")
        found["target"] = PurePosixPath(target).name if found["kind"] == "catalog" else host
        if names is not None:
            found["target"] = names.text(found["target"])
    return found


def _first_not_judged(events: Sequence[Event], unlike: Unlike) -> int | None:
    """The number of phases before the one that was stopped by a finding that is not judged."""
    phase = 0
    for event in events:
        if event["event"] == "step-started":
            phase += 1
        elif event["event"] == "finding" and event["verdict"] in _STOP and _is_out(event, unlike):
            return phase
    return None


def _first_other_step(was: Sequence[PlannedStep], now: Sequence[PlannedStep], events: Sequence[Event]) -> int:
    """The number of phases before the first step that is another one."""
    first = next(
        (place for place, pair in enumerate(zip_longest(was, now)) if _step(pair[0]) != _step(pair[1])),
        max(len(was), len(now)),
    )
    phase = 0
    for event in events:
        if event["event"] == "step-started":
            if event["step"] >= first:
                break
            phase += 1
    return phase + 1


def _step(step: PlannedStep | None) -> tuple[object, ...] | None:
    return None if step is None else (step.step, step.about)


def _part(events: Sequence[Event], phases: int | None, unlike: Unlike) -> list[Event]:
    """What is judged: the first phases, without the findings that are not."""
    part = []
    started = 0
    for event in events:
        if event["event"] == "step-started":
            started += 1
            # Of ``phases`` phases the first one is what comes before any step.
            if phases is not None and started >= max(phases, 1):
                break
        if not _is_out(event, unlike):
            part.append(event)
    return part


def _is_out(event: Event, unlike: Unlike) -> bool:
    match event["event"]:
        case "finding":
            return unlike.covers(event["check"], event["host"])
        case "probe":
            return unlike.covers("probe", event["host"])
        case "change":
            return unlike.covers("change", event["target"])
    return False


def _where_it_ends(events: Sequence[Event], phases: int, titles: Sequence[str]) -> str:
    started = [event for event in events if event["event"] == "step-started"]
    last = max(phases, 1) - 1
    if last >= len(started):
        return "the outcome is not judged"
    event = started[last]
    title = titles[event["step"]] if event["step"] < len(titles) else event["title"]
    return f"from step {event['step'] + 1} on, {title} ({event['phase']}), nothing is judged"


def _other_end(recorded: Tape, now: Tape) -> Difference | None:
    was, ended = _end(recorded), _end(now)
    if was is None or (ended is not None and was[:2] == ended[:2]):
        return None
    words = "not ended" if ended is None else f"{ended[0]} (exit code {ended[1]})"
    reason = "" if ended is None else (ended[2].splitlines() or [""])[0]
    return Difference(f"it ended {words}, and the recorded run {was[0]} (exit code {was[1]})", reason)


def _end(tape: Tape) -> tuple[str, int, str] | None:
    for entry in reversed(tape.entries):
        if entry.kind == "outcome":
            return entry.data["outcome"], entry.data["exit_code"], entry.data["reason"]
    return None
