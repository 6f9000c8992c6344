"""What is where, host by host, and the way back by hand: what is read when a run stopped in between."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.engine.diff import in_short
from ferryman.engine.event_log import in_full

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ferryman.engine.progress import AppliedChange, Checked
    from ferryman.engine.run_context import RunContext
    from ferryman.model import Edit

_NOWHERE = "-"
"""Stands for the host of a change that touched none."""


def table(p: RunContext, states: Mapping[int, str]) -> Iterator[str]:
    """A line for each host and each change that touches it: what became of it there."""
    places = sorted(states)
    rows = [(target, place) for place in places for target in _targets(_known(p, place))]
    hosts = list(dict.fromkeys(target for target, _ in rows if target != _NOWHERE))
    rows.sort(key=lambda row: hosts.index(row[0]) if row[0] in hosts else len(hosts))
    wide = max((len(target) for target, _ in rows), default=0)
    states_wide = max((len(states[place]) for place in places), default=0)
    for target, place in rows:
        yield (
            f"  {target:<{wide}}  {states[place]:<{states_wide}}  step {place + 1}, {p.plan.titles[place]}"
        )


def by_hand(p: RunContext, places: Iterable[int]) -> Iterator[str]:
    """For each host, in the order of these places: the very commands, or what was there if none are known."""
    steps: dict[str, list[str]] = {}
    for place in places:
        if (mark := _known(p, place)) is None:
            yield f"by hand, for step {place + 1}, {p.plan.titles[place]}: what was there is not known"
            continue
        back = _edits_back(p, place, mark)
        for edit in back:
            steps.setdefault(_where(edit), []).append(_effect(edit))
        if not back:
            yield f"by hand, for step {place + 1}, {p.plan.titles[place]}: it was {in_short(mark.before)}"
            yield from (f"  {_where(edit)} was done: {_effect(edit)}" for edit in mark.edits)
    for where, effects in steps.items():
        yield f"by hand, {where}:"
        yield from (f"  {line}" for effect in effects for line in effect.splitlines())


def _known(p: RunContext, place: int) -> AppliedChange | Checked | None:
    """What the journal has of a change: as it was begun, or as it was checked."""
    progress = p.progress
    return progress.applied.get(place) or progress.restored.get(place) or p.checked_before(place)


def _targets(mark: AppliedChange | Checked | None) -> Sequence[str]:
    return list(dict.fromkeys(edit.target for edit in mark.edits)) if mark and mark.edits else [_NOWHERE]


def _where(edit: Edit) -> str:
    return f"{'in' if edit.kind == 'catalog' else 'on'} {edit.target}"


def _effect(edit: Edit) -> str:
    return edit.diff if edit.diff is not None else edit.command or ""


def _edits_back(p: RunContext, place: int, mark: AppliedChange | Checked) -> Sequence[Edit]:
    """What puts it back, as far as the step can say: the words of a report never fail the run."""
    try:
        return p.plan.change(place).undo_edits(mark.before)
    except Exception as error:  # noqa: BLE001  # recorded; the before that is shown then says what is wanted
        p.log.journal("trouble", in_full(error, p.at), place)
        return ()
