"""Verifying again: what a run made, or undid, must still be so, for others may have changed it meanwhile.

Every change is verified right after it is made, and once more before each later change, at the run's end and
at the end of its rollback. Nothing is called done, or as before, because it once was.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from ferryman.engine.clock import stamp
from ferryman.engine.event_log import error_summary
from ferryman.engine.progress import AppliedChange, Checked
from ferryman.engine.steps import Change
from ferryman.errors import DoubtError, FerrymanError, InterruptedRunError, NotFollowedError, VerifyError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from ferryman.engine.plan import Plan
    from ferryman.engine.run_context import Questioned, RunContext, StepReport


@dataclass(frozen=True, slots=True)
class NotRestored:
    """A change that is not restored, or could not be shown to be, and why."""

    place: int
    why: str
    unseen: bool = False
    """Whether it was not changed by the journal, and could not be looked at: there is nothing to put back."""


def verify_applied(run: RunContext, *, but: Collection[int] = ()) -> None:
    """Verify every applied change again, before the next one is made; ``but`` has those still to be made.

    Raises:
        VerifyError: One is no longer as it was made; names it, and since when.
        DoubtError: It could not be looked at.
    """
    _verify_again(run, applied_but(run, but))


def applied_but(run: RunContext, but: Collection[int]) -> list[int]:
    """The places of the applied changes that must still be as they were made, but for these."""
    return [
        place
        for place in sorted(run.progress.applied)
        if place not in but and not is_superseded(run.plan, place, run.progress.applied)
    ]


def verify_at_the_end(run: RunContext) -> None:
    """Verify every change of the plan again, also those not needed; raises as ``verify_applied`` does."""
    places = [
        place
        for place, step in enumerate(run.plan.steps)
        if isinstance(step, Change) and not is_superseded(run.plan, place, run.progress.applied)
    ]
    run.begin_moment(to_verify(run, place) for place in places)
    _verify_again(run, places)


def to_verify(run: RunContext, place: int) -> Questioned:
    """A change that is to be verified again, for a moment of the run: made by it, or not needed."""
    applied = run.progress.applied.get(place)
    return (place, "check", None) if applied is None else (place, "verify", applied.before)


def not_restored(run: RunContext, warnings: list[str]) -> Iterator[NotRestored]:
    """Of the changes that were undone, those whose effect is there again.

    What differs from before and is not the run's effect was changed by someone else: a warning.
    """
    for place, applied in sorted(run.progress.restored.items()):
        try:
            again = run.read_quietly(place, _Compare(run.plan.change(place), applied, warnings))
        except InterruptedRunError:
            yield NotRestored(place, "interrupted before it was looked at again")
        except Exception as error:  # noqa: BLE001  # whatever keeps it from being looked at, it is not verified
            yield NotRestored(place, f"it was undone, and cannot be looked at again: {error_summary(error)}")
        else:
            if again:
                yield NotRestored(place, f"it was undone, and is not as before any more: {again}")


def unrecorded(run: RunContext, warnings: list[str]) -> Iterator[NotRestored]:
    """Of the changes that are not made by the journal, those whose effect is there.

    Either somebody else made them, or the journal has lost records. Only what was there before the run, by
    the journal, is passed over.
    """
    for place, step in enumerate(run.plan.steps):
        if not isinstance(step, Change) or place in run.progress.applied or place in run.progress.restored:
            continue
        checked = run.checked_before(place)
        if checked is not None and checked.already:
            continue
        look = partial(step.effect_seen, None) if checked is None else _Compare(step, checked, warnings)
        try:
            effect = run.read_quietly(place, look)
        except InterruptedRunError as stop:
            yield NotRestored(place, f"{stop} before it was looked at", unseen=True)
        except Exception as error:  # noqa: BLE001  # as above
            why = f"by the journal it was not changed, and it cannot be looked at: {error_summary(error)}"
            yield NotRestored(place, why, unseen=True)
        else:
            if effect is not None:
                yield NotRestored(
                    place, f"{effect}, though by the journal this run did not change it; {_WHO}"
                )


@dataclass(frozen=True, slots=True)
class _Compare:
    """What of a change's effect is there; whatever else differs from before is a warning."""

    change: Change[Any]
    known: AppliedChange | Checked
    warnings: list[str]

    def __call__(self, report: StepReport) -> str | None:
        before, known = self.known.before, self.known
        if isinstance(known, Checked) or known.foreign:
            return self._not_made(before, report)
        differs = self.change.diff_after_undo(before, report)
        effect = None if differs is None else self.change.effect_seen(before, report)
        self._warn(differs if effect is None else None, report)
        return effect

    def _not_made(self, before: object, report: StepReport) -> str | None:
        """The same of a change that the run did not make: whatever else differs is a warning, and no more."""
        effect, differs = self.change.effect_seen(before, report), None
        if effect is None and isinstance(self.known, Checked):
            with suppress(FerrymanError):
                differs = self.change.diff_after_undo(before, report)
        self._warn(differs, report)
        return effect

    def _warn(self, differs: str | None, report: StepReport) -> None:
        self.warnings.extend([*([differs] if differs else []), *map(str, report.warnings)])


_WHO = "somebody else did, or the journal has lost records: find out, and put it right by hand"


def _verify_again(run: RunContext, places: Sequence[int]) -> None:
    wrong: list[tuple[int, VerifyError | DoubtError]] = []
    for place in places:
        try:
            run.read_quietly(place, _verifying(run, place))
        except (VerifyError, DoubtError) as error:
            wrong.append((place, error))
        else:
            run.seen_at[place] = stamp(run.clock.now())
    if wrong:
        raise _kind(error for _, error in wrong)(
            "\n".join(
                f"{run.plan.titles[place]}: {_what_is_wrong(run, place, error)}: {error}"
                for place, error in wrong
            )
        )


def _verifying(run: RunContext, place: int) -> Callable[[StepReport], None]:
    change, applied = run.plan.change(place), run.progress.applied.get(place)
    if applied is None:
        return change.verify
    return lambda report: change.verify_again(applied.before, report)


def is_superseded(plan: Plan, place: int, applied: Iterable[int]) -> bool:
    """Whether a later applied change took this one away on purpose."""
    change = plan.change(place)
    return any(change.superseded_by(plan.change(later)) for later in applied if later > place)


def _what_is_wrong(run: RunContext, place: int, error: VerifyError | DoubtError) -> str:
    """What is known of a change that did not verify again: changed since it was seen so, or not looked at."""
    seen_at = run.seen_at.get(place)
    if isinstance(error, DoubtError) and not isinstance(error, NotFollowedError):
        last = f", it was last seen as made at {seen_at}" if seen_at else ""
        return f"it cannot be looked at again{last}"
    return f"somebody changed it since {seen_at}" if seen_at else "it is not as this run made it"


def _kind(errors: Iterable[Exception]) -> type[VerifyError | DoubtError]:
    """The error to raise for several: what is known to be wrong counts more than what could not be read."""
    found = list(errors)
    if any(isinstance(error, VerifyError) for error in found):
        return VerifyError
    return NotFollowedError if all(isinstance(error, NotFollowedError) for error in found) else DoubtError
