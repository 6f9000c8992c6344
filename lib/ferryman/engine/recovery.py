"""The state per host, and the commands that put it back by hand: shown when a run stopped in between."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.engine.diff import shortened
from ferryman.engine.event_log import error_record
from ferryman.engine.own_code import call_own, plain_edits

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ferryman.engine.progress import AppliedChange, Checked
    from ferryman.engine.run_context import RunContext
    from ferryman.model import Edit

_NO_HOST = "-"
"""In the table, the host of a change that touches none."""


def status_table(run: RunContext, states: Mapping[int, str]) -> Iterator[str]:
    """A line for each host and each change that touches it, with the change's state there."""
    places = sorted(states)
    rows = [(target, place) for place in places for target in _targets(_known(run, place))]
    hosts = list(dict.fromkeys(target for target, _ in rows if target != _NO_HOST))
    rows.sort(key=lambda row: hosts.index(row[0]) if row[0] in hosts else len(hosts))
    wide = max((len(target) for target, _ in rows), default=0)
    states_wide = max((len(states[place]) for place in places), default=0)
    for target, place in rows:
        yield (
            f"  {target:<{wide}}  {states[place]:<{states_wide}}  step {place + 1}, {run.plan.titles[place]}"
        )


def manual_commands(run: RunContext, places: Iterable[int]) -> Iterator[str]:
    """For each host, in the order of these places: the commands, or the state before where none are known."""
    steps: dict[str, list[str]] = {}
    for place in places:
        if (applied := _known(run, place)) is None:
            yield f"by hand, for step {place + 1}, {run.plan.titles[place]}: what was there is not known"
            continue
        back = _edits_back(run, place, applied)
        for edit in back:
            steps.setdefault(_where(edit), []).append(_effect(edit))
        if not back:
            before = shortened(applied.before)
            yield f"by hand, for step {place + 1}, {run.plan.titles[place]}: it was {before}"
            yield from (f"  {_where(edit)} was done: {_effect(edit)}" for edit in applied.edits)
    for where, effects in steps.items():
        yield f"by hand, {where}:"
        yield from (f"  {line}" for effect in effects for line in effect.splitlines())


def _known(run: RunContext, place: int) -> AppliedChange | Checked | None:
    """What the journal has of a change, as begun or as checked; None where it has nothing."""
    progress = run.progress
    return progress.applied.get(place) or progress.restored.get(place) or run.checked_before(place)


def _targets(applied: AppliedChange | Checked | None) -> Sequence[str]:
    edits = applied.edits if applied is not None else ()
    return list(dict.fromkeys(edit.target for edit in edits)) or [_NO_HOST]


def _where(edit: Edit) -> str:
    return f"{'in' if edit.kind == 'catalog' else 'on'} {edit.target}"


def _effect(edit: Edit) -> str:
    return edit.diff if edit.diff is not None else edit.command or ""


def _edits_back(run: RunContext, place: int, applied: AppliedChange | Checked) -> Sequence[Edit]:
    """What puts it back, as far as the step can say; an error is recorded and does not fail the report."""
    try:
        return plain_edits(call_own(lambda: run.plan.change(place).undo_edits(applied.before)))
    except Exception as error:  # noqa: BLE001  # recorded; the before that is shown then says what is wanted
        run.log.journal("trouble", error_record(error, run.at), place)
        return ()
